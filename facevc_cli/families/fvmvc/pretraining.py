"""The steps of pretraining (voice to voice), with CPC, VQ and the mutual-information terms, or with a teacher and a
discriminator.

Every term has a weight in `PretrainConfig`; a term with weight 0 has no modules and costs nothing.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import Batch
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.fvmvc import losses
from facevc_cli.families.fvmvc.aligned_terms import compute_aligned_terms
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.families.fvmvc.content_encoder import ContentOutput
from facevc_cli.families.fvmvc.cpc import CPCPredictor
from facevc_cli.families.fvmvc.discriminator import MelDiscriminator
from facevc_cli.families.fvmvc.distilled_content import TeacherBottleneck
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.fvmvc.mutual_information import CLUBEstimator, halve_rate
from facevc_cli.families.fvmvc.recording_conditions import RecordingConditions, degrade_share
from facevc_cli.families.fvmvc.voice_critic import VoiceCritic
from facevc_cli.training.task import (
    Figures,
    compute_learning_rate,
    freeze_during,
    make_generator,
    ramp_up,
    set_learning_rate,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

MI_TERMS = ("content_voice", "content_pitch", "pitch_voice")
CONDITIONS_SALT, LEFT_OUT_SALT = 7, 6  # for the step's generator; the mutual-information terms use 0 to 3
DISCRIMINATOR_RATE = 0.4  # times the model's learning rate
CRITIC_RATE = 5e-4  # learning rate of the voice critic's own optimiser


class Reconstruction(nn.Module):
    """Runs everything that the model's own optimiser trains in one forward pass.

    One module, so that several devices can share it.
    """

    def __init__(self, model: FaceVC, config: Config):
        super().__init__()
        self.model, p, m = model, config.pretrain, config.model
        self.bottleneck = TeacherBottleneck(m.content_encoder.teacher_dim, m.z_dim) if p.distillation > 0 else None
        self.crosses, self.cycles = max(p.cross_voice, p.cross_content) > 0, p.cross_content > 0
        self.aligned_voice, self.aligned_content = p.aligned_voice > 0, p.aligned_content > 0
        self.cpc = CPCPredictor(m.content_encoder.context_dim, m.z_dim, p.cpc_steps) if p.cpc > 0 else None

    def forward(self, batch: Batch, hear_student: bool) -> dict[str, Tensor]:
        """Returns the tensors that the losses need, by name."""
        mel = batch["mel"].transpose(1, 2)
        content: ContentOutput = self.model.content_encoder(batch.get("degraded", batch["mel"]).transpose(1, 2))
        speaker = self.model.embed_voice(mel if self.model.config.speaker_encoder == "mel" else batch["dvector"])
        out = {
            "z": content.z,
            "context": content.context,
            "vq": content.loss,
            "perplexity": content.perplexity,
            "speaker": speaker,
        }
        heard = content.z
        if self.bottleneck is not None:
            out["taught"] = self.bottleneck(batch["content"], content.z.shape[1])
            if not hear_student:
                heard = out["taught"]
        level = (batch["level"][:, 0], batch["level"][:, 1])
        recording = self._describe_recordings(batch.get("reference_mel"), batch.get("left_out"))
        out["before"], out["after"] = self.model.decode_both(heard, batch["lf0"], speaker, level, recording)
        if self.crosses:
            out |= self._decode_in_other_voices(heard.detach(), batch["lf0"], speaker.detach(), level, recording)
        if "aligned_mel" in batch:
            out |= self._hear_aligned_utterances(heard, batch)
        if self.cpc is not None:
            out |= {f"cpc_{k}": prediction for k, prediction in enumerate(self.cpc(content.context))}
        if self.model.pitch_level is not None:
            out["level_mean"], out["level_std"] = self.model.pitch_level(speaker.detach())
        return out

    def _describe_recordings(self, mel: Tensor | None, left_out: Tensor | None) -> Tensor | None:
        """Describes recordings of the voices (B, T, n_mels) for the decoder, but for those that are left out (B,)."""
        if mel is None:
            return None
        described = self.model.describe_recording(mel.transpose(1, 2))
        if left_out is None:
            return described
        return torch.where(left_out[:, None, None], self.model.describe_no_recording(), described)

    def _hear_aligned_utterances(self, heard: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Speaks the content in the voice of the aligned utterance, and encodes that utterance's own content.

        Only for the utterances that have one; nothing if there are none.
        """
        chosen = batch["aligned"] > 0
        if not chosen.any():
            return {}
        out, mel = {}, batch["aligned_mel"][chosen].transpose(1, 2)
        if self.aligned_voice:
            voice = self.model.embed_voice(batch["aligned_dvector"][chosen] if self.model.needs_dvector else mel)
            mean, std = batch["aligned_level"][chosen].unbind(1)
            given = {name: batch[name][chosen] for name in ("aligned_reference_mel", "left_out") if name in batch}
            recording = self._describe_recordings(given.get("aligned_reference_mel"), given.get("left_out"))
            out["aligned"] = self.model.decode(heard[chosen], batch["lf0"][chosen], voice, (mean, std), recording)
        if self.aligned_content:
            out["aligned_z"] = self.model.content_encoder(mel).z
        return out

    def _decode_in_other_voices(
        self,
        heard: Tensor,
        lf0: Tensor,
        speaker: Tensor,
        level: tuple[Tensor, Tensor],
        recording: Tensor | None,
    ) -> dict[str, Tensor]:
        """Converts each utterance to the voice of the next one in the batch, and encodes the content of the result."""
        voice = speaker.roll(1, 0)
        recording = None if recording is None else recording.roll(1, 0)
        mel = self.model.decode(heard, lf0, voice, (level[0].roll(1, 0), level[1]), recording)
        out = {"crossed": mel, "crossed_voice": voice, "crossed_from": speaker, "crossed_content": heard}
        if self.cycles:
            with freeze_during(
                [self.model.content_encoder]
            ):  # the decoder must become clearer; the encoder must not adapt to it
                out["cycled"] = self.model.content_encoder(mel.transpose(1, 2)).z
        return out


