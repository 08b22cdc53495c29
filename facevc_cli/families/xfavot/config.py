"""Settings of this family's model and training: frozen dataclasses. The defaults are the paper's, preset `xfavot`.

The paper prints no weights of the terms. These are those that its two ancestors publish, for pictures and for speech.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from facevc_cli.core.choices import MelName
from facevc_cli.core.settings import ABOVE_ZERO, MOST_COUNT, Limits
from facevc_cli.families.base import ConversionConfig
from facevc_cli.training.config import RUN_LIMITS, OptimiserConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    mel: MelName = "xfavot"
    n_mels: int = 80  # a multiple of 16
    image_px: int = 128  # a power of two, from 16
    image_channels: int = 128  # before the first block; each block down doubles them
    audio_channels: int = 64
    most_channels: int = 512
    style_dim: int = 64
    latent_dim: int = 16  # of the noise that becomes a style
    mapping_dim: int = 512
    shared_mapping: bool = False  # one branch of the mapping for all domains
    speakers: int = 128  # the domains of speakers, beside those of the two genders
    pitch_channels: int = 128


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    steps: int = 20_000
    batch_size: int = 32
    crop_frames: int = 192
    average_decay: float = 0.999
    keep_best: bool = False  # no loss says which step is best; the average of the weights is the result
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=1e-4, warmup_steps=0, milestones=(), betas=(0.0, 0.99), weight_decay=1e-4
        )
    )  # the weight decay is of the audio networks
    mapping_learning_rate: float = 1e-6
    # weights of the terms; a weight of 0 switches any term off
    image_adversarial: float = 1.0
    audio_adversarial: float = 2.0
    image_cycle: float = 1.0
    audio_cycle: float = 5.0
    style: float = 1.0
    diversity: float = 1.0  # falls to 0 over the run
    match: float = 1.0  # InfoNCE of the two styles of a person
    match_temperature: float = 0.07
    content: float = 10.0  # the content encoder of a checkpoint must hear the same content
    pitch: float = 5.0  # the same movement of the pitch
    pitch_from: float = 0.01  # share of the run at which the term begins: its reader learns in the same run
    level: float = 1.0  # the same level in each frame
    level_tolerance: float = 0.5  # in ln; a smaller difference is free
    source: float = 0.5  # the classifier of sources must hear the target
    source_from: float = 0.33
    smoothness: float = 1.0  # R1 of the discriminators
    smoothness_every: int = 1  # steps between two; more save time, and weigh as much more
    latent_share: float = 0.5  # share of the styles that come from noise, not from a picture or a recording
    other_share: float = 0.5  # of the rest, the share of pairs whose style comes from the other modality
    samples_every: int = 1000  # steps between two sheets of samples; 0: none


_WIDTH, _SHARE, _WEIGHT = (1, 8192), (0, 1), (0, None)
LIMITS: Mapping[str, Limits] = {
    **RUN_LIMITS,
    **dict.fromkeys(("image_channels", "audio_channels", "most_channels", "style_dim", "latent_dim"), _WIDTH),
    **dict.fromkeys(("mapping_dim", "pitch_channels", "n_mels"), _WIDTH),
    "image_px": (16, 1024),
    "speakers": (0, 100_000),
    **dict.fromkeys(("mapping_learning_rate", "match_temperature"), (ABOVE_ZERO, None)),
    **dict.fromkeys(("image_adversarial", "audio_adversarial", "image_cycle", "audio_cycle"), _WEIGHT),
    **dict.fromkeys(("style", "diversity", "match", "content", "pitch", "level", "level_tolerance"), _WEIGHT),
    **dict.fromkeys(("source", "smoothness"), _WEIGHT),
    **dict.fromkeys(("pitch_from", "source_from"), (-1, 1)),  # at -1 the ramp ends before the run begins
    **dict.fromkeys(("latent_share", "other_share"), _SHARE),
    "smoothness_every": (1, MOST_COUNT),
    "samples_every": (0, MOST_COUNT),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a model of this family."""

    family: ClassVar[str] = "xfavot"
    name: str = "xfavot"
    model: ModelConfig = field(default_factory=ModelConfig)
    conversion: ConversionConfig = field(default_factory=ConversionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
