"""Means with 95 % intervals. Target identities are resampled, so the interval shows what other faces would give."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from facevc_cli.manifest.conversion import Conversion

DRAWS = 2000
MOST_DENSE = 1500  # identities whose pairs are kept in a table of all; 18 MB
CELLS_AT_ONCE = 4 << 20
LOW, HIGH = 2.5, 97.5  # percentiles
Key = tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A metric's value, its number of terms, and its 95 % interval.

    The interval is None if there are too few identities.
    """

    value: float
    n: int
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | int | None]:
        return asdict(self)


@dataclass(frozen=True)
class Terms:
    """The terms of one metric, before averaging.

    values, weights: (n,) float64. The metric is sum(weights * values) / sum(weights).
    owners: (n, 1 or 2) int. For each term, the indices in `rows` of the conversions that it comes from.
    """

    values: np.ndarray
    weights: np.ndarray
    owners: np.ndarray
    rows: tuple[Conversion, ...]

    @classmethod
    def of(
        cls, terms: Sequence[tuple[float, *tuple[Conversion, ...]]], weights: Iterable[float] | None = None
    ) -> "Terms":
        """Make terms from (value, conversion) or (value, conversion, conversion). Weights default to 1."""
        places: dict[int, int] = {}
        rows: list[Conversion] = []
        owners = np.zeros((len(terms), len(terms[0]) - 1 if terms else 1), dtype=np.int64)
        for i, (_, *conversions) in enumerate(terms):
            for j, conversion in enumerate(conversions):
                place = places.setdefault(id(conversion), len(rows))
                if place == len(rows):
                    rows.append(conversion)
                owners[i, j] = place
        values = np.array([term[0] for term in terms], dtype=np.float64)
        given = np.ones(len(values)) if weights is None else np.array(list(weights), dtype=np.float64)
        return cls(values, given, owners, tuple(rows))

    def __len__(self) -> int:
        return len(self.values)

    def select(self, keep: Callable[[Conversion], bool]) -> "Terms":
        """Select the terms for which `keep` accepts every conversion."""
        accepted = np.fromiter((keep(row) for row in self.rows), dtype=bool, count=len(self.rows))
        kept = accepted[self.owners].all(axis=1) if len(self) else np.zeros(0, dtype=bool)
        return Terms(self.values[kept], self.weights[kept], self.owners[kept], self.rows)


class _SparseCells:
    """As `_Cells`, for very many identities: only the pairs of identities that some term compares are kept."""

    def __init__(self, terms: Terms, names: Sequence[str]):
        first, second = _number_identities(terms, names)
        pairs, place = np.unique(first * len(names) + second, return_inverse=True)
        self._first, self._second = pairs // len(names), pairs % len(names)
        self._sums = np.bincount(place, terms.values * terms.weights, len(pairs))
        self._totals = np.bincount(place, terms.weights, len(pairs))

    @property
    def has_pairs(self) -> bool:
        return bool(self._totals[self._first != self._second].any())

    @property
    def mean(self) -> float:
        return float(self._sums.sum() / self._totals.sum())

    def resample(self, counts: np.ndarray) -> np.ndarray:
        own = self._first == self._second if not self.has_pairs else slice(None)
        first, second, sums, totals = self._first[own], self._second[own], self._sums[own], self._totals[own]
        top, bottom = np.zeros(len(counts)), np.zeros(len(counts))
        step = max(1, CELLS_AT_ONCE // max(1, len(first)))
        for start in range(0, len(counts), step):
            drawn = counts[start : start + step][:, first]
            if self.has_pairs:
                drawn = drawn * counts[start : start + step][:, second]
            top[start : start + step], bottom[start : start + step] = drawn @ sums, drawn @ totals
        return np.divide(top, bottom, out=np.full(len(counts), np.nan), where=bottom > 0)


def _sum_cells(terms: Terms, names: Sequence[str]) -> "_Cells | _SparseCells":
    return _Cells.of(terms, names) if len(names) <= MOST_DENSE else _SparseCells(terms, names)


@dataclass(frozen=True)
class _Cells:
    """Weighted values and weights, summed by pair of identities: (identities, identities), in the order of `names`."""

    sums: np.ndarray
    totals: np.ndarray

    @classmethod
    def of(cls, terms: Terms, names: Sequence[str]) -> "_Cells":
        first, second = _number_identities(terms, names)
        sums, totals = np.zeros((2, len(names), len(names)))
        np.add.at(sums, (first, second), terms.values * terms.weights)
        np.add.at(totals, (first, second), terms.weights)
        return cls(sums, totals)

    @property
    def has_pairs(self) -> bool:
        """Whether some term compares two identities."""
        return bool((self.totals - np.diag(np.diag(self.totals))).any())

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.totals.sum())

    def resample(self, counts: np.ndarray) -> np.ndarray:
        """The mean of each draw of identities. counts: (draws, identities). nan if a draw has no term."""
        if self.has_pairs:
            top, bottom = (((counts @ cells) * counts).sum(1) for cells in (self.sums, self.totals))
        else:
            top, bottom = counts @ np.diag(self.sums), counts @ np.diag(self.totals)
        return np.divide(top, bottom, out=np.full(len(counts), np.nan), where=bottom > 0)


