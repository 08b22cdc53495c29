"""What the judges hear in one recording: its voice embedding and its pitch. All voice metrics use these."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from facevc_cli.dsp.pitch import MEAN_ADULT_F0_HZ, extract_f0

JUDGE_RATE = 16000  # Hz, the input rate of Resemblyzer, Whisper and DistillMOS
JUDGE_HOP_SAMPLES = 160  # 10 ms between F0 frames


class Embedder(Protocol):
    """A speaker judge: (n,) float32 at 16 kHz -> (D,) float32, L2-normalised."""

    def embed(self, wav: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class HeardVoice:
    """One recording as the judges hear it.

    embedding: (D,) float32, L2-normalised. mean_f0_hz: mean over voiced frames, nan if no frame is voiced.
    mean_log_f0: mean natural log F0 (Hz) over voiced frames, that of 150 Hz if no frame is voiced.
    """

    embedding: np.ndarray
    mean_f0_hz: float
    mean_log_f0: float

    def to_row(self) -> np.ndarray:
        """(D + 2,) float32, for a cache."""
        return np.concatenate([self.embedding, [self.mean_f0_hz, self.mean_log_f0]]).astype(np.float32)

    @classmethod
    def from_row(cls, row: np.ndarray) -> "HeardVoice":
        return cls(row[:-2], float(row[-2]), float(row[-1]))


def listen(wav: np.ndarray, embedder: Embedder) -> HeardVoice:
    """Measure the voice of a recording. wav: (n,) float32 mono at 16 kHz."""
    f0_hz = extract_f0(wav, JUDGE_RATE, JUDGE_HOP_SAMPLES)
    voiced = f0_hz[f0_hz > 0].astype(np.float64)
    mean, mean_log = (voiced.mean(), np.log(voiced).mean()) if len(voiced) else (np.nan, np.log(MEAN_ADULT_F0_HZ))
    return HeardVoice(np.asarray(embedder.embed(wav), np.float32), float(mean), float(mean_log))


def measure_cosine(a: HeardVoice, b: HeardVoice) -> float:
    """Cosine of two embeddings, which are normalised already."""
    return float(a.embedding @ b.embedding)
