"""The training of this family: generators against discriminators, in both modalities at once."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.crops import Batch
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.xfavot.config import Config
from facevc_cli.families.xfavot.content import ContentListener
from facevc_cli.families.xfavot.judging import Judging, PitchReading, SourceReading
from facevc_cli.families.xfavot.model import (
    StyleModel,
    build_model,
    make_audio_discriminator,
    make_image_discriminator,
)
from facevc_cli.families.xfavot.networks.blocks import initialise
from facevc_cli.families.xfavot.networks.pitch import PitchReader
from facevc_cli.families.xfavot.sheets import draw_sheet
from facevc_cli.families.xfavot.terms import (
    AdversarialTerm,
    ContentTerm,
    CycleTerm,
    DiversityTerm,
    GenderTerm,
    LevelMeter,
    LevelTerm,
    Made,
    MatchTerm,
    PitchTerm,
    SourceTerm,
    StyleTerm,
    Term,
)
from facevc_cli.families.xfavot.training_inputs import read_inputs
from facevc_cli.families.xfavot.translations import SIDES, Translations, gather_made
from facevc_cli.training.samples import Samples
from facevc_cli.training.task import (
    Figures,
    compute_learning_rate,
    freeze,
    freeze_during,
    ramp_up,
    set_learning_rate,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

CONTENT = "content"  # the option that names the checkpoint which hears the content
Weighted = dict[str, tuple[float, Tensor]]  # term -> weight, value


class StyleTraining:
    """Trains on a store of log-mels, a store of pictures and a table of people."""

    validation = None  # no loss says how good a generator is; the sheets show it

    def __init__(self, request: TrainingRequest):
        name, init = request.config.name, request.init_path
        if init is not None:
            raise UsageError(f"preset {name!r} trains from the beginning. Leave --init {init} out.")
        if request.sampling_weights is not None:
            raise UsageError(f"preset {name!r} draws people, not utterances. Leave --sampling-weights out.")
        self.request, self.run = request, request.config.train
        self.inputs = read_inputs(request)
        self.training, self.frontend = self.inputs.training, self.inputs.frontend

    def make_task(self, resume: bool) -> "StyleTask":
        config = self.request.config
        model = build_model(config.model, "the settings")
        mean, std = map(torch.from_numpy, self.inputs.statistics)
        model.set_statistics(mean, std)
        listener = self._load_listener(mean, std) if config.train.content > 0 else None
        return StyleTask(model, config, listener, self.inputs.samples[0])

    def _load_listener(self, mean: Tensor, std: Tensor) -> ContentListener:
        """Loads the checkpoint of --content, or the bundled one."""
        path = self.request.files.get(CONTENT)
        heard = load_checkpoint(path if path is None else path.parent)
        own = MEL_DEFINITIONS[self.request.config.model.mel]
        return ContentListener(heard.model, heard.frontend.definition, own, mean, std)


class StyleTask:
    def __init__(self, model: StyleModel, config: Config, listener: ContentListener | None, samples: Batch):
        """samples: the batch that the sheets show."""
        self.model, self.config, self.t, self.samples = model, config, config.train, samples
        self.samples_every = self.t.samples_every
        m, t = config.model, config.train
        if not max(t.image_adversarial, t.audio_adversarial, t.image_cycle, t.audio_cycle) > 0:
            raise FaceVCError(
                "no term asks for pictures or speech: every adversarial and cycle weight is 0. Set at least one above "
                "0, such as train.image_adversarial=1."
            )
        reader = PitchReader(m.n_mels, m.pitch_channels)
        initialise(reader)
        self.auxiliary = nn.ModuleDict(
            {
                "translations": Translations(model),
                "image_judge": Judging(make_image_discriminator(m)),
                "audio_judge": Judging(make_audio_discriminator(m)),
                "source_reader": SourceReading(make_audio_discriminator(m)),
                "pitch_reader": PitchReading(reader),
            }
        )
        self.listener = listener
        self.meter = LevelMeter(model.mel_mean, model.mel_std, MEL_DEFINITIONS[m.mel].log)
        for module in filter(None, (self.listener, self.meter)):
            freeze(module)
        self.optimisers = self._make_optimisers()

    def _make_optimisers(self) -> dict[str, Optimizer]:
        """Adam for pictures and the mapping, AdamW for speech."""
        o, model, judges = self.t.optimiser, self.model, self.auxiliary
        images: list[dict[str, Any]] = [
            {"params": list(model.image.parameters())},
            {"params": list(model.mapping.parameters()), "scale": self.t.mapping_learning_rate / o.learning_rate},
        ]
        heard = [p for name in ("audio_judge", "source_reader", "pitch_reader") for p in judges[name].parameters()]
        return {
            "images": Adam(images, o.learning_rate, o.betas),
            "audio": AdamW(model.audio.parameters(), o.learning_rate, o.betas, weight_decay=o.weight_decay),
            "image_judges": Adam(judges["image_judge"].parameters(), o.learning_rate, o.betas),
            "audio_judges": AdamW(heard, o.learning_rate, o.betas, weight_decay=o.weight_decay),
        }

    def prepare(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        for module in filter(None, (self.model, self.listener, self.meter)):
            module.to(accelerator.device)
        for name in list(self.auxiliary):
            self.auxiliary[name] = accelerator.prepare(self.auxiliary[name])
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}

    def step(self, batch: Batch, step: int) -> Figures:
        for optimiser in self.optimisers.values():
            set_learning_rate(optimiser, compute_learning_rate(self.t.optimiser, step, self.t.steps))
        out = self.auxiliary["translations"](batch)
        made = {side: gather_made(batch, out, side) for side in SIDES}
        learned = self.compute_judge_terms(batch, made, step)
        self._learn(learned, ("image_judges", "audio_judges"))
        with freeze_during(self._list_judges()), self.accelerator.autocast():
            terms = self.compute_terms(batch, out, made, step)
            loss = self._learn(terms, ("images", "audio"))
        return {"loss": loss, **{name: value.detach() for name, (_, value) in (terms | learned).items()}}

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        """Returns the generators' terms. `loss` is of those that compare with something true."""
        out = self.auxiliary["translations"](batch)
        terms = self.compute_terms(batch, out, {side: gather_made(batch, out, side) for side in SIDES}, step)
        known = [weight * value for name, (weight, value) in terms.items() if name.endswith(("cycle", "style"))]
        return {"loss": torch.stack(known).sum(), **{name: value for name, (_, value) in terms.items()}}

    def _list_judges(self) -> list[nn.Module]:
        return [module for name, module in self.auxiliary.items() if name != "translations"]

    def _get_judge(self, name: str) -> nn.Module:
        return self.accelerator.unwrap_model(self.auxiliary[name]).network

    def _learn(self, terms: Weighted, optimisers: tuple[str, ...]) -> Tensor:
        """Moves what these optimisers hold. Returns the weighted sum of the terms."""
        loss = torch.stack([weight * value.float() for weight, value in terms.values()]).sum()
        for name in optimisers:
            self.optimisers[name].zero_grad()
        self.accelerator.backward(loss)
        for name in optimisers:
            if self.t.optimiser.gradient_clip is not None:
                own = [p for group in self.optimisers[name].param_groups for p in group["params"]]
                self.accelerator.clip_grad_norm_(own, self.t.optimiser.gradient_clip)
            self.optimisers[name].step()
        return loss.detach()

    def compute_judge_terms(self, batch: Batch, made: dict[str, Made], step: int) -> Weighted:
        """Returns what the judges learn from: (weight, value) by name."""
        t, judges, audio = self.t, self.auxiliary, made["audio"]
        smooths = t.smoothness > 0 and step % t.smoothness_every == 0
        terms: Weighted = {}
        for side, weight in (("image", t.image_adversarial), ("audio", t.audio_adversarial)):
            if weight > 0:
                one = made[side]
                found = judges[f"{side}_judge"](one.real, one.fake.detach(), one.source, one.target, smooths)
                terms[f"{side}_judge"] = (1.0, found["judge"])
                if smooths:
                    terms[f"{side}_smoothness"] = (t.smoothness * t.smoothness_every, found["smoothness"])
        if t.source > 0:
            terms["source_reader"] = (1.0, judges["source_reader"](audio.fake.detach(), audio.source))
        if t.pitch > 0:
            terms["pitch_reader"] = (1.0, judges["pitch_reader"](audio.real, batch["log_f0"]))
        return terms

    def compute_terms(self, batch: Batch, out: dict[str, Tensor], made: dict[str, Made], step: int) -> Weighted:
        """Returns what the generators, encoders and the mapping learn from: (weight, value) by name.

        A term of weight 0 is left out, and costs nothing.
        """
        t = self.t
        terms: Weighted = {}
        for side, adversarial, cycle in (
            ("image", t.image_adversarial, t.image_cycle),
            ("audio", t.audio_adversarial, t.audio_cycle),
        ):
            wanted: dict[str, tuple[float, Term]] = {
                "adversarial": (adversarial, AdversarialTerm(self._get_judge(f"{side}_judge"))),
                "style": (t.style, StyleTerm()),
                "diversity": (t.diversity * max(0.0, 1 - step / t.steps), DiversityTerm()),
                "cycle": (cycle, CycleTerm()),
                "gender": (1.0, GenderTerm()),
                **(self._list_audio_terms(step) if side == "audio" else {}),
            }
            terms |= {f"{side}_{n}": (w, term.compute(made[side])) for n, (w, term) in wanted.items() if w > 0}
        paired = batch["paired"]
        if t.match > 0:
            matching = MatchTerm(t.match_temperature)
            image, audio = (out[f"{side}_reference_style"][paired] for side in ("image", "audio"))
            terms["match"] = (t.match, matching.compute(image, audio, batch["person"][paired]))
        return terms

    def _list_audio_terms(self, step: int) -> dict[str, tuple[float, Term]]:
        t = self.t
        terms: dict[str, tuple[float, Term]] = {
            "pitch": (t.pitch * ramp_up(step, t, t.pitch_from), PitchTerm(self._get_judge("pitch_reader"))),
            "level": (t.level, LevelTerm(self.meter, t.level_tolerance)),
            "source": (t.source * ramp_up(step, t, t.source_from), SourceTerm(self._get_judge("source_reader"))),
        }
        if self.listener is not None:
            terms["content"] = (t.content, ContentTerm(self.listener))
        return terms

    def draw_samples(self) -> Samples:
        """Makes the sheets of pictures and the sounds that a run keeps."""
        return draw_sheet(self.model, self.samples, self.config.model.mel)
