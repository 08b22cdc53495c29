"""Settings of this family's model and trainings: frozen dataclasses. The defaults are the paper's values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from facevc_cli.core.choices import MelName
from facevc_cli.core.settings import ABOVE_ZERO, MOST_COUNT, Limits
from facevc_cli.families.base import ConversionConfig
from facevc_cli.training.config import RUN_LIMITS, OptimiserConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class ContentEncoderConfig:
    """`vq`: the paper's encoder with its code book.

    `distilled`: a Whisper-shaped encoder, trained on Whisper's output.
    """

    kind: Literal["vq", "distilled"] = "vq"
    channels: int = 512
    layers: int = 4
    codes: int = 512  # vq
    context_dim: int = 256  # vq: size of the LSTM output that CPC predicts from
    commitment: float = 0.25  # vq
    decay: float = 0.999  # vq: decay of the code book's moving averages
    heads: int = 8  # distilled
    window_s: float = 1.0  # distilled: longer input is encoded in windows of this length
    # distilled: each window also sees this much on both sides; window and context fit into a training crop
    context_s: float = 0.5
    teacher_dim: int = 512  # distilled: size of frames/content in the features store


@dataclass(frozen=True, kw_only=True)
class StreamEncoderConfig:
    """The causal content encoder, for streams. With a width of 0 the model has none."""

    width: int = 0
    blocks: int = 8
    lookahead_frames: int = 6  # of log-mel, even; the last estimate of a frame has heard this much after it


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """`recurrent`: the paper's, with a postnet. `convolutional`: ConvNeXt-like blocks with the voice in their norms."""

    kind: Literal["recurrent", "convolutional"] = "recurrent"
    channels: int = 512
    recurrent_dim: int = 1024  # recurrent
    postnet_channels: int = 512  # recurrent
    blocks: int = 8  # convolutional
    recording_tokens: int = 0  # convolutional: number of tokens that frames attend to, from a recording; 0: none


@dataclass(frozen=True, kw_only=True)
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
    unit_recall: bool = False  # scales recalled voices to unit length, the length of d-vectors
    face_contrast: float = 1.0  # multiplies a recalled voice's distance from the mean voice; averages are too near it
    pitch: Literal["normalised", "comb"] = "normalised"  # comb: absolute F0, as the log-mel of a harmonic comb
    content_encoder: ContentEncoderConfig = field(default_factory=ContentEncoderConfig)
    stream_encoder: StreamEncoderConfig = field(default_factory=StreamEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    reconstruction: Literal["mse_l1", "l1_delta"] = "mse_l1"  # l1_delta: L1 + 0.5 L1 of time differences
    cpc: float = 1.0  # weight of the term, as for the other terms below; 0 switches a term off
    cpc_steps: int = 6
    cpc_negatives: int = 10
    vq: float = 1.0
    mi_content_voice: float = 0.01
    mi_content_pitch: float = 0.01
    mi_pitch_voice: float = 0.01
    mi_steps: int = 5  # estimator steps per model step
    mi_learning_rate: float = 3e-4
    distillation: float = 0.0  # distance of the content to the teacher's bottleneck; needs a store with a teacher
    # from this share of the run, the decoder gets the encoder's content instead of the teacher's
    distilled_from: float = 0.6
    content_learning_rate: float = 3e-4  # learning rate of a distilled content encoder
    adversarial: float = 0.0  # mel discriminator, least squares
    feature_matching: float = 0.0
    adversarial_from: float = 0.4  # share of the run at which the discriminator starts
    pitch_level: float = 0.0  # error of the log-F0 mean and deviation predicted from the voice embedding
    cross_voice: float = 0.0  # speech decoded in another voice: a voice critic must recognise that voice
    critic_batch: int = 32  # extra crops per step that only the critic gets
    critic_ahead: int = 0  # number of first steps in which only the critic learns
    cross_content: float = 0.0  # the content encoder must find the same content in the converted speech
    aligned_voice: float = 0.0  # content heard in one voice, decoded in another, against that voice's aligned utterance
    aligned_content: float = 0.0  # aligned utterances must have the same content
    # share of the crops that the content encoder hears with another room, noise and microphone, and of the recordings
    # of voices
    degrade_recordings: float = 0.0
    # share of the crops whose decoder gets no tokens of a recording, as if the voice came from a face
    drop_recording: float = 0.5

    @property
    def aligns(self) -> bool:
        """True if any weighted term needs aligned utterances."""
        return self.aligned_voice + self.aligned_content > 0


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(learning_rate=2.5e-4, milestones=(0.4, 0.6, 0.8), gradient_clip=1.0)
    )
    # error of speech in the voice recalled for the face; a weight of 0 switches any term off
    reconstruction: float = 1.0
    recall: float = 1.0  # MSE of the voice embedding against its recall
    address: float = 10.0  # KL(voice address || face address)
    # student with another speaker's face against the frozen teacher with that speaker's voice
    inter_speaker: float = 0.2
    voice_reconstruction: float = 0.0  # error of speech in the voice embedding itself; keeps the decoder able to use it
    pitch_level: float = 0.0  # error of the log-F0 mean predicted from the voice recalled for the face
    freeze_decoder: bool = False
    standardise_faces: bool = False  # scales face embeddings to zero mean and unit deviation over the training faces
    # deviation of the noise on standardised face embeddings; prevents overfitting to the training faces
    face_noise: float = 0.0
    # kmeans: values start at k-means centres of the training voices
    init_memory: Literal["random", "kmeans"] = "random"

    @property
    def decodes(self) -> bool:
        """True if any weighted term needs the decoder, and so log-mel and F0."""
        return self.reconstruction + self.inter_speaker + self.voice_reconstruction > 0


