"""What a model is and how it is trained: frozen dataclasses whose defaults are the paper's, and YAML presets of differences.

Precedence: --set on the command line, then --config FILE, then --preset NAME, then the defaults below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from facevc_cli.core import settings
from facevc_cli.core.choices import MelName, name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.parsing import LONGEST_SHOWN, parse_settings, parse_yaml, read_text, shorten
from facevc_cli.core.settings import ABOVE_ZERO, MOST_COUNT, Limits, to_dict

C = TypeVar("C")


@dataclass(frozen=True)
class ContentEncoderConfig:
    """`vq`: the paper's encoder with its code book. `distilled`: a Whisper-shaped encoder taught by Whisper's own output."""

    kind: Literal["vq", "distilled"] = "vq"
    channels: int = 512
    layers: int = 4
    codes: int = 512  # vq
    context_dim: int = 256  # vq: of the LSTM that CPC predicts from
    commitment: float = 0.25  # vq
    decay: float = 0.999  # vq: of the code book's moving averages
    heads: int = 8  # distilled
    window_s: float = 1.0  # distilled: longer input is encoded in windows of this length ...
    context_s: float = 0.5  # ... that see this much of their neighbours; both together no longer than the crops it was trained on
    teacher_dim: int = 512  # distilled: of the features store's frames/content


@dataclass(frozen=True)
class DecoderConfig:
    """`recurrent`: the paper's, with a postnet. `convolutional`: ConvNeXt-like blocks with the voice in their norms."""

    kind: Literal["recurrent", "convolutional"] = "recurrent"
    channels: int = 512
    recurrent_dim: int = 1024  # recurrent
    postnet_channels: int = 512  # recurrent
    blocks: int = 8  # convolutional


