"""A step of face training: the memory-based face-voice model with mixed supervision.

Content encoder and speaker encoder are frozen, and a frozen copy of the pretrained decoder teaches the inter-speaker
term: the same content in ANOTHER speaker's voice. The student gets that speaker's face, the teacher that speaker's
d-vector.
"""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import Batch
from facevc_cli.families.fvmvc import losses
from facevc_cli.families.fvmvc.config import Config, TrainConfig
from facevc_cli.families.fvmvc.losses import compute_reconstruction_loss
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.training.task import Figures, compute_learning_rate, freeze, make_generator, set_learning_rate

if TYPE_CHECKING:
    from accelerate import Accelerator

TERMS = ("reconstruction", "recall", "address", "inter_speaker", "voice_reconstruction", "pitch_level")


class MixedSupervision(nn.Module):
    """Computes all weighted terms in one forward pass. One module, so that several devices can share it."""

    def __init__(self, model: FaceVC, train: TrainConfig, reconstruction: str):
        super().__init__()
        self.model, self.train_config, self.reconstruction = model, train, reconstruction
        self.noise = make_generator(0, 0)  # draws the noise on faces; replaced in every step
        self.teacher = copy.deepcopy(nn.ModuleDict({"decoder": model.decoder, "pitch": model.pitch}))
        for module in (model.content_encoder, model.speaker_encoder, self.teacher):
            freeze(module)
        if model.pitch_level is not None:
            freeze(model.pitch_level)
        if train.freeze_decoder:
            freeze(model.decoder)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the unweighted terms by name, and the entropies of both addresses (nats)."""
        model, weights = self.model, self.train_config
        mel = batch.get("mel")
        level = (batch["level"][:, 0], batch["level"][:, 1])
        voice = self._embed_voice(batch["dvector"], mel)
        voice_address = model.memory.address(voice, "voice")
        face_address, face_recall = self._recall_face(batch["face"])
        terms = {
            "recall": F.mse_loss(model.memory.recall(voice_address), voice),
            "address": losses.compute_address_kl(voice_address, face_address),
            "voice_entropy": losses.compute_address_entropy(voice_address),
            "face_entropy": losses.compute_address_entropy(face_address),
        }
        if weights.pitch_level > 0 and model.pitch_level is not None:
            terms["pitch_level"] = F.smooth_l1_loss(model.pitch_level(face_recall)[0], level[0], beta=0.1)
        if weights.decodes:
            with torch.no_grad():
                z = model.content_encoder(batch["mel"].transpose(1, 2)).z
            terms |= self._decode_terms(batch, z, batch["mel"], batch["lf0"], level, voice, face_recall)
        return terms

    def _decode_terms(self, batch, z, mel, lf0, level, voice, face_recall) -> dict[str, Tensor]:
        model, weights, terms = self.model, self.train_config, {}
        if weights.reconstruction > 0:
            terms["reconstruction"] = compute_reconstruction_loss(
                self.reconstruction, *model.decode_both(z, lf0, face_recall, level), mel
            )
        if weights.voice_reconstruction > 0:
            terms["voice_reconstruction"] = compute_reconstruction_loss(
                self.reconstruction, *model.decode_both(z, lf0, voice, level), mel
            )
        if weights.inter_speaker > 0:
            _, other_recall = self._recall_face(batch["other_face"])
            other_level = (batch["other_level"][:, 0], level[1])
            with torch.no_grad():
                other_voice = self._embed_voice(batch["other_dvector"], batch.get("other_mel", mel))
                taught = self.teacher["decoder"](z, self.teacher["pitch"](lf0, *other_level), other_voice)[1]
            terms["inter_speaker"] = compute_reconstruction_loss(
                self.reconstruction, *model.decode_both(z, lf0, other_recall, other_level), taught
            )
        return terms

    def _embed_voice(self, dvector: Tensor, mel: Tensor | None) -> Tensor:
        """Returns the frozen voice embedding. Only a mel speaker encoder needs mel (B, T, n_mels)."""
        with torch.no_grad():
            return self.model.embed_voice(
                dvector if mel is None or self.model.config.speaker_encoder != "mel" else mel.transpose(1, 2)
            )

    def _recall_face(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the faces' log-addresses and recalled voice embeddings."""
        if self.training and self.train_config.face_noise > 0:
            noise = torch.randn(embedding.shape, generator=self.noise).to(embedding)
            embedding = embedding + self.train_config.face_noise * self.model.face_std * noise
        address = self.model.memory.address(self.model.embed_face(embedding), "face")
        return address, self.model.memory.recall(address)


class TrainTask:
    def __init__(self, model: FaceVC, config: Config, seed: int):
        self.model, self.config, self.t, self.seed = model, config, config.train, seed
        if not any(getattr(config.train, name) > 0 for name in TERMS):
            raise FaceVCError(
                f"every weight of the training loss is 0 (train.{', train.'.join(TERMS)}). Set at least one above 0."
            )
        supervision = MixedSupervision(model, config.train, config.pretrain.reconstruction)
        self.auxiliary = nn.ModuleDict({"supervision": supervision})
        o = config.train.optimiser
        moving = [p for p in supervision.parameters() if p.requires_grad]
        self.optimisers: dict[str, Optimizer] = {
            "model": Adam(moving, o.learning_rate, o.betas, weight_decay=o.weight_decay, fused=True)
        }

    def prepare(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self.model.to(accelerator.device)
        self.auxiliary["supervision"] = accelerator.prepare(self.auxiliary["supervision"])
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}

    def step(self, batch: Batch, step: int) -> Figures:
        o = self.t.optimiser
        set_learning_rate(self.optimisers["model"], compute_learning_rate(o, step, self.t.steps))
        self.accelerator.unwrap_model(self.auxiliary["supervision"]).noise = make_generator(
            self.seed, step, self.accelerator.process_index % 8
        )
        terms = self.auxiliary["supervision"](batch)
        loss = self._sum_terms(terms)
        self.optimisers["model"].zero_grad()
        self.accelerator.backward(loss)
        if o.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.auxiliary["supervision"].parameters(), o.gradient_clip)
        self.optimisers["model"].step()
        return {"loss": loss.detach(), **{k: v.detach() for k, v in terms.items()}}

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        terms = self.auxiliary["supervision"](batch)
        return {"loss": self._sum_terms(terms), **terms}

    def _sum_terms(self, terms: dict[str, Tensor]) -> Tensor:
        return torch.stack(
            [getattr(self.t, name) * terms[name] for name in TERMS if name in terms and getattr(self.t, name) > 0]
        ).sum()
