"""Prepares every recording before its features are computed. Training and conversion use the same code."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from facevc_cli.core.choices import name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.dsp.mel import MEL_DEFINITIONS, MelDefinition, compute_log_mel, find_sound_bounds
from facevc_cli.dsp.pitch import extract_f0


@dataclass(frozen=True)
class Frontend:
    """The name of a log-mel definition, the trim in dB below the peak (None: no trim), and the peak level (None: as
    recorded).
    """

    mel: str = "fvmvc"
    trim_db: float | None = 60.0
    peak: float | None = None

    @classmethod
    def standard(cls, mel: str) -> "Frontend":
        """Returns the paper's front-end for `fvmvc`.

        For the others, whose corpora differ in loudness, it sets peaks to .9.
        """
        if mel not in MEL_DEFINITIONS:
            raise UsageError(f"--mel {mel!r}: {name_allowed(mel, MEL_DEFINITIONS)}")
        return cls(mel, peak=None if mel == "fvmvc" else 0.9)

    @property
    def definition(self) -> MelDefinition:
        return MEL_DEFINITIONS[self.mel]

    def as_settings(self) -> dict[str, Any]:
        """Returns all settings that the features of a store or a checkpoint depend on."""
        return {**asdict(self), "definition": self.definition.as_settings()}

    @classmethod
    def from_settings(cls, settings: dict[str, Any], where: str) -> "Frontend":
        """Builds the front-end from settings of a store or checkpoint.

        FaceVCError if this version defines that log-mel differently.
        """
        absent = [name for name in ("mel", "trim_db", "peak", "definition") if name not in settings]
        if absent:
            raise FaceVCError(
                f"{where}: its settings lack {', '.join(absent)}: they are no features'. Extract the features again "
                "with this version."
            )
        frontend = cls(settings["mel"], settings["trim_db"], settings["peak"])
        if (
            not isinstance(frontend.mel, str)
            or frontend.mel not in MEL_DEFINITIONS
            or frontend.definition.as_settings() != settings["definition"]
        ):
            raise FaceVCError(
                f"{where}: its mel {settings['mel']!r} is {settings['definition']}, which this version of facevc does "
                "not compute. Extract the features again with this version."
            )
        return frontend

    def find_bounds(self, wav: np.ndarray) -> tuple[int, int]:
        """Returns the part of (n,) that the trim keeps: the first sample, and one past the last."""
        return (0, len(wav)) if self.trim_db is None else find_sound_bounds(wav, self.trim_db)

    def prepare(self, wav: np.ndarray) -> np.ndarray:
        """(n,) at the definition's rate -> trimmed and levelled (m,) float32."""
        start, end = self.find_bounds(wav)
        return self.match_peak(wav[start:end])

    def match_peak(self, wav: np.ndarray, heard: np.ndarray | None = None) -> np.ndarray:
        """Scales a trimmed wav (n,) to the peak level: (n,) float32.

        heard: the sound whose own peak counts; None: wav.
        """
        if self.peak is not None:
            loudest = float(np.abs(wav if heard is None else heard).max(initial=0.0))
            wav = wav * (self.peak / max(0.05, loudest))
        return wav.astype(np.float32, copy=False)

    def extract_features(self, wav: np.ndarray, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
        """A prepared wav (n,) -> (log-mel (T, n_mels) float32, F0 (T,) float32 Hz, 0 unvoiced)."""
        mel = compute_log_mel(wav, self.definition, device)
        return mel, extract_f0(wav, self.definition.rate, self.definition.hop_samples, len(mel))
