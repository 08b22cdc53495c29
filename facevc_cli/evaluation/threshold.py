"""theta: the cosine at which a speaker verifier makes both kinds of error equally often, on real utterances."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

import numpy as np

from facevc_cli.core.errors import FaceVCError

ASSET = "theta.json"


@dataclass(frozen=True)
class Threshold:
    """theta and its equal error rate. same, different: numbers of real pairs. origin: which recordings they are."""

    theta: float
    eer: float
    same: int
    different: int
    origin: str

    def to_json(self) -> dict[str, float | int | str]:
        return asdict(self)


def find_equal_error(same: np.ndarray, different: np.ndarray) -> tuple[float, float]:
    """Find (theta, equal error rate) from cosines of same-speaker and different-speaker pairs.

    same: (n,), different: (m,). A pair is accepted if cos >= theta. theta is the middle of the interval in which false
    rejections and false acceptances differ least. The rate is their mean there.
    """
    if not len(same) or not len(different):
        raise FaceVCError(
            f"theta needs pairs of the same and of different speakers; found {len(same)} and {len(different)}. "
            "Give a table with at least two speakers, one of them with two files."
        )
    scores = np.unique(np.concatenate([same, different]))
    cuts = np.concatenate([[scores[0] - 1e-6], (scores[1:] + scores[:-1]) / 2, [scores[-1] + 1e-6]])
    rejected = np.searchsorted(np.sort(same), cuts, side="left") / len(same)
    accepted = 1 - np.searchsorted(np.sort(different), cuts, side="left") / len(different)
    gap = np.abs(rejected - accepted)
    best = np.flatnonzero(gap <= gap.min() + 1e-12)
    theta = (cuts[best[0]] + cuts[best[-1]]) / 2
    return float(theta), float((rejected[best] + accepted[best]).mean() / 2)


def pair_cosines(
    embeddings: np.ndarray, speakers: Sequence[str], groups: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the cosines of all pairs of the same speaker, and of all pairs of different speakers.

    embeddings: (n, D), L2-normalised. With `groups`, such as corpora, only pairs inside one group count, because
    recordings of different channels are easier to tell apart than voices.
    """
    cosines = embeddings @ embeddings.T
    first, second = np.triu_indices(len(embeddings), 1)
    speaker = np.unique(np.asarray(speakers), return_inverse=True)[1]
    if groups is not None:
        group = np.unique(np.asarray(groups), return_inverse=True)[1]
        inside = group[first] == group[second]
        first, second = first[inside], second[inside]
    alike = speaker[first] == speaker[second]
    values = cosines[first, second]
    return values[alike], values[~alike]


def calibrate(
    embeddings: np.ndarray, speakers: Sequence[str], origin: str, groups: Sequence[str] | None = None
) -> Threshold:
    """Find theta from all pairs of (n, D) embeddings of real recordings with their speakers."""
    same, different = pair_cosines(embeddings, speakers, groups)
    theta, eer = find_equal_error(same, different)
    return Threshold(theta, eer, len(same), len(different), origin)


def load_packaged_threshold() -> Threshold:
    """Load the packaged value. It was measured with Resemblyzer; `origin` names the recordings."""
    try:
        return Threshold(**json.loads((files("facevc_cli") / "assets" / ASSET).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise FaceVCError(
            f"the packaged threshold facevc_cli/assets/{ASSET} is missing or broken ({error}). Install facevc again, "
            "or give real pairs with --calibrate TABLE.csv (columns file, speaker)."
        ) from error
