"""A voice to speak in."""

from dataclasses import dataclass

from torch import Tensor

from facevc_cli.conversion.transfer.bands import BandStatistics
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule
from facevc_cli.faces.reading import FaceReading


@dataclass(frozen=True)
class Target:
    """A voice to speak in: its embedding (1, voice_dim), the mean of its ln F0 if known, its address (1, slots) if
    recalled, and its pitch rule.

    From a recording of it come the bands and the deviation of ln F0. If the model uses content retrieval, so does
    `content` (n, z_dim). `recording` is what a model with the capability RECORDING takes from it.
    `face` is what was read in the face that the voice was recalled for, if the model's face embedder can read it.
    """

    speaker: Tensor
    log_f0_mean: float | None = None
    address: Tensor | None = None
    pitch: PitchRule = AUTO_PITCH
    content: Tensor | None = None
    bands: BandStatistics | None = None
    log_f0_std: float | None = None
    recording: Tensor | None = None
    face: FaceReading | None = None
