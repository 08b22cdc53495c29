"""Which pairs of conversions the metrics of pairs compare: all of them, or a random sample if there are very many.

A thousand people make half a million pairs of one source. So above `MOST_PAIRS` pairs, as many are drawn: with
replacement, each pair with the same chance. They are drawn from the keys (source, target, face) of all systems
together, so that systems are compared on the same pairs.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion

MOST_PAIRS = 200_000
AT_ONCE = 8192  # pairs whose embeddings are multiplied at a time

Kind = Literal["same target", "different targets", "same image", "ring of sources"]
KINDS: tuple[Kind, ...] = ("same target", "different targets", "same image", "ring of sources")
METRIC_NAMES: Mapping[Kind, str] = {
    "same target": "SHO and SHR",
    "different targets": "SDO and SDR",
    "same image": "SSC",
    "ring of sources": "SSD",
}
SOURCE, TARGET, FACE = range(3)
DIFFERS: Mapping[Kind, int] = {"same target": FACE, "different targets": TARGET, "same image": SOURCE}
Key = tuple[str, str, str]  # source, target, face
Pair = tuple[float, Conversion, Conversion]


@dataclass(frozen=True)
class _Block:
    """Keys that are paired: each with each of the others, or with each of `right`."""

    left: Sequence[Key]
    right: Sequence[Key] | None
    pairs: int  # those whose keys differ as they must


@dataclass(frozen=True)
class PairSample:
    """The drawn pairs of keys. None: all pairs count. total: how many there are."""

    total: int
    keys: Sequence[tuple[Key, Key]] | None = None

    def compare(self, conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice]) -> list[Pair]:
        """Lists (cosine, a, b) of the drawn pairs that these conversions have."""
        found = {make_key(c): c for c in reversed(conversions)}
        rows = [(found[a], found[b]) for a, b in self.keys or () if a in found and b in found]
        values: list[float] = []
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            left, right = (
                np.stack([voices[pair[side].converted].embedding for pair in part]).astype(np.float64)
                for side in (0, 1)
            )
            values += np.einsum("nd,nd->n", left, right).tolist()
        return [(value, a, b) for value, (a, b) in zip(values, rows, strict=True)]


def make_key(conversion: Conversion) -> Key:
    return conversion.source_id, conversion.target, conversion.face


def sample_pairs(conversions: Sequence[Conversion], seed: int, most: int | None = None) -> dict[Kind, PairSample]:
    """Decides for each kind of pair: all of them, or `most` drawn ones (default: `MOST_PAIRS`)."""
    most = MOST_PAIRS if most is None else most
    keys = sorted({make_key(c) for c in conversions if c.source_id})
    found = {}
    for number, kind in enumerate(KINDS):
        blocks = [block for block in _list_blocks(keys, kind) if block.pairs]
        total = sum(block.pairs for block in blocks)
        rng = np.random.default_rng([seed, number])
        found[kind] = PairSample(total, _draw(blocks, DIFFERS.get(kind, TARGET), most, rng) if total > most else None)
    return found


def describe_samples(samples: Mapping[Kind, PairSample], spread: Callable[[Kind], float | None]) -> list[str]:
    """Says which metrics use a sample, and how far its mean may be from that of all pairs.

    spread: the standard deviation of a kind's terms, None if there are none.
    """
    notes = []
    for kind, sample in samples.items():
        if sample.keys is not None and (deviation := spread(kind)) is not None:
            error = 1.96 * deviation / np.sqrt(len(sample.keys))
            notes.append(
                f"{METRIC_NAMES[kind]} use {len(sample.keys):,} pairs drawn from {sample.total:,}. Drawing moves the "
                f"mean cosine by at most {error:.5f} (95 %)"
            )
    return notes


def _list_blocks(keys: Sequence[Key], kind: Kind) -> Iterator[_Block]:
    groups: dict[tuple[str, ...], list[Key]] = defaultdict(list)
    for key in keys:
        if kind == "same target" and key[FACE]:
            groups[key[SOURCE], key[TARGET]].append(key)
        elif kind == "same image":
            groups[key[TARGET], key[FACE]].append(key)
        elif kind in ("different targets", "ring of sources"):
            groups[(key[SOURCE],)].append(key)
    if kind != "ring of sources":
        for group in groups.values():
            counts = Counter(key[DIFFERS[kind]] for key in group)
            yield _Block(group, None, _choose_two(len(group)) - sum(map(_choose_two, counts.values())))
        return
    order = list(groups.values())  # sorted by source, because the keys are
    for left, right in zip(order, order[1:] + (order[:1] if len(order) > 2 else []), strict=False):
        counts, others = Counter(key[TARGET] for key in left), Counter(key[TARGET] for key in right)
        alike = sum(count * others[target] for target, count in counts.items())
        yield _Block(left, right, len(left) * len(right) - alike)


def _choose_two(count: int) -> int:
    return count * (count - 1) // 2


def _draw(blocks: Sequence[_Block], differs: int, count: int, rng: np.random.Generator) -> list[tuple[Key, Key]]:
    """Draws a block by its number of pairs, then any pair of it, again and again until the keys differ as they must."""
    shares = np.array([block.pairs for block in blocks], np.float64)
    chosen = np.sort(rng.choice(len(blocks), count, p=shares / shares.sum()))
    pairs: list[tuple[Key, Key]] = []
    for number, wanted in zip(*np.unique(chosen, return_counts=True), strict=True):
        block = blocks[number]
        right = block.left if block.right is None else block.right
        lacking = int(wanted)
        while lacking:
            first, second = rng.integers(len(block.left), size=lacking), rng.integers(len(right), size=lacking)
            drawn = [(block.left[i], right[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
            drawn = [pair for pair in drawn if pair[0][differs] != pair[1][differs]]
            pairs += drawn
            lacking -= len(drawn)
    return pairs
