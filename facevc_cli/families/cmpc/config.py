"""Settings of this family's model and training: frozen dataclasses. The defaults are the preset's values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from facevc_cli.core.settings import MOST_COUNT, Limits
from facevc_cli.families.base import ConversionConfig
from facevc_cli.training.config import RUN_LIMITS, OptimiserConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The residual networks that see crops and hear log-mels. The defaults make ResNet-34."""

    width: int = 64  # channels of the first group of blocks; each later group has twice as many
    blocks: tuple[int, ...] = (3, 4, 6, 3)  # in each group; a block has two convolutions


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    faces: Literal["embeddings", "crops"] = "embeddings"  # what the model takes of a face
    voices: Literal["d-vectors", "log-mels"] = "d-vectors"  # what it takes of a voice
    network: NetworkConfig = field(default_factory=NetworkConfig)  # for crops and log-mels
    mel_bands: int = 80
    face_dim: int = 162  # size of the face embeddings: 162 for fused, 128 for dlib, 512 for facenet
    dvector_dim: int = 256
    hidden_dim: int = 256  # width between the two layers of each head
    space_dim: int = 128  # size of the space of faces and voices


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    steps: int = 2000
    batch_size: int = 128
    checkpoint_every: int = 500
    validate_every: int = 100
    workers: int = 0  # embeddings are in memory
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=1e-3, warmup_steps=50, schedule="cosine", weight_decay=0.01, gradient_clip=1.0
        )
    )
    temperature: float = 0.03  # of the instance term, and the mean temperature of the clusters
    instance: float = 1.0  # weight of the term: a face and its own voice against other people's
    prototype: float = 1.0  # weight of the term: a face against the clusters of voices, and the other way; 0: off
    instance_weights: float = 1.0  # how much pairs count by how well they fit; 0: all count the same
    clusters: tuple[int, ...] = (16, 32, 64)  # numbers of clusters: one k-means for each
    cluster_from: int = 200  # step of the first k-means; before it, only the instance term acts
    cluster_every: int = 100  # steps between two k-means; the prototypes stay between them
    bank_momentum: float = 0.5  # how much of an item's old place the memory bank keeps
    dropout: float = 0.2  # share of the hidden numbers that a step leaves out
    face_noise: float = 0.5  # deviation of the noise on standardised face embeddings
    voice_noise: float = 0.5  # the same for d-vectors
    smallest_view: float = 0.8  # of crops: a step shows a part whose side is this share or more, by chance mirrored
    colour_jitter: float = 0.3  # of crops: most relative change of brightness, contrast and saturation
    validation_share: float = 0.15  # share of the speakers, and of the faces, that only validate


_WIDTH, _SHARE = (1, 8192), (0, 1)
LIMITS: Mapping[str, Limits] = {
    **RUN_LIMITS,
    **dict.fromkeys(("face_dim", "dvector_dim", "hidden_dim", "space_dim", "mel_bands"), _WIDTH),
    "width": (1, 1024),
    "blocks": (1, 64),
    **dict.fromkeys(("instance", "prototype", "face_noise", "voice_noise"), (0, None)),
    "instance_weights": _SHARE,
    "temperature": (1e-3, None),
    "clusters": (2, 1_000_000),
    "cluster_every": (1, MOST_COUNT),
    "bank_momentum": (0, 0.999),
    "dropout": (0, 0.95),
    "smallest_view": (0.05, 1),
    "colour_jitter": (0, 0.95),
    "validation_share": (0, 0.9),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a model of this family."""

    family: ClassVar[str] = "cmpc"
    name: str = "cmpc"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def conversion(self) -> ConversionConfig:
        """The defaults. This family does not convert."""
        return ConversionConfig()
