"""Means with their 95 % interval, by resampling target identities: what would other faces have given?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from facevc_cli.manifest.conversion import Conversion

DRAWS = 2000
LOW, HIGH = 2.5, 97.5  # percentiles
Key = tuple[str, ...]


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
    owners: (n, 1 or 2) int, for each term the conversions it comes from, as places in `rows`.
    """

    values: np.ndarray
    weights: np.ndarray
    owners: np.ndarray
    rows: tuple[Conversion, ...]

    @classmethod
    def of(
        cls, terms: Sequence[tuple[float, *tuple[Conversion, ...]]], weights: Iterable[float] | None = None
    ) -> "Terms":
        """From (value, conversion) or (value, conversion, conversion); all weights 1 unless given."""
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
        """The terms all of whose conversions `keep` accepts."""
        accepted = np.fromiter((keep(row) for row in self.rows), dtype=bool, count=len(self.rows))
        kept = accepted[self.owners].all(axis=1) if len(self) else np.zeros(0, dtype=bool)
        return Terms(self.values[kept], self.weights[kept], self.owners[kept], self.rows)


@dataclass(frozen=True)
class _Cells:
    """Terms summed by their identities, numbered by `names`: the weighted values and the weights, (identities, identities) each."""

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
        """Whether some term lies between two identities."""
        return bool((self.totals - np.diag(np.diag(self.totals))).any())

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.totals.sum())

    def resample(self, counts: np.ndarray) -> np.ndarray:
        """The mean under each draw of identities, counts (draws, identities); nan where a draw has no term."""
        if self.has_pairs:
            top, bottom = (((counts @ cells) * counts).sum(1) for cells in (self.sums, self.totals))
        else:
            top, bottom = counts @ np.diag(self.sums), counts @ np.diag(self.totals)
        return np.divide(top, bottom, out=np.full(len(counts), np.nan), where=bottom > 0)


def estimate_figure(terms: Terms, seed: int = 0, draws: int = DRAWS) -> Figure | None:
    """The weighted mean with its percentile bootstrap interval over target identities; None without terms.

    Each draw takes as many identities as there are, with replacement. A term of one identity drawn k times counts k
    times; a term between two identities drawn k and l times counts k * l times (pairs of an identity with its own copy
    are no pairs of different people and stay out). Fewer than two identities, three for pairs of people, give no interval.
    """
    if not len(terms) or terms.weights.sum() <= 0:
        return None
    names = _list_targets(terms)
    cells = _Cells.of(terms, names)
    low, high = _find_interval(cells.resample(_draw_counts(len(names), seed, draws)), len(names), cells.has_pairs)
    return Figure(cells.mean, len(terms), low, high)


def estimate_difference(a: Terms, b: Terms, seed: int = 0, draws: int = DRAWS) -> Figure | None:
    """The mean of `a` less that of `b` over the terms that both have, with its interval; None where they share none.

    A term is known by the source, target and face of its conversions; where no face has one name in both (two systems may name
    images differently), by source and target, and several terms of one key count as their mean. Every draw of identities is
    used for both, so that what the two share (a hard face, a hard source) drops out. Figure.n: the shared terms.
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
    first, second = (_Cells.of(side, names) for side in sides)
    counts = _draw_counts(len(names), seed, draws)
    low, high = _find_interval(first.resample(counts) - second.resample(counts), len(names), first.has_pairs)
    return Figure(first.mean - second.mean, len(shared), low, high)


def _make_face_key(row: Conversion) -> Key:
    return row.source_id, row.target, row.face


def _make_target_key(row: Conversion) -> Key:
    return row.source_id, row.target


def _number_terms(a: Terms, b: Terms, key: Callable[[Conversion], Key]) -> list[np.ndarray]:
    """For each term of both a number that says the keys of its conversions, whichever of them comes first."""
    places: dict[Key, int] = {}
    rows = [np.array([places.setdefault(key(row), len(places)) for row in terms.rows]) for terms in (a, b)]
    owners = [np.sort(numbers[terms.owners], axis=1) for numbers, terms in zip(rows, (a, b), strict=True)]
    return [found @ len(places) ** np.arange(found.shape[1]) for found in owners]


def _merge_terms(terms: Terms, numbers: np.ndarray, wanted: np.ndarray) -> Terms:
    """One term for each wanted number (sorted): the weighted mean of its terms, with its first term's owners and the sum of weights."""
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
    """For each term the numbers of its (first and last) conversions' targets, the smaller first."""
    index = {name: i for i, name in enumerate(names)}
    numbers = np.array([index.get(row.target, -1) for row in terms.rows])[terms.owners]
    return numbers.min(axis=1), numbers.max(axis=1)


@lru_cache(maxsize=64)
def _draw_counts(size: int, seed: int, draws: int) -> np.ndarray:
    """(draws, size) float: how often each of `size` identities is drawn; the same for every metric of as many identities."""
    counts = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws).astype(float)
    counts.setflags(write=False)
    return counts


def _find_interval(drawn: np.ndarray, identities: int, has_pairs: bool) -> tuple[float | None, float | None]:
    found = drawn[np.isfinite(drawn)]
    if identities < (3 if has_pairs else 2) or not len(found):
        return None, None
    low, high = np.percentile(found, [LOW, HIGH])
    return float(low), float(high)
