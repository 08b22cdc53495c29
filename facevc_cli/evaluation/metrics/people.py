"""Real voices of the targets, and the other people of a control."""

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion

UTTERANCES = 10  # most real utterances per person
OTHERS = 10  # most other people in a control


def find_real_voices(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], *, driving: bool = False
) -> dict[str, list[HeardVoice]]:
    """Find up to ten real utterances of each target. Targets without any are left out.

    driving: whether recordings that drove conversions count too, after the others.
    """
    names: dict[str, dict[str, None]] = {}
    for conversion in conversions:
        names.setdefault(conversion.target, {}).update(dict.fromkeys(conversion.references))
    for conversion in conversions if driving else ():
        names[conversion.target].update(dict.fromkeys(conversion.driving))
    people = {
        target: [voices[name] for name in files if name in voices][:UTTERANCES] for target, files in names.items()
    }
    return {target: heard for target, heard in people.items() if heard}


def draw_control_people(
    conversions: Sequence[Conversion], real: Mapping[str, list[HeardVoice]], seed: int = 0
) -> dict[str, list[str]]:
    """Draw for each target of known gender up to ten others of that gender with real utterances.

    The seed fixes the draw.
    """
    genders = {c.target: c.gender for c in conversions if c.gender and c.target in real}
    pools: dict[str, list[str]] = {}
    for target, gender in sorted(genders.items()):
        pools.setdefault(gender, []).append(target)
    place = {target: i for pool in pools.values() for i, target in enumerate(pool)}
    chosen = {}
    for target, gender in sorted(genders.items()):
        others = Without(pools[gender], [place[target]])
        if others:
            chosen[target] = draw_others(others, target, seed)
    return chosen


class Without(Sequence[str]):
    """A sequence without some of its places, which are sorted. It copies nothing, because there may be very many."""

    def __init__(self, pool: Sequence[str], left_out: Sequence[int]):
        self._pool, self._left_out = pool, left_out
        self._kept_before = [place - i for i, place in enumerate(left_out)]  # places that are kept, up to each

    def __len__(self) -> int:
        return len(self._pool) - len(self._left_out)

    def __getitem__(self, place: Any) -> Any:
        """Returns one name. A slice is no part of what `sample` needs."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._pool[place + bisect_right(self._kept_before, place)]


def draw_others(others: Sequence[str], name: str, seed: int) -> list[str]:
    """Draw up to ten of `others`, by the seed and by `name`, whose control they are."""
    return random.Random(f"{seed} {name}".encode(errors="surrogateescape")).sample(others, min(OTHERS, len(others)))


def average_voices(real: Mapping[str, Sequence[HeardVoice]]) -> dict[str, np.ndarray]:
    """Average each person's embeddings -> (D,) float64.

    The product with it is the mean of the cosines to the utterances.
    """
    return {
        name: np.stack([heard.embedding for heard in utterances]).mean(axis=0, dtype=np.float64)
        for name, utterances in real.items()
    }