class PretrainTask:
    def __init__(self, model: FaceVC, config: Config, seed: int):
        self.model, self.config, self.p, self.seed = model, config, config.pretrain, seed
        p, m = config.pretrain, config.model
        reconstruction = Reconstruction(model, config)
        self.bottleneck = reconstruction.bottleneck
        self.club: dict[str, CLUBEstimator] = {}  # mutual-information estimators by term
        sizes = {
            "content_voice": (m.voice_dim, m.z_dim),
            "content_pitch": (1, m.z_dim),
            "pitch_voice": (m.voice_dim, 1),
        }
        for name in MI_TERMS:
            if self._get_mi_weight(name) > 0:
                self.club[name] = CLUBEstimator(*sizes[name])
        self.estimators = nn.ModuleDict(self.club)
        self.conditions = RecordingConditions(MEL_DEFINITIONS[m.mel]) if p.degrade_recordings > 0 else None
        self.auxiliary = nn.ModuleDict({"reconstruction": reconstruction, "estimators": self.estimators})
        if p.adversarial > 0 or p.feature_matching > 0:
            self.auxiliary["discriminator"] = MelDiscriminator()
        if p.cross_voice > 0:
            if m.voice_dim != m.dvector_dim or m.speaker_encoder != "identity":
                raise FaceVCError(
                    "pretrain.cross_voice needs a fixed voice embedding. Set model.speaker_encoder=identity, or set "
                    "it to 0."
                )
            self.auxiliary["critic"] = VoiceCritic(m.n_mels, m.voice_dim)
        self.optimisers = self._make_optimisers()

    def _make_optimisers(self) -> dict[str, Optimizer]:
        p = self.p
        content = {id(x) for x in self.model.content_encoder.parameters()} if p.distillation > 0 else set()
        memory = {id(x) for module in (self.model.face_encoder, self.model.memory) for x in module.parameters()}
        own = [x for x in self.auxiliary["reconstruction"].parameters() if id(x) not in memory]
        groups: list[dict[str, Any]] = [{"params": [x for x in own if id(x) not in content]}]
        if content:
            groups.append(
                {
                    "params": [x for x in own if id(x) in content],
                    "scale": p.content_learning_rate / p.optimiser.learning_rate,
                }
            )
        o = p.optimiser
        optimisers: dict[str, Optimizer] = {
            "model": AdamW(groups, o.learning_rate, o.betas, weight_decay=o.weight_decay, fused=True)
        }
        if len(self.estimators):
            optimisers["estimators"] = torch.optim.Adam(self.estimators.parameters(), p.mi_learning_rate, fused=True)
        if "discriminator" in self.auxiliary:
            rate = DISCRIMINATOR_RATE * p.optimiser.learning_rate
            optimisers["discriminator"] = AdamW(
                self.auxiliary["discriminator"].parameters(), rate, (0.5, 0.9), fused=True
            )
        if "critic" in self.auxiliary:
            optimisers["critic"] = AdamW(self.auxiliary["critic"].parameters(), CRITIC_RATE, (0.9, 0.98), fused=True)
        return optimisers

    def load_helpers(self, tensors: Mapping[str, Tensor]) -> None:
        """Loads another run's auxiliary weights by name, but for those that are missing here or have another shape."""
        for name, own in self.auxiliary.state_dict().items():
            if name in tensors and tensors[name].shape == own.shape:
                own.copy_(tensors[name])  # a state_dict shares its memory with the module

    @torch.no_grad()
    def fit_bottleneck(self, batches: Iterable[Batch]) -> None:
        """Fits the bottleneck, if any, to the model's content encoder, so that a trained model can be taught on."""
        if self.bottleneck is None:
            return
        encode = self.model.content_encoder
        self.bottleneck.fit((batch["content"], encode(batch["mel"].transpose(1, 2)).z) for batch in batches)

    def prepare(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self.model.to(accelerator.device)
        for name in list(self.auxiliary):
            if name != "estimators":
                self.auxiliary[name] = accelerator.prepare(self.auxiliary[name])
        self.estimators.to(accelerator.device)
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}

    def step(self, batch: Batch, step: int) -> Figures:
        p = self.p
        if "critic" in self.optimisers and step < p.critic_ahead:
            critic = self._train_critic(batch)
            return {"loss": critic, "critic": critic}
        set_learning_rate(self.optimisers["model"], compute_learning_rate(p.optimiser, step, p.steps))
        given = self._leave_recordings_out(self._degrade_recordings(batch, step), step)
        out = self.auxiliary["reconstruction"](given, self._hears_student(step))
        figures: Figures = {}
        if "estimators" in self.optimisers:
            figures |= self._train_estimators(self._pair_mi_inputs(batch, {k: v.detach() for k, v in out.items()}))
        adversarial = ramp_up(step, p, p.adversarial_from)
        if "discriminator" in self.optimisers and adversarial > 0:
            fakes = [out[name].detach() for name in ("after", "crossed") if name in out]
            figures["discriminator"] = self._train_discriminator(batch["mel"], fakes)
        if "critic" in self.optimisers:
            figures["critic"] = self._train_critic(batch)
        terms = self._compute_terms(batch, out, step, adversarial)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        self.optimisers["model"].zero_grad()
        with freeze_during([self.estimators]):
            self.accelerator.backward(loss)
        if p.optimiser.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.auxiliary["reconstruction"].parameters(), p.optimiser.gradient_clip)
        self.optimisers["model"].step()
        return figures | self._collect_figures(terms, out, loss)

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        given = batch | {"left_out": batch["alone"]} if "alone" in batch else batch
        out = self.auxiliary["reconstruction"](given, self.p.distillation > 0)
        terms = self._compute_terms(batch, out, step, 0.0)
        return self._collect_figures(
            terms, out, terms["reconstruction"][1] + self.p.distillation * terms.get("distillation", (0, 0))[1]
        )

    def _hears_student(self, step: int) -> bool:
        """True if the decoder gets the encoder's content in this step: after `distilled_from`, except in every fourth
        step.
        """
        return self.p.distillation > 0 and step >= self.p.distilled_from * self.p.steps and step % 4 != 0

    def _degrade_recordings(self, batch: Batch, step: int) -> Batch:
        """Adds the log-mels that the content encoder hears, and degrades recordings of voices, if this is asked for."""
        if self.conditions is None:
            return batch
        given = self.conditions, self.model
        share, draw = self.p.degrade_recordings, make_generator(self.seed, step, CONDITIONS_SALT)
        heard = {"degraded": degrade_share(*given, batch["mel"], share, draw)}
        voices = [name for name in ("reference_mel", "aligned_reference_mel") if name in batch]
        return batch | heard | {name: degrade_share(*given, batch[name], share, draw, True) for name in voices}

    def _leave_recordings_out(self, batch: Batch, step: int) -> Batch:
        """Chooses the crops whose decoder gets no recording of the voice, beside those that have none but their own."""
        if "reference_mel" not in batch:
            return batch
        alone = batch["alone"]
        drawn = torch.rand(len(alone), generator=make_generator(self.seed, step, LEFT_OUT_SALT)).to(alone.device)
        return batch | {"left_out": (drawn < self.p.drop_recording) | alone}

    def _get_mi_weight(self, name: str) -> float:
        return float(getattr(self.p, f"mi_{name}"))

    def _pair_mi_inputs(self, batch: Batch, out: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Returns (x, y) for each estimator, which predicts y from x, as in VQMIVC.

        Content has half the pitch's rate.
        """
        lf0, z, speaker = batch["lf0"], out["z"], out["speaker"]
        return {
            "content_voice": (speaker, z),
            "content_pitch": (halve_rate(lf0), z),
            "pitch_voice": (speaker, lf0[..., None]),
        }

    def _train_estimators(self, pairs: dict[str, tuple[Tensor, Tensor]]) -> Figures:
        figures: Figures = {}
        for _ in range(self.p.mi_steps):
            total = torch.zeros((), device=self.accelerator.device)
            for name, estimator in self.club.items():
                likelihood = estimator.compute_loglikelihood(*pairs[name])
                figures[f"likelihood_{name}"] = likelihood.detach()
                total = total - likelihood
            self.optimisers["estimators"].zero_grad()
            self.accelerator.backward(total)
            if self.accelerator.num_processes > 1:
                for parameter in self.estimators.parameters():
                    parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
            self.optimisers["estimators"].step()
        return figures

    def _train_discriminator(self, real: Tensor, fakes: list[Tensor]) -> Tensor:
        judge = self.auxiliary["discriminator"]
        loss = ((judge(real)[0] - 1) ** 2).mean() + torch.stack([(judge(fake)[0] ** 2).mean() for fake in fakes]).mean()
        self.optimisers["discriminator"].zero_grad()
        self.accelerator.backward(loss)
        self.optimisers["discriminator"].step()
        return loss.detach()

    def _train_critic(self, batch: Batch) -> Tensor:
        critic = self.auxiliary["critic"]
        real, voice = (
            torch.cat([batch[name], batch[f"more_{name}"]]) if f"more_{name}" in batch else batch[name]
            for name in ("mel", "dvector")
        )
        loss = self.accelerator.unwrap_model(critic).compute_loss(real, voice)
        self.optimisers["critic"].zero_grad()
        self.accelerator.backward(loss)
        self.optimisers["critic"].step()
        self.accelerator.unwrap_model(critic).remember(voice)
        return loss.detach()

    def _compute_terms(
        self, batch: Batch, out: dict[str, Tensor], step: int, adversarial: float
    ) -> dict[str, tuple[float, Tensor]]:
        """Returns the loss terms by name: (weight, value)."""
        p, mel = self.p, batch["mel"]
        own = losses.compute_reconstruction_loss(p.reconstruction, out["before"], out["after"], mel)
        terms = {"reconstruction": (1.0, own)}
        if p.vq > 0:
            terms["vq"] = (p.vq, out["vq"])
        if p.cpc > 0:
            predictions = [out[f"cpc_{k}"] for k in range(p.cpc_steps)]
            terms["cpc"] = (
                p.cpc,
                losses.compute_cpc_loss(predictions, out["z"], p.cpc_negatives, make_generator(self.seed, step))[0],
            )
        for salt, (name, (x, y)) in enumerate(self._pair_mi_inputs(batch, out).items(), start=1):
            if self._get_mi_weight(name) > 0:
                bound = self.club[name].estimate_mi(x, y, generator=make_generator(self.seed, step, salt))
                terms[f"mi_{name}"] = (self._get_mi_weight(name), bound)
        if p.distillation > 0:
            terms["distillation"] = (p.distillation, losses.compute_content_distance(out["z"], out["taught"].detach()))
        if p.pitch_level > 0 and "level_mean" in out:
            distance = F.smooth_l1_loss(out["level_mean"], batch["level"][:, 0], beta=0.1) + F.smooth_l1_loss(
                out["level_std"], batch["level"][:, 1], beta=0.1
            )
            terms["pitch_level"] = (p.pitch_level, distance)
        if p.cross_voice > 0:
            critic = self.accelerator.unwrap_model(self.auxiliary["critic"])
            with freeze_during([critic]):
                terms["cross_voice"] = (
                    p.cross_voice,
                    critic.compute_loss(out["crossed"], out["crossed_voice"], out["crossed_from"]),
                )
        if p.cross_content > 0:
            distance = losses.compute_content_distance(out["cycled"], out["crossed_content"])
            terms["cross_content"] = (p.cross_content, distance)
        terms |= compute_aligned_terms(p, batch, out)
        if adversarial > 0 and "discriminator" in self.auxiliary:
            terms |= self._compute_adversarial_terms(mel, out["after"], adversarial)
            judge = self.accelerator.unwrap_model(self.auxiliary["discriminator"])
            if "crossed" in out:
                with freeze_during([judge]):
                    score = ((judge(out["crossed"])[0] - 1) ** 2).mean()
                terms["crossed_adversarial"] = (p.adversarial * adversarial, score)
        return terms

    def _compute_adversarial_terms(
        self, real: Tensor, fake: Tensor, strength: float
    ) -> dict[str, tuple[float, Tensor]]:
        judge = self.accelerator.unwrap_model(self.auxiliary["discriminator"])
        with freeze_during([judge]):
            scores, features = judge(fake)
            with torch.no_grad():
                wanted = judge(real)[1]
            matching = torch.stack([F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)]).sum()
        return {
            "adversarial": (self.p.adversarial * strength, ((scores - 1) ** 2).mean()),
            "feature_matching": (self.p.feature_matching * strength, matching),
        }

    def _collect_figures(self, terms: dict[str, tuple[float, Tensor]], out: dict[str, Tensor], loss: Tensor) -> Figures:
        figures = {"loss": loss.detach(), **{name: value.detach() for name, (_, value) in terms.items()}}
        if self.p.vq > 0:
            figures["perplexity"] = out["perplexity"].detach()
        if "taught" in out:
            figures["content_cosine"] = F.cosine_similarity(out["z"], out["taught"], dim=-1).mean().detach()
        return figures