@dataclass(frozen=True)
class ModelConfig:
    mel: MelName = "fvmvc"
    n_mels: int = 80
    z_dim: int = 64
    voice_dim: int = 256
    dvector_dim: int = 256
    # dvector: channel attention; mel: convolutions on the mel; identity: the d-vector itself
    speaker_encoder: Literal["dvector", "mel", "identity"] = "dvector"
    normalise_mel_embedding: bool = True  # "mel" only: FVMVC L2-normalises, VQMIVC does not
    face_dim: int = 512
    slots: int = 96
    temperature: float = 1.0
    unit_recall: bool = False  # what the memory recalls is scaled to unit length, as d-vectors are
    face_contrast: float = 1.0  # how far a face's recalled voice is taken from the mean of the memory's: averages of voices lie too near it
    voice_guidance: float = 0.0  # conversion: how far the log-mel is taken away from what the source's own voice would give
    content_retrieval: float = 0.0  # conversion by a recording: how far frames of content are taken towards the most alike in it
    spectrum_matching: float = 0.0  # conversion by a recording: how far each band's mean over speech is taken to the recording's
    deviation_matching: float = 0.0  # ... and each band's deviation
    pitch_range_matching: float = 0.0  # ... and the deviation of ln F0
    variance_scale: float = 1.0  # conversion: each band's deviations from its mean over the utterance, times this
    pitch: Literal["normalised", "comb"] = "normalised"  # comb: the absolute F0 as a harmonic comb's log-mel
    content_encoder: ContentEncoderConfig = field(default_factory=ContentEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


# of the model, what only conversion looks at: weights do not depend on it
CONVERSION_SETTINGS = ("voice_guidance", "content_retrieval", "spectrum_matching", "deviation_matching", "pitch_range_matching", "variance_scale")


@dataclass(frozen=True)
class OptimiserConfig:
    learning_rate: float = 1e-3
    warmup_steps: int = 1000
    schedule: Literal["milestones", "cosine"] = "milestones"  # cosine: down to a fiftieth
    milestones: tuple[float, ...] = (0.6, 0.8, 1.0)  # shares of the run, after each the rate is halved
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gradient_clip: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """What both trainings have in common."""

    steps: int = 100_000
    batch_size: int = 256
    crop_frames: int = 128
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    checkpoint_every: int = 1000  # steps: what a killed run can lose
    validate_every: int = 1000
    validation_batches: int = 8
    keep_best: bool = True  # beside the last checkpoint the one of least validation loss, which is then the run's
    log_every: int = 20
    workers: int = 2  # processes that read crops ahead


@dataclass(frozen=True)
class PretrainConfig(RunConfig):
    reconstruction: Literal["mse_l1", "l1_delta"] = "mse_l1"  # l1_delta: L1 + 0.5 L1 of time differences
    cpc: float = 1.0  # weight; 0 switches a term off
    cpc_steps: int = 6
    cpc_negatives: int = 10
    vq: float = 1.0
    mi_content_voice: float = 0.01
    mi_content_pitch: float = 0.01
    mi_pitch_voice: float = 0.01
    mi_steps: int = 5  # estimator steps a model step
    mi_learning_rate: float = 3e-4
    distillation: float = 0.0  # content encoder against the teacher's bottleneck; above 0 needs a store with a teacher
    distilled_from: float = 0.6  # share of the run after which the decoder hears the content encoder instead of the teacher
    content_learning_rate: float = 3e-4  # of a distilled content encoder
    adversarial: float = 0.0  # mel discriminator, least squares
    feature_matching: float = 0.0
    adversarial_from: float = 0.4  # share of the run
    pitch_level: float = 0.0  # mean and spread of log F0 out of the voice embedding
    cross_voice: float = 0.0  # speech decoded in another's voice: a critic that knows voices must hear the other
    critic_batch: int = 32  # more crops a step, which the critic alone hears
    critic_ahead: int = 0  # steps at the beginning in which the critic alone learns
    verify_voice: float = 0.0  # ... and so must a frozen verifier (--verifier), which has heard thousands of voices
    verify_crops: int = 4  # of a batch, for the verifier costs as much as all the rest
    cross_content: float = 0.0  # ... and the content encoder must find the content again
    back_conversion: float = 0.0  # ... and decoding that again in the speaker's own voice must give the speaker's own mel
    perturb_voice: float = 0.0  # share of the crops that the content encoder hears in a disguised voice


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(learning_rate=2.5e-4, milestones=(0.4, 0.6, 0.8), gradient_clip=1.0)
    )
    reconstruction: float = 1.0  # with the recalled face embedding; a weight of 0 switches any term off
    recall: float = 1.0  # MSE of the voice embedding against its recall
    address: float = 10.0  # KL(voice address || face address)
    inter_speaker: float = 0.2  # another speaker's face against the frozen teacher with that speaker's voice
    voice_reconstruction: float = 0.0  # keeps the decoder able to speak with the voice embedding itself
    pitch_level: float = 0.0  # log F0 level out of the recalled face embedding
    freeze_decoder: bool = False
    standardise_faces: bool = False  # face embeddings to zero mean and unit deviation over the training faces
    face_noise: float = 0.0  # deviation of noise on standardised face embeddings, against learning faces by heart
    init_memory: Literal["random", "kmeans"] = "random"  # kmeans: values start at the centres of the training voices

    @property
    def decodes(self) -> bool:
        """Whether any weighted term needs the decoder, and with it mel and F0."""
        return self.reconstruction + self.inter_speaker + self.voice_reconstruction > 0


