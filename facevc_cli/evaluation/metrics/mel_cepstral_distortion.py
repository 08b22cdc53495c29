"""MCD: how far the spectral envelope is from that of the target's own recording of the same words, in dB."""

from collections.abc import Mapping, Sequence

import numpy as np

from facevc_cli.core.extras import are_installed
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import DECIBEL, Metric
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.manifest.conversion import Conversion

ORDER = 24  # coefficients, without c0 (loudness)
WARP = 0.42  # of the bilinear transform; close to the mel scale at 16 kHz
HOP_SAMPLES = 80  # 5 ms, as in WORLD
QUIET_DB = 40.0  # frames this far below the loudest are pauses
GRID = 512  # points on the warped frequency axis
DB = 10 / np.log(10)


def is_distortion_available() -> bool:
    """Whether librosa, which aligns two recordings, and scipy are installed."""
    return are_installed("librosa", "scipy")


def compute_mel_cepstrum(wav: np.ndarray) -> np.ndarray:
    """wav: (n,) float32 at 16 kHz -> (T, 24) float64: c1 to c24 of each frame outside pauses, at least one frame.

    The envelope is WORLD's (CheapTrick). Its natural log amplitude is sampled on a frequency axis that an all-pass of
    alpha 0.42 warps (Tokuda et al. 1994), so that log|H| = c0 + sum of c_m cos(m w).
    """
    import pyworld

    f0 = extract_f0(wav, JUDGE_RATE, HOP_SAMPLES).astype(np.float64)
    times = np.arange(len(f0)) * HOP_SAMPLES / JUDGE_RATE
    power = pyworld.cheaptrick(np.ascontiguousarray(wav, np.float64), f0, times, JUDGE_RATE)
    loudness = DB * np.log(power.mean(axis=1))
    return compute_cepstrum(0.5 * np.log(power[loudness >= loudness.max() - QUIET_DB]))


def compute_cepstrum(log_amplitude: np.ndarray) -> np.ndarray:
    """(T, bins from 0 Hz to Nyquist) natural log amplitude -> (T, 24): c1 to c24 on the warped axis."""
    from scipy.fft import dct

    warped = np.pi * (np.arange(GRID) + 0.5) / GRID
    plain = warped - 2 * np.arctan(WARP * np.sin(warped) / (1 + WARP * np.cos(warped)))  # the inverse all-pass
    bins = np.linspace(0, np.pi, log_amplitude.shape[1])
    sampled = np.stack([np.interp(plain, bins, frame) for frame in log_amplitude])
    return dct(sampled, type=2, axis=1)[:, 1 : ORDER + 1] / GRID


def compute_distortion(a: np.ndarray, b: np.ndarray) -> float:
    """dB between two mel-cepstra (T, D) and (U, D) without c0: the mean along the cheapest path (dynamic time warping).

    Each pair of frames costs (10 / ln 10) sqrt(2 sum_m (a_m - b_m)^2): Kubichek, "Mel-cepstral distance measure for
    objective speech quality assessment", 1993. Steps go one frame ahead in one or both recordings, all with weight 1.
    """
    from librosa.sequence import dtw
    from scipy.spatial.distance import cdist

    cost = DB * np.sqrt(2) * cdist(a, b)
    _, path = dtw(C=cost)
    return float(cost[path[:, 0], path[:, 1]].mean())


def measure_distortion(conversions: Sequence[Conversion], distortions: Mapping[tuple[str, str], float]) -> Terms:
    """The distortion of each conversion that has a parallel recording."""
    return Terms.of(
        [(distortions[place], c) for c in conversions if (place := (c.converted, c.parallel)) in distortions]
    )


METRICS = (
    Metric(
        name="MCD",
        better="lower",
        definition="Mel-cepstral distortion to the target's own recording of the same words, in dB: 24 coefficients "
        "without c0, along the best alignment in time.",
        measure=lambda conversions, evidence: measure_distortion(conversions, evidence.distortions),
        scale=DECIBEL,
        needs="MCD is off: no target has a recording of the same words (column parallel here or in --labels)",
    ),
)
