"""Defines a model family. Commands, conversion and checkpoints use a family through this file alone.

A family is one `Family` object: the class of its settings, a function that builds a model from them, and its trainings.
facevc finds it by its
name: either the object `FAMILY` in `families/NAME/family.py`, or an entry point in the group `facevc.families`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from facevc_cli.core.graphs import Graph
from facevc_cli.core.settings import NO_LIMITS, Limits
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.training.config import RunConfig
from facevc_cli.training.task import Task

if TYPE_CHECKING:
    from facevc_cli.families.checkpoint import Checkpoint


class Capability(StrEnum):
    """What a model can do beyond speaking in the voice of a recording."""

    MEMORY = "memory"  # faces and voices have addresses: mixes, voice cards and rankings
    PITCH = "pitch"  # the model is given the pitch level to speak at
    RECORDING = "recording"  # the model takes more from a recording of the voice than its embedding
    DVECTOR = "dvector"  # voice embeddings are d-vectors, so the register and the age of a voice can be read
    EXPORT = "export"  # the content encoder and the decoder can be written as graphs for other programs
    STREAM = "stream"  # the model has a causal content encoder, which hears speech while it is spoken
    PICTURES = "pictures"  # the model reads the pictures of faces itself
    MATCHING = "matching"  # faces and voices have places in one space, and those that fit each other are near
    CROPS = "crops"  # with MATCHING: faces are placed by their crops, not by their embeddings
    LOG_MELS = "log-mels"  # with MATCHING: voices are placed by their log-mels, not by their d-vectors
    STYLES = "styles"  # with PICTURES: a voice embedding is a style, which guides pictures of faces, too


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """The settings that only conversion uses. Weights do not depend on them."""

    voice_guidance: float = 0.0  # moves the log-mel away from what the source's own voice would give; 0 is off
    # moves content frames towards the most similar frames of the target's recording; 0 to 1
    content_retrieval: float = 0.0
    spectrum_matching: float = 0.0  # moves each band's mean over speech towards the recording's; 0 to 1
    deviation_matching: float = 0.0  # moves each band's deviation over speech towards the recording's; 0 to 1
    pitch_range_matching: float = 0.0  # moves the deviation of ln F0 towards the recording's; 0 to 1
    variance_scale: float = 1.0  # multiplies each band's deviations from its mean over the utterance
    # log-odds that a face's register is read right, for each unit of distance from the middle register
    register_evidence: float = 6.0


class FamilyConfig(Protocol):
    """The settings of a model: a frozen dataclass with these fields, and a group of settings for each training."""

    family: ClassVar[str]

    @property
    def name(self) -> str:
        """The name of the preset that the settings began from."""

    @property
    def model(self) -> Any:
        """The settings that the model is built from."""

    @property
    def conversion(self) -> ConversionConfig: ...


class ConversionModel(Protocol):
    """The torch module that conversion needs. B: batch, T: frames of log-mel, D: size of the voice embedding."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def needs_dvector(self) -> bool:
        """True if the voice of a recording comes from its d-vector, False if it comes from its log-mel."""

    def normalise(self, mel: Tensor) -> Tensor:
        """Converts the front-end's log-mel (..., n_mels) to the scale that the model expects."""

    def denormalise(self, mel: Tensor) -> Tensor:
        """Inverts `normalise`."""

    def hear_content(self, mel: Tensor, statistics: Statistics = WHOLE) -> Tensor:
        """Normalised log-mel (B, n_mels, T) -> content (B, any length, any size).

        statistics: gathers the frames that count, if the model normalises its content over time.
        """

    def embed_voice(self, voice: Tensor) -> Tensor:
        """d-vectors (B, 256), or normalised log-mels (B, n_mels, T) if `needs_dvector` is false, -> voice embeddings
        (B, D).
        """

    def recall_face(self, embedding: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor | None]:
        """Face embeddings (B, face_dim) -> voice embeddings (B, D), and with `MEMORY` their addresses (B, slots), else
        None.
        """

    def predict_pitch(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Voice embeddings (B, D) -> mean and deviation (B,) of their ln F0 (Hz); without `PITCH` any
        neutral values.
        """

    def decode(
        self, content: Tensor, log_f0: Tensor, voice: Tensor, level: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Content, ln F0 (B, T) with zero mean and unit deviation, voices (B, D) -> normalised log-mel (B, T, n_mels).

        level: mean and deviation (B,) of the ln F0 to speak at.
        """


class MemoryModel(ConversionModel, Protocol):
    """A model with `MEMORY`. S: slots. Methods take and return addresses as logarithms."""

    @property
    def temperature(self) -> float:
        """The temperature of the softmax over the slots. Lower picks fewer slots."""

    def get_slot_values(self) -> Tensor:
        """The stored voices that the memory mixes: (S, D)."""

    def address_voice(self, voice: Tensor, temperature: float | None = None) -> Tensor:
        """Voice embeddings (B, D) -> log-addresses (B, S)."""

    def mix_addresses(self, log_addresses: Tensor, weights: Tensor) -> Tensor:
        """Log-addresses (K, S) with weights (K,) -> the log of their weighted mean (1, S)."""

    def recall_address(self, log_address: Tensor) -> Tensor:
        """Log-addresses (B, S) -> voice embeddings (B, D)."""

    def predict_pitch_at(self, log_address: Tensor) -> tuple[Tensor, Tensor]:
        """`predict_pitch` of the voices at log-addresses (B, S)."""


class RecordingModel(ConversionModel, Protocol):
    """A model with `RECORDING`. Its `decode` takes a further argument `recording`: one description for each voice."""

    def describe_recording(self, mel: Tensor) -> Tensor:
        """Normalised log-mels (B, n_mels, T) of recordings -> descriptions (B, any shape)."""

    def describe_no_recording(self) -> Tensor:
        """Returns the description (1, any shape) of a voice that comes from no recording, such as a face's."""


class ExportableModel(ConversionModel, Protocol):
    """A model with `EXPORT`."""

    def make_graphs(self) -> Sequence[Graph]:
        """Returns the graphs `content` and `decoder`, with these inputs and outputs. Z: content frames.

        `content`: raw log-mel (1, T, n_mels) -> content (1, Z, any size); further outputs may follow.
        `decoder`: content (B, Z, size), log_f0 (B, T), voice (B, D), pitch_mean (B,), pitch_std (B,), and with
        `RECORDING` recording (B, any shape), as in `decode` -> RAW log-mel (B, T, n_mels).
        """


class ContentStream(Protocol):
    """The content of one stream of speech, with what the encoder remembers of it."""

    def hear(self, mel: Tensor, new_frames: int, statistics: Statistics = WHOLE) -> Tensor:
        """Normalised log-mel (1, n_mels, T), of which the last `new_frames` are new -> content (1, T / 2, z_dim), as
        `hear_content` returns it.

        T and new_frames are even. The estimates of the last frames are corrected by the next calls.
        """


class StreamModel(ConversionModel, Protocol):
    """A model with `STREAM`."""

    def open_content_stream(self) -> ContentStream: ...


class PictureModel(ConversionModel, Protocol):
    """A model with `PICTURES`. What it makes of a face takes the place of a face embedding."""

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Level crops of faces (B, side, side, 3) uint8 RGB -> what `recall_face` takes (B, D)."""


class StyleModel(PictureModel, Protocol):
    """A model with `STYLES`. A style comes from the picture of a face, from a recording or from noise. It guides the
    conversion of speech, and of pictures. The checkpoint's `embedders` say how large the crops of faces are.
    """

    @property
    def style_dim(self) -> int: ...

    @property
    def latent_dim(self) -> int:
        """How many numbers of noise a style is drawn from."""

    def draw_styles(self, noise: Tensor, feminine: Tensor) -> Tensor:
        """Noise (B, latent_dim), registers (B,) from 0 (a man) to 1 (a woman) -> styles (B, style_dim)."""

    def restyle_pictures(self, pictures: Tensor, styles: Tensor) -> Tensor:
        """Level crops of faces (B, side, side, 3) uint8 RGB, in styles (B, style_dim) -> (B, px, px, 3) uint8 RGB."""


class MatchingModel(Protocol):
    """A torch module with `MATCHING`. B: batch, D: size of the space. It need not be a `ConversionModel`.

    The checkpoint's `embedders` say how its inputs are made: `face` are the settings of extract-face (with CROPS, their
    `crop_px` is the size of the crops), `voice` those of extract-spkemb, or with LOG_MELS those of extract-features.
    """

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    def place_faces(self, given: Tensor) -> Tensor:
        """Face embeddings (B, face_dim), with CROPS crops (B, side, side, 3) from 0 to 255 -> places (B, D) of unit
        length, near the places of voices that fit.
        """

    def place_voices(self, given: Tensor) -> Tensor:
        """d-vectors (B, 256), with LOG_MELS parts of log-mels (B, parts, T, n_mels) -> places (B, D) of unit length."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """The inputs of a training command. Its stores are open. A training refuses a request that lacks what it needs."""

    config: Any  # of the family's class
    seed: int
    voices: Store | None = None
    features: Store | None = None
    faces: Store | None = None
    pairs: Path | None = None  # table: utterance or speaker, face
    sampling_weights: Path | None = None  # table: utterance, weight
    init: "Checkpoint | None" = None  # the model to begin from
    init_path: Path | None = None  # its path
    files: Mapping[str, Path] = field(default_factory=dict)  # options that only one family has -> files
    rank: int = 0
    processes: int = 1


class Training(Protocol):
    """One training of a family. Its constructor reads and checks the request, and writes nothing."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def training(self) -> "Dataset[Any]":
        """The training batches: `training[step]` is the batch of that step."""

    @property
    def validation(self) -> "Dataset[Any] | None":
        """The validation batches. None if the stores have no validation split."""

    @property
    def frontend(self) -> Frontend | None:
        """The front-end that made the features. None if the family does not convert."""

    def make_task(self, resume: bool) -> Task:
        """Builds the model and the task that trains it.

        resume: the loop will load the weights from the run's own checkpoint.
        """


class PublishedCheckpoint(Protocol):
    """A checkpoint that others published, opened by the family that knows its format."""

    def load(self, preset: str, overrides: Sequence[str], stats: Path | None) -> "Checkpoint":
        """Builds the model. stats: a `.npy` file of log-mel statistics, if the user gave one."""


@dataclass(frozen=True, kw_only=True)
class Family:
    name: str
    config: type[Any]  # a FamilyConfig
    # (`model` settings, their origin for error messages) -> a ConversionModel, or a MatchingModel if it cannot convert
    build: Callable[[Any, str], nn.Module]
    trainings: Mapping[
        str, Callable[[TrainingRequest], Training]
    ]  # by name; a training, its command and its group of settings have the same name
    presets: Mapping[str, str]  # name -> YAML text; the first is used if a model's name is no preset
    converts: bool = True  # False: its models only place faces and voices, and cannot make speech
    limits: Mapping[str, Limits] = field(default_factory=lambda: NO_LIMITS)
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict  # settings of earlier versions -> current settings
    # Opens a checkpoint that others published. FaceVCError if the file has another format. None if the family imports
    # no such files.
    import_published: Callable[[Path], PublishedCheckpoint] | None = None
