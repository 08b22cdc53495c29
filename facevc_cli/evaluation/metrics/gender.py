"""GA: the share of conversions heard as the target's labelled gender.

The judge is a logistic regression on the Resemblyzer d-vector and the mean log F0.
recipes/starter/local/voice_gender.py trained it on 860 utterances of 431 speakers. Without its weights, F0 alone
decides. assets/voice_gender.json has the counts.

| test | judge is right | F0 alone is right |
| --- | --- | --- |
| 584 real utterances of 291 other speakers | 96.2 % | 91.8 % |
| of these female | 97.0 % | |
| of these male | 95.3 % | |
| Common Voice | 94.8 % | |
| LibriSpeech | 100 % | |
| speechocean762 | 97.6 % | |
| VCTK: 12 utterances; it takes one woman for a man | 66.7 % | |
| recordings of 436 people in the wild; labels estimated from faces | 95.6 % | 83.7 % |
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Protocol

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import SHARE, Metric, Part, get_converted
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.contract import FEMALE, MALE
from facevc_cli.manifest.conversion import Conversion

ASSET = "voice_gender.safetensors"
F0_BORDER_HZ = 160.0


class GenderJudge(Protocol):
    """A judge that hears "female" or "male" in a voice."""

    @property
    def name(self) -> str: ...

    def hear(self, heard: HeardVoice) -> str: ...


@dataclass(frozen=True)
class LinearGenderJudge:
    """Logistic regression on [d-vector (D), mean log F0]: female if weight . features + bias > 0.

    weight: (D + 1,), bias: a number.
    """

    weight: np.ndarray
    bias: float
    name: str = "d-vector and F0"

    def hear(self, heard: HeardVoice) -> str:
        return FEMALE if self.compute_log_odds(heard) > 0 else MALE

    def compute_log_odds(self, heard: HeardVoice) -> float:
        """Returns the log odds of a woman's voice."""
        return float(make_features(heard) @ self.weight) + self.bias


@dataclass(frozen=True)
class PitchGenderJudge:
    """F0 alone: female above the border, which is where the adult distributions cross.

    Used if the weights are missing.
    """

    border_hz: float = F0_BORDER_HZ
    name: str = "F0 alone"

    def hear(self, heard: HeardVoice) -> str:
        return FEMALE if heard.mean_log_f0 > np.log(self.border_hz) else MALE


def make_features(heard: HeardVoice) -> np.ndarray:
    """Make (D + 1,) float64: the d-vector, then the mean natural log F0 in Hz."""
    return np.append(heard.embedding.astype(np.float64), heard.mean_log_f0)


def fit(x: np.ndarray, female: np.ndarray, weights: np.ndarray, ridge: float = 1.0) -> LinearGenderJudge:
    """Fit a logistic regression on standardised features by Newton's method. The L2 penalty leaves the bias free.

    x: (n, D + 1), from `make_features`. female: (n,) 0 or 1. weights: (n,), how much each utterance counts.
    """
    mean, scale = x.mean(0), x.std(0) + 1e-6
    design = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    penalty = np.append(np.full(x.shape[1], ridge), 0.0)
    solution = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        gradient = design.T @ (weights * (p - female)) + penalty * solution
        hessian = (design * (weights * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        solution -= step
        if np.abs(step).max() < 1e-8:
            break
    weight = solution[:-1] / scale
    return LinearGenderJudge(weight, float(solution[-1] - weight @ mean))


def load_packaged_judge() -> GenderJudge | None:
    """Load the packaged classifier and check its sha256. None if it is not packaged."""
    folder = files("facevc_cli") / "assets"
    weights, card = folder / ASSET, folder / ASSET.replace(".safetensors", ".json")
    if not weights.is_file() or not card.is_file():
        return None
    content = weights.read_bytes()
    expected, found = json.loads(card.read_text(encoding="utf-8"))["sha256"], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise FaceVCError(
            f"facevc_cli/assets/{ASSET}: expected sha256 {expected}, found {found}. The file is damaged: install "
            "facevc again."
        )
    from safetensors.numpy import load

    tensors = load(content)
    return LinearGenderJudge(tensors["weight"].astype(np.float64), float(tensors["bias"][0]))


def measure_gender(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], judge: GenderJudge, part: Part = get_converted
) -> Terms:
    """1 if the voice is heard as the target's labelled gender, else 0. Conversions without a label do not count."""
    return Terms.of(
        [(float(judge.hear(voices[part(c)]) == c.gender), c) for c in conversions if c.gender and part(c) in voices]
    )


def _measure(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
    voices = evidence.voices if evidence.gender_voices is None else evidence.gender_voices
    return measure_gender(conversions, voices, evidence.gender_judge)


METRICS = (
    Metric(
        name="GA",
        better="higher",
        definition="Gender accuracy: share of conversions that are heard as the target's labelled gender.",
        measure=_measure,
        scale=SHARE,
        needs="GA is off: no target's gender is known (column gender here or in --labels)",
    ),
)