@dataclass(frozen=True, kw_only=True)
class DistillConfig(RunConfig):
    """The training of the causal content encoder."""

    steps: int = 5_000
    batch_size: int = 12
    crop_frames: int = 256  # 3 s: the longest that the teacher hears in one window
    checkpoint_every: int = 200
    validate_every: int = 200
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=1e-3, warmup_steps=200, schedule="cosine", weight_decay=1e-3, gradient_clip=1.0
        )
    )
    cosine: float = 1.0  # weight of the cosine distance, beside the squared error
    degrade_recordings: float = 0.5  # share of the crops that are heard with another room, noise and microphone


_WIDTH, _DEPTH, _SHARE, _COUNT, _POSITIVE = (1, 8192), (1, 128), (0, 1), (1, MOST_COUNT), (1e-9, None)
# By setting, in any group. A value outside its limits would fail late or need too much memory. Other counts begin at 0.
LIMITS: Mapping[str, Limits] = {
    **RUN_LIMITS,
    **dict.fromkeys(
        ("channels", "codes", "context_dim", "teacher_dim", "recurrent_dim", "postnet_channels", "n_mels", "z_dim"),
        _WIDTH,
    ),
    **dict.fromkeys(("voice_dim", "dvector_dim", "face_dim", "slots"), _WIDTH),
    **dict.fromkeys(("layers", "heads", "blocks"), _DEPTH),
    **dict.fromkeys(("decay", "distilled_from", "degrade_recordings", "drop_recording"), _SHARE),
    "adversarial_from": (-1, 1),  # at -1 the ramp ends before the run begins
    **dict.fromkeys(("cpc_steps", "cpc_negatives"), _COUNT),
    "recording_tokens": (0, 1024),
    "width": (0, 8192),
    "lookahead_frames": (0, 128),
    "cosine": (0, None),
    **dict.fromkeys(("temperature", "window_s"), _POSITIVE),
    **dict.fromkeys(("mi_learning_rate", "content_learning_rate"), (ABOVE_ZERO, None)),
    **dict.fromkeys(("context_s", "face_noise", "face_contrast", "commitment"), (0, None)),
    # the weights of the terms
    **dict.fromkeys(("cpc", "vq", "mi_content_voice", "mi_content_pitch", "mi_pitch_voice", "distillation"), (0, None)),
    **dict.fromkeys(("adversarial", "feature_matching", "pitch_level", "cross_voice"), (0, None)),
    **dict.fromkeys(("cross_content", "reconstruction", "recall", "address"), (0, None)),
    **dict.fromkeys(("inter_speaker", "voice_reconstruction", "aligned_voice", "aligned_content"), (0, None)),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a model of this family."""

    family: ClassVar[str] = "fvmvc"
    name: str = "fvmvc"
    model: ModelConfig = field(default_factory=ModelConfig)
    conversion: ConversionConfig = field(default_factory=ConversionConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)


# settings of earlier versions, by where they stood
REMOVED: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("pretrain",): ("verify_voice", "verify_crops", "back_conversion", "perturb_voice"),
    ("model", "decoder"): ("voice_tokens",),
}


def upgrade_settings(tree: dict[str, Any]) -> dict[str, Any]:
    """Moves conversion settings from `model`, where earlier versions wrote them, to `conversion`.

    Drops settings that no longer exist.
    """
    for path, names in REMOVED.items():
        tree = _drop_settings(tree, path, names)
    model = tree.get("model")
    moved = {field.name for field in fields(ConversionConfig)}
    if not isinstance(model, Mapping) or not moved & model.keys():
        return tree
    kept = {key: value for key, value in model.items() if key not in moved}
    conversion = {key: value for key, value in model.items() if key in moved}
    already = tree.get("conversion", {})
    return {**tree, "model": kept, "conversion": {**already, **conversion} if isinstance(already, Mapping) else already}


def _drop_settings(tree: dict[str, Any], path: Sequence[str], names: Collection[str]) -> dict[str, Any]:
    """Returns a tree without some keys of the branch at `path`, if it has that branch."""
    if not path:
        return {key: value for key, value in tree.items() if key not in names}
    branch = tree.get(path[0])
    return {**tree, path[0]: _drop_settings(dict(branch), path[1:], names)} if isinstance(branch, Mapping) else tree
