"""What a family of models is. Commands, conversion and checkpoints know a family by this file alone.

A family is one `Family` object: the class of its settings, how a model is built from them, and its trainings. It is found by its name: a folder
`families/NAME/family.py` with an object `FAMILY`, or an entry point in the group `facevc.families`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from facevc_cli.core.settings import NO_LIMITS, Limits
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.training.config import RunConfig
from facevc_cli.training.task import Task

if TYPE_CHECKING:
    from facevc_cli.families.checkpoint import Checkpoint


class Capability(StrEnum):
    """What a model can do beyond speaking in the voice of a recording."""

    MEMORY = "memory"  # faces and voices have addresses: mixes, voice cards and rankings
    PITCH = "pitch"  # it is told how high a voice lies


@dataclass(frozen=True)
class ConversionConfig:
    """What only a conversion looks at. Weights do not depend on it."""

    voice_guidance: float = 0.0  # how far the log-mel is taken away from what the source's own voice would give
    content_retrieval: float = 0.0  # by a recording: how far frames of content are taken towards the most alike in it
    spectrum_matching: float = 0.0  # by a recording: how far each band's mean over speech is taken to the recording's
    deviation_matching: float = 0.0  # ... and each band's deviation
    pitch_range_matching: float = 0.0  # ... and the deviation of ln F0
    variance_scale: float = 1.0  # each band's deviations from its mean over the utterance, times this


class FamilyConfig(Protocol):
    """The settings of a model: a frozen dataclass with these fields, and a group of settings for each training."""

    family: ClassVar[str]

    @property
    def name(self) -> str:
        """Of the preset that they began from."""

    @property
    def model(self) -> Any:
        """What the model is built from."""

    @property
    def conversion(self) -> ConversionConfig: ...


class ConversionModel(Protocol):
    """What a conversion asks of a torch module. B: batch, T: frames of log-mel, D: the size of its voice embedding."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def needs_dvector(self) -> bool:
        """Whether a recording's voice comes from its d-vector, not from its log-mel."""

    def normalise(self, mel: Tensor) -> Tensor:
        """Log-mel (..., n_mels) of the front-end, as the model wants it."""

    def denormalise(self, mel: Tensor) -> Tensor:
        """The inverse."""

    def hear_content(self, mel: Tensor) -> Tensor:
        """Normalised log-mel (B, n_mels, T) -> what is said (B, any length, any size)."""

    def embed_voice(self, voice: Tensor) -> Tensor:
        """d-vectors (B, 256), or normalised log-mels (B, n_mels, T) where `needs_dvector` is false, -> voice embeddings (B, D)."""

    def recall_face(self, embedding: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor | None]:
        """Face embeddings (B, face_dim) -> voice embeddings (B, D), and with `MEMORY` their addresses (B, slots), else None."""

    def predict_pitch(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Voice embeddings (B, D) -> mean and deviation (B,) of their ln F0 (Hz); without `PITCH` any neutral values."""

    def decode(self, content: Tensor, log_f0: Tensor, voice: Tensor, level: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Content, ln F0 (B, T) with zero mean and unit deviation, voices (B, D) -> normalised log-mel (B, T, n_mels).

        level: mean and deviation (B,) of the ln F0 to speak at.
        """


class MemoryModel(ConversionModel, Protocol):
    """A model with `MEMORY`. S: slots. Addresses go in and out as logarithms."""

    @property
    def temperature(self) -> float:
        """Of the softmax over the slots; lower is sharper."""

    def slot_values(self) -> Tensor:
        """The voices that it recalls from: (S, D)."""

    def address_voice(self, voice: Tensor, temperature: float | None = None) -> Tensor:
        """Voice embeddings (B, D) -> log-addresses (B, S)."""

    def mix_addresses(self, log_addresses: Tensor, weights: Tensor) -> Tensor:
        """Log-addresses (K, S) with weights (K,) -> the log of their weighted mean (1, S)."""

    def recall_address(self, log_address: Tensor) -> Tensor:
        """Log-addresses (B, S) -> voice embeddings (B, D)."""

    def predict_pitch_at(self, log_address: Tensor) -> tuple[Tensor, Tensor]:
        """`predict_pitch` of what lies at log-addresses (B, S)."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What a training command was given. Its stores are open."""

    config: Any  # of the family's class
    seed: int
    features: Store
    voices: Store
    faces: Store | None = None
    pairs: Path | None = None  # table: utterance or speaker, face
    sampling_weights: Path | None = None  # table: utterance, weight
    init: "Checkpoint | None" = None  # the model to begin from
    init_path: Path | None = None  # where it is
    files: Mapping[str, Path] = field(default_factory=dict)  # what only one family asks for, by option
    rank: int = 0
    processes: int = 1


class Training(Protocol):
    """One training of a family. Making it reads and checks what was given; it writes nothing."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def training(self) -> "Dataset[Any]":
        """`training[step]` is the batch of that step."""

    @property
    def validation(self) -> "Dataset[Any] | None":
        """None if the stores have no validation split."""

    @property
    def frontend(self) -> Frontend:
        """Of the features that it reads."""

    def make_task(self, resume: bool) -> Task:
        """Builds the model and what trains it. resume: the weights are about to come from the run's own checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Family:
    name: str
    config: type[Any]  # a FamilyConfig
    build: Callable[[Any, str], nn.Module]  # the `model` settings, and where they come from for errors -> a ConversionModel
    trainings: Mapping[str, Callable[[TrainingRequest], Training]]  # by command, and by the name of their group of settings
    presets: Mapping[str, str]  # name -> YAML text; the first stands in where a model has no preset's name
    limits: Mapping[str, Limits] = field(default_factory=lambda: NO_LIMITS)
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict  # settings as earlier versions wrote them -> as they are now
