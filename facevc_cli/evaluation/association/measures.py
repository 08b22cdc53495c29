"""The figures of one system on the trials of one group, each with its 95 % interval over people.

| figure | what it is | chance |
| --- | --- | --- |
| AUC | how often a pair of one person scores above a pair of two people; a tie counts half | .5 |
| EER | the error rate at the threshold where both kinds of errors are equally frequent | .5 |
| 1:N | share of right choices between N; with k equal best scores, 1 / k of a right choice | 1 / N |
| mAP | mean average precision of the ranked gallery; equal scores share their ranks | about ln(n) / n |
"""

from typing import Protocol

import numpy as np

from facevc_cli.evaluation.association import protocols
from facevc_cli.evaluation.association.protocols import Matching, Retrieval, Verification
from facevc_cli.evaluation.bootstrap import DRAWS, Figure, draw_counts, find_interval

BETTER = {"AUC": "higher", "EER": "lower"}
LEVELS = 2048  # the intervals of AUC and EER tell so many scores apart; the values tell all apart


class Scorer(Protocol):
    def score(self, faces: np.ndarray, voices: np.ndarray) -> np.ndarray:
        """Numbers of faces and voices, of one shape -> scores of that shape. Higher fits better."""


def measure_protocol(
    protocol: protocols.Protocol, scorer: Scorer, seed: int = 0, draws: int = DRAWS
) -> dict[str, Figure]:
    """Measures all figures of a protocol, by name."""
    figures: dict[str, Figure] = {}
    if protocol.verification is not None:
        figures |= measure_verification(protocol.verification, scorer, seed, draws)
    for matching in protocol.matchings:
        name = f"1:{matching.candidates.shape[1]} {matching.direction}"
        figures[name] = average(judge_choices(matching, scorer), matching.people, seed, draws)
    for retrieval in protocol.retrievals:
        precision = compute_average_precision(retrieval, scorer)
        figures[f"mAP {retrieval.direction}"] = average(precision, retrieval.people, seed, draws)
    return figures


def average(values: np.ndarray, owners: np.ndarray, seed: int = 0, draws: int = DRAWS) -> Figure:
    """The mean over people's values, each value with the same weight. The people who own the values are drawn again."""
    present, owner = np.unique(owners, return_inverse=True)
    sums, sizes = np.bincount(owner, values), np.bincount(owner)
    counts = draw_counts(len(present), seed, draws)
    low, high = find_interval((counts @ sums) / np.maximum(counts @ sizes, 1e-12), len(present), False)
    return Figure(float(values.mean()), len(values), low, high)


def judge_choices(matching: Matching, scorer: Scorer) -> np.ndarray:
    """Returns (n,): 1 if the right candidate scores best alone, 1 / k if it is one of k best ones, else 0."""
    probes = np.broadcast_to(matching.probes[:, None], matching.candidates.shape)
    scores = _score(scorer, matching.direction, probes, matching.candidates)
    own, others = scores[:, :1], scores[:, 1:]
    return np.where((others > own).any(1), 0.0, 1 / (1 + (others == own).sum(1)))


def compute_average_precision(retrieval: Retrieval, scorer: Scorer) -> np.ndarray:
    """Returns the average precision of each probe (n,).

    The rank of an item is 1 + the number of better ones + half the number of equal ones. The precision at a relevant
    item is its rank among the relevant ones, divided by its rank among all.
    """
    found = np.zeros(len(retrieval.probes))
    for i, (probe, gallery, relevant) in enumerate(
        zip(retrieval.probes, retrieval.galleries, retrieval.relevant, strict=True)
    ):
        scores = _score(scorer, retrieval.direction, np.full(len(gallery), probe), gallery)
        own = scores[relevant]
        found[i] = (_rank(own, own) / _rank(own, scores)).mean()
    return found


def _rank(items: np.ndarray, among: np.ndarray) -> np.ndarray:
    ordered = np.sort(among)
    better = len(ordered) - np.searchsorted(ordered, items, side="right")
    equal = len(ordered) - np.searchsorted(ordered, items, side="left") - better - 1  # without the item itself
    return 1 + better + equal / 2


def measure_verification(pairs: Verification, scorer: Scorer, seed: int = 0, draws: int = DRAWS) -> dict[str, Figure]:
    """Measures AUC and EER. Nothing if all pairs are of one kind.

    A pair of two people counts k * l times in a draw with k copies of one and l of the other.
    """
    if pairs.same.all() or not pairs.same.any():
        return {}
    scores = scorer.score(pairs.faces, pairs.voices)
    level = np.unique(scores, return_inverse=True)[1]
    present, person = np.unique(pairs.people, return_inverse=True)
    person = person.reshape(pairs.people.shape)
    size, (alike, others) = int(level.max()) + 1, (pairs.same, ~pairs.same)
    values = _measure_errors(*(np.bincount(level[kind], minlength=size).astype(float) for kind in (alike, others)))
    if size > LEVELS:
        level, size = level * LEVELS // size, LEVELS
    levels, owner, two = (level[alike], level[others]), person[alike, 0], (person[others, 0], person[others, 1])
    drawn = []
    for counts in draw_counts(len(present), seed, draws):
        same = np.bincount(levels[0], counts[owner], size)
        drawn.append(_measure_errors(same, np.bincount(levels[1], counts[two[0]] * counts[two[1]], size)))
    intervals = [find_interval(np.array(column), len(present), True) for column in zip(*drawn, strict=True)]
    return {
        name: Figure(found, len(scores), *interval)
        for name, found, interval in zip(BETTER, values, intervals, strict=True)
    }


def _measure_errors(same: np.ndarray, different: np.ndarray) -> tuple[float, float]:
    return compute_auc(same, different), compute_eer(same, different)


def compute_auc(same: np.ndarray, different: np.ndarray) -> float:
    """The area under the ROC curve. same, different: weights by score, from low to high; nan if one side is empty."""
    total = same.sum() * different.sum()
    below = np.cumsum(different) - different
    return float((same * (below + different / 2)).sum() / total) if total > 0 else float("nan")


def compute_eer(same: np.ndarray, different: np.ndarray) -> float:
    """The error rate where false rejections and false acceptances cross, on straight lines between the thresholds."""
    if not same.sum() > 0 or not different.sum() > 0:
        return float("nan")
    rejected = np.concatenate([[0.0], np.cumsum(same) / same.sum()])
    accepted = np.concatenate([[1.0], 1 - np.cumsum(different) / different.sum()])
    after = int(np.argmax(rejected >= accepted))
    gap = accepted - rejected  # falls from 1 to -1
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(rejected[after - 1] + share * (rejected[after] - rejected[after - 1]))


def _score(scorer: Scorer, direction: str, probes: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    to_face = direction == protocols.TO_FACE
    return scorer.score(candidates, probes) if to_face else scorer.score(probes, candidates)
