"""Means with their 95 % interval, by resampling target identities: what would other faces have given?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from facevc_cli.metrics.conversion import Conversion

DRAWS = 2000
LOW, HIGH = 2.5, 97.5  # percentiles


@dataclass(frozen=True)
class Figure:
    """A metric's value, the number of terms in it, and its 95 % interval (None where too few identities were seen)."""

    value: float
    n: int
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | int | None]:
        return asdict(self)


@dataclass(frozen=True)
class Terms:
    """The terms of one metric before they are averaged.

    values, weights: (n,) float64; the metric is sum(weights * values) / sum(weights).
    owners: for each term the conversions it comes from: one, or a pair.
    """

    values: np.ndarray
    weights: np.ndarray
    owners: tuple[tuple[Conversion, ...], ...]

    @classmethod
    def of(
        cls, terms: Sequence[tuple[float, *tuple[Conversion, ...]]], weights: Iterable[float] | None = None
    ) -> "Terms":
        """From (value, conversion) or (value, conversion, conversion); all weights 1 unless given."""
        values = np.array([term[0] for term in terms], dtype=np.float64)
        return cls(
            values,
            np.ones(len(values)) if weights is None else np.array(list(weights), dtype=np.float64),
            tuple(term[1:] for term in terms),
        )

    def __len__(self) -> int:
        return len(self.values)

    def where(self, keep: Callable[[Conversion], bool]) -> "Terms":
        """The terms all of whose conversions `keep` accepts."""
        kept = [i for i, owners in enumerate(self.owners) if all(keep(c) for c in owners)]
        return Terms(self.values[kept], self.weights[kept], tuple(self.owners[i] for i in kept))


def figure(terms: Terms, seed: int = 0, draws: int = DRAWS) -> Figure | None:
    """The weighted mean with its percentile bootstrap interval over target identities; None without terms.

    Each draw takes as many identities as there are, with replacement. A term of one identity drawn k times counts k
    times; a term between two identities drawn k and l times counts k * l times (pairs of an identity with its own copy
    are no pairs of different people and stay out). Fewer than two identities, three for pairs of people, give no interval.
    """
    if not len(terms) or terms.weights.sum() <= 0:
        return None
    value = float((terms.values * terms.weights).sum() / terms.weights.sum())
    targets = [(owners[0].target, owners[-1].target) for owners in terms.owners]
    names = sorted({name for pair in targets for name in pair})
    index = {name: i for i, name in enumerate(names)}
    first, second = np.array([(index[a], index[b]) for a, b in targets]).T
    across = bool((first != second).any())
    if len(names) < (3 if across else 2):
        return Figure(value, len(terms), None, None)
    counts = (
        np.random.default_rng(seed)
        .multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
        .astype(float)
    )
    sums, totals = (
        _cells(first, second, terms.values * terms.weights, len(names)),
        _cells(first, second, terms.weights, len(names)),
    )
    if across:
        top, bottom = (np.einsum("di,ij,dj->d", counts, cells, counts, optimize=True) for cells in (sums, totals))
    else:
        top, bottom = counts @ np.diag(sums), counts @ np.diag(totals)
    drawn = top[bottom > 0] / bottom[bottom > 0]
    low, high = np.percentile(drawn, [LOW, HIGH])
    return Figure(value, len(terms), float(low), float(high))


def _cells(first: np.ndarray, second: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(size, size): the sum of values of each pair of identities."""
    cells = np.zeros((size, size))
    np.add.at(cells, (first, second), values)
    return cells
