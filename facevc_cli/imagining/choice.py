"""Chooses the faces that a mixture begins from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.imagining.face_set import FaceSet

PARTS = 3  # of a mixture
LEAD = (0.6, 0.2, 0.2)  # shares of a sample's first face and its two companions
COMPANIONS = 6  # of the nearest faces, two are drawn: otherwise a face that leads twice would give one picture twice
ALIKE = 0.35  # distance by dlib's descriptor below which two composites look much the same
MIDDLE, UNDECIDED = 0.5, 0.1  # a voice so near the middle may have a face of either register
EXHAUSTED = 1e-3  # less chance than that is left if all were drawn
FLATTENING = 2.0  # of the chances among the best three, so that all of them are seen
LEAST_SHARE = 0.02  # of the best face's chance: others are never drawn


@dataclass(frozen=True, eq=False)
class Start:
    """numbers: (k,) of faces; weights: (k,), sum to 1."""

    numbers: np.ndarray
    weights: np.ndarray


def choose_best(scores: np.ndarray, groups: Sequence[str] = ()) -> Start:
    """Returns the nearest three faces by their scores (n,). Their weights grow with their scores.

    A voice says nothing of somebody's origin. So the three are of different groups, if there are as many. A face with
    the score -inf is never taken.
    """
    order = _sort_usable(scores)
    seen: dict[str, int] = {}
    for number in order.tolist():
        seen.setdefault(groups[number] if groups else str(number), number)
    first = list(seen.values())[:PARTS]
    numbers = np.array((first + [number for number in order.tolist() if number not in first])[:PARTS])
    chances = np.exp((scores[numbers] - scores[numbers].max()) / FLATTENING)
    return Start(numbers, chances / chances.sum())


def draw_starts(scores: np.ndarray, faces: FaceSet, count: int, rng: np.random.Generator) -> list[Start]:
    """Returns the starts of `count` different mixtures that all fit. The first is that of `choose_best`.

    The leading face of each other one is drawn by its chance, the exponential of its score. All groups of origins have
    the same chance. The chance of faces that look like those drawn before is reduced. Two of the faces that fit and
    look like the leading one are added, drawn by chance.
    """
    looks = faces.descriptors[:, :DLIB_DIM].astype(np.float64)
    fit = np.exp(scores - scores.max())
    fit[fit < LEAST_SHARE] = 0
    fit = _level_groups(fit, faces.groups)
    starts = [choose_best(scores, faces.groups)]
    used = _compare_looks(looks, int(starts[0].numbers[0]))  # how much of each face's look there is already
    while len(starts) < count:
        chances = fit * (1 - used)
        if chances.sum() < EXHAUSTED:  # all of them were drawn
            chances, used = fit, np.zeros(len(scores))
        lead = int(rng.choice(len(scores), p=chances / chances.sum()))
        near = _compare_looks(looks, lead)
        used = np.maximum(used, near)
        companions = scores + np.log(np.maximum(near, 1e-12))
        companions[lead] = -np.inf
        nearest = _sort_usable(companions)[:COMPANIONS]
        likely = np.exp(companions[nearest] - companions.max())
        added = rng.choice(nearest, min(PARTS - 1, len(nearest)), replace=False, p=likely / likely.sum())
        numbers = np.array([lead, *added])
        weights = np.array(LEAD[: len(numbers)])
        starts.append(Start(numbers, weights / weights.sum()))
    return starts


def keep_side(scores: np.ndarray, faces: FaceSet, feminine: float) -> np.ndarray:
    """Gives faces of the other register than a voice's the score -inf, unless the voice is in the middle.

    feminine: of the voice, from 0 to 1. A mixture of men and women fits no voice that is one or the other.
    """
    other = (faces.registers > MIDDLE) != (feminine > MIDDLE)
    if abs(feminine - MIDDLE) < UNDECIDED or other.all():
        return scores
    return np.where(other, -np.inf, scores)


def _sort_usable(scores: np.ndarray) -> np.ndarray:
    """Returns the numbers of the faces, best first, without those of the score -inf."""
    numbers = np.argsort(-scores, kind="stable")
    return numbers[scores[numbers] > -np.inf]


def _level_groups(chances: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Divides chances (n,) by the sum of their groups', so that no group is drawn more often than another."""
    if not groups:
        return chances
    numbers = np.unique(np.array(groups), return_inverse=True)[1]
    sums = np.bincount(numbers, chances)[numbers]
    return np.divide(chances, sums, out=np.zeros(len(chances)), where=sums > 0)


def _compare_looks(looks: np.ndarray, one: int) -> np.ndarray:
    """Returns how much each face looks like one of them: (n,) from 0 to 1."""
    return np.asarray(np.exp(-0.5 * (np.linalg.norm(looks - looks[one], axis=1) / ALIKE) ** 2))
