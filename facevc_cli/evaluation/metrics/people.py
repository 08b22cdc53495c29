"""Real voices of the targets, and the other people that a control compares with."""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion

UTTERANCES = 10  # real utterances of a person, at most
OTHERS = 10  # other people in a control, at most


def find_real_voices(conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice]) -> dict[str, list[HeardVoice]]:
    """Up to ten real utterances by target; only targets that have any."""
    names: dict[str, dict[str, None]] = {}
    for conversion in conversions:
        names.setdefault(conversion.target, {}).update(dict.fromkeys(conversion.references))
    people = {target: [voices[name] for name in files if name in voices][:UTTERANCES] for target, files in names.items()}
    return {target: heard for target, heard in people.items() if heard}


def draw_control_people(conversions: Sequence[Conversion], real: Mapping[str, list[HeardVoice]], seed: int = 0) -> dict[str, list[str]]:
    """For each target of known gender up to ten others of that gender with real utterances, drawn once by the seed."""
    genders = {c.target: c.gender for c in conversions if c.gender and c.target in real}
    chosen = {}
    for target, gender in sorted(genders.items()):
        others = sorted(name for name, other in genders.items() if other == gender and name != target)
        if others:
            chosen[target] = draw_others(others, target, seed)
    return chosen


def draw_others(others: Sequence[str], name: str, seed: int) -> list[str]:
    """Up to ten of them, drawn by the seed and by whose control they are."""
    return random.Random(f"{seed} {name}".encode(errors="surrogateescape")).sample(others, min(OTHERS, len(others)))


def average_voices(real: Mapping[str, Sequence[HeardVoice]]) -> dict[str, np.ndarray]:
    """The mean embedding (D,) float64 of each person's real utterances: a cosine to it is the mean of the cosines to them."""
    return {name: np.stack([heard.embedding for heard in utterances]).mean(axis=0, dtype=np.float64) for name, utterances in real.items()}