def estimate_figure(terms: Terms, seed: int = 0, draws: int = DRAWS) -> Figure | None:
    """Estimate the weighted mean and its percentile bootstrap interval over target identities. None without terms.

    Each draw takes as many identities as there are, with replacement. If an identity is drawn k times, its terms count
    k times. A term between two identities drawn k and l times counts k * l times. Pairs of an identity with its own
    copy are left out, because they are not pairs of different people. An interval needs two identities, or three for
    pairs.
    """
    if not len(terms) or terms.weights.sum() <= 0:
        return None
    names = _list_targets(terms)
    cells = _sum_cells(terms, names)
    low, high = find_interval(cells.resample(draw_counts(len(names), seed, draws)), len(names), cells.has_pairs)
    return Figure(cells.mean, len(terms), low, high)


def estimate_difference(a: Terms, b: Terms, seed: int = 0, draws: int = DRAWS) -> Figure | None:
    """Estimate the mean of `a` minus that of `b` over the terms that both have, with its interval.

    None if they share no term.

    A term's key is the source, target and face of its conversions. Two systems may name images differently: if no face
    has the same name in both, the key is source and target alone. Several terms with one key count as their mean. Both
    sides use the same draws of identities, so that shared effects, such as a hard face or source, cancel. Figure.n: the
    number of shared terms.
    """
    if not len(a) or not len(b):
        return None
    for key in (_make_face_key, _make_target_key):
        numbers = _number_terms(a, b, key)
        shared = np.intersect1d(numbers[0], numbers[1])
        if len(shared):
            break
    else:
        return None
    sides = [_merge_terms(terms, found, shared) for terms, found in zip((a, b), numbers, strict=True)]
    if any(side.weights.sum() <= 0 for side in sides):
        return None
    names = _list_targets(sides[0])
    first, second = (_sum_cells(side, names) for side in sides)
    counts = draw_counts(len(names), seed, draws)
    low, high = find_interval(first.resample(counts) - second.resample(counts), len(names), first.has_pairs)
    return Figure(first.mean - second.mean, len(shared), low, high)


def _make_face_key(row: Conversion) -> Key:
    return row.source_id, row.target, row.face


def _make_target_key(row: Conversion) -> Key:
    return row.source_id, row.target


def _number_terms(a: Terms, b: Terms, key: Callable[[Conversion], Key]) -> list[np.ndarray]:
    """Number the terms of both sides by the keys of their conversions. The order of the conversions does not matter."""
    places: dict[Key, int] = {}
    rows = [np.array([places.setdefault(key(row), len(places)) for row in terms.rows]) for terms in (a, b)]
    owners = [np.sort(numbers[terms.owners], axis=1) for numbers, terms in zip(rows, (a, b), strict=True)]
    return [found @ len(places) ** np.arange(found.shape[1]) for found in owners]


def _merge_terms(terms: Terms, numbers: np.ndarray, wanted: np.ndarray) -> Terms:
    """Merge the terms of each wanted number (sorted): weighted mean, sum of weights, and the first term's owners."""
    chosen = np.isin(numbers, wanted)
    places = np.searchsorted(wanted, numbers[chosen])
    weights = np.bincount(places, terms.weights[chosen], len(wanted))
    sums = np.bincount(places, (terms.values * terms.weights)[chosen], len(wanted))
    values = np.divide(sums, weights, out=np.zeros(len(wanted)), where=weights > 0)
    first = np.unique(numbers[chosen], return_index=True)[1]
    return Terms(values, weights, terms.owners[chosen][first], terms.rows)


def _list_targets(terms: Terms) -> list[str]:
    return sorted({terms.rows[i].target for i in np.unique(terms.owners)})


def _number_identities(terms: Terms, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For each term, find the numbers of its first and last conversions' targets, the smaller first."""
    index = {name: i for i, name in enumerate(names)}
    numbers = np.array([index.get(row.target, -1) for row in terms.rows])[terms.owners]
    return numbers.min(axis=1), numbers.max(axis=1)


def draw_counts(size: int, seed: int, draws: int) -> np.ndarray:
    """Draw how often each of `size` identities counts: (draws, size) float.

    All metrics with as many identities share the draws. Of large ones only the last two are kept: 100 MB for 6,000.
    """
    return (_draw_counts if size <= MOST_DENSE else _draw_large_counts)(size, seed, draws)


@lru_cache(maxsize=64)
def _draw_counts(size: int, seed: int, draws: int) -> np.ndarray:
    counts = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws).astype(float)
    counts.setflags(write=False)
    return counts


_draw_large_counts = lru_cache(maxsize=2)(_draw_counts.__wrapped__)


def find_interval(drawn: np.ndarray, identities: int, has_pairs: bool) -> tuple[float | None, float | None]:
    found = drawn[np.isfinite(drawn)]
    if identities < (3 if has_pairs else 2) or not len(found):
        return None, None
    low, high = np.percentile(found, [LOW, HIGH])
    return float(low), float(high)