_WIDTH, _DEPTH, _SHARE, _COUNT, _POSITIVE = (1, 8192), (1, 128), (0, 1), (1, MOST_COUNT), (1e-9, None)
# By setting, whatever group it is in: what is beyond them fails late, or asks for more memory than there is. Other counts begin at 0.
LIMITS: Mapping[str, Limits] = {
    **dict.fromkeys(("channels", "codes", "context_dim", "teacher_dim", "recurrent_dim", "postnet_channels", "n_mels", "z_dim"), _WIDTH),
    **dict.fromkeys(("voice_dim", "dvector_dim", "face_dim", "slots"), _WIDTH),
    **dict.fromkeys(("layers", "heads", "blocks"), _DEPTH),
    **dict.fromkeys(("decay", "milestones", "distilled_from", "perturb_voice"), _SHARE),
    "adversarial_from": (-1, 1),  # below 0 the ramp is over when the run begins
    "betas": (0, 0.999999),  # 1 would never forget
    **dict.fromkeys(("steps", "checkpoint_every", "validate_every", "validation_batches", "log_every"), _COUNT),
    **dict.fromkeys(("cpc_steps", "cpc_negatives"), _COUNT),
    **dict.fromkeys(("batch_size", "crop_frames"), (1, 2**20)),
    **dict.fromkeys(("temperature", "window_s", "gradient_clip"), _POSITIVE),
    **dict.fromkeys(("learning_rate", "mi_learning_rate", "content_learning_rate"), (ABOVE_ZERO, None)),
    **dict.fromkeys(("context_s", "weight_decay", "face_noise", "face_contrast", "commitment"), (0, None)),
    # the weights of the terms
    **dict.fromkeys(("cpc", "vq", "mi_content_voice", "mi_content_pitch", "mi_pitch_voice", "distillation"), (0, None)),
    **dict.fromkeys(("adversarial", "feature_matching", "pitch_level", "cross_voice", "verify_voice"), (0, None)),
    **dict.fromkeys(("cross_content", "back_conversion", "reconstruction", "recall", "address"), (0, None)),
    **dict.fromkeys(("inter_speaker", "voice_reconstruction"), (0, None)),
    "workers": (0, 1024),
}


@dataclass(frozen=True)
class Config:
    name: str = "fvmvc"
    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in files("facevc_cli.presets").iterdir() if p.name.endswith(".yaml"))


def load_config(
    preset: str = "fvmvc", file: Path | None = None, overrides: Sequence[str] = (), model: ModelConfig | None = None
) -> Config:
    """A preset, with a YAML file's and then `key.path=value` differences on top.

    model: stands in for the preset's, under the differences. FaceVCError names what is wrong in the file, UsageError
    an unknown preset and what is wrong in a difference; each names a near key or value.
    """
    if preset not in preset_names():
        raise UsageError(f"--preset {shorten(preset)}: {name_allowed(preset, preset_names())}")
    tree = parse_settings(files("facevc_cli.presets").joinpath(f"{preset}.yaml").read_text(encoding="utf-8"), f"preset {preset}")
    tree["name"] = preset
    if model is not None:
        tree["model"] = to_dict(model)
    if file is not None:
        _merge(tree, parse_settings(read_text(file), str(file)))
    for override in overrides:
        _merge(tree, _parse_override(override))
    return from_dict(Config, tree, str(file) if file else f"preset {preset}")


def _parse_override(override: str) -> dict[str, Any]:
    """`key.path=value` as nested dicts; UsageError if it is no such text, or no setting by itself."""
    path, equals, value = override.partition("=")
    if not equals:
        raise UsageError(f"--set {shorten(override)}: expected KEY.PATH=VALUE, for example --set pretrain.steps=5000.")
    where = f"--set {override[:LONGEST_SHOWN]}"
    try:
        branch: Any = parse_yaml(value, where)
        for key in reversed(path.split(".")):
            branch = {key: branch}
        from_dict(Config, branch, where)
    except FaceVCError as error:
        raise UsageError(str(error)) from error
    return dict(branch)


def from_dict(kind: type[C], tree: Mapping[str, Any], where: str) -> C:
    """A group of settings out of nested dicts; unknown keys, and values of the wrong type or beyond `LIMITS`, are FaceVCErrors."""
    return settings.from_dict(kind, tree, where, LIMITS)


def _merge(tree: dict[str, Any], differences: Mapping[str, Any]) -> None:
    for key, value in differences.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value
