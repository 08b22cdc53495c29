"""What a model of this family is and how it is trained: frozen dataclasses whose defaults are the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from facevc_cli.core.choices import MelName
from facevc_cli.core.settings import ABOVE_ZERO, MOST_COUNT, Limits
from facevc_cli.families.base import ConversionConfig
from facevc_cli.training.config import RUN_LIMITS, OptimiserConfig, RunConfig


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
    pitch: Literal["normalised", "comb"] = "normalised"  # comb: the absolute F0 as a harmonic comb's log-mel
    content_encoder: ContentEncoderConfig = field(default_factory=ContentEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


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
    **RUN_LIMITS,
    **dict.fromkeys(("channels", "codes", "context_dim", "teacher_dim", "recurrent_dim", "postnet_channels", "n_mels", "z_dim"), _WIDTH),
    **dict.fromkeys(("voice_dim", "dvector_dim", "face_dim", "slots"), _WIDTH),
    **dict.fromkeys(("layers", "heads", "blocks"), _DEPTH),
    **dict.fromkeys(("decay", "distilled_from", "perturb_voice"), _SHARE),
    "adversarial_from": (-1, 1),  # below 0 the ramp is over when the run begins
    **dict.fromkeys(("cpc_steps", "cpc_negatives"), _COUNT),
    **dict.fromkeys(("temperature", "window_s"), _POSITIVE),
    **dict.fromkeys(("mi_learning_rate", "content_learning_rate"), (ABOVE_ZERO, None)),
    **dict.fromkeys(("context_s", "face_noise", "face_contrast", "commitment"), (0, None)),
    # the weights of the terms
    **dict.fromkeys(("cpc", "vq", "mi_content_voice", "mi_content_pitch", "mi_pitch_voice", "distillation"), (0, None)),
    **dict.fromkeys(("adversarial", "feature_matching", "pitch_level", "cross_voice", "verify_voice"), (0, None)),
    **dict.fromkeys(("cross_content", "back_conversion", "reconstruction", "recall", "address"), (0, None)),
    **dict.fromkeys(("inter_speaker", "voice_reconstruction"), (0, None)),
}


@dataclass(frozen=True)
class Config:
    """All settings of a model of this family."""

    family: ClassVar[str] = "fvmvc"
    name: str = "fvmvc"
    model: ModelConfig = field(default_factory=ModelConfig)
    conversion: ConversionConfig = field(default_factory=ConversionConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def upgrade_settings(tree: dict[str, Any]) -> dict[str, Any]:
    """Settings in which those of conversion are part of `model`, as earlier versions wrote them, as they are now."""
    model = tree.get("model")
    moved = {field.name for field in fields(ConversionConfig)}
    if not isinstance(model, Mapping) or not moved & model.keys():
        return tree
    kept = {key: value for key, value in model.items() if key not in moved}
    conversion = {key: value for key, value in model.items() if key in moved}
    already = tree.get("conversion", {})
    return {**tree, "model": kept, "conversion": {**already, **conversion} if isinstance(already, Mapping) else already}
