"""Consistency: how near a conversion comes to the target's real voice, and, as a control, to other people's of that gender."""

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from facevc_cli.metrics.bootstrap import Terms
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.voices import Heard

UTTERANCES = 10  # real utterances of a person, at most
OTHERS = 10  # other people in the control, at most

Part = Callable[[Conversion], str]


def converted(conversion: Conversion) -> str:
    return conversion.converted


def source(conversion: Conversion) -> str:
    """The baseline: the source as it was."""
    return conversion.source


def real_voices(conversions: Sequence[Conversion], voices: Mapping[str, Heard]) -> dict[str, list[Heard]]:
    """Up to ten real utterances by target; only targets that have any."""
    names: dict[str, dict[str, None]] = {}
    for conversion in conversions:
        names.setdefault(conversion.target, {}).update(dict.fromkeys(conversion.references))
    people = {
        target: [voices[name] for name in files if name in voices][:UTTERANCES] for target, files in names.items()
    }
    return {target: heard for target, heard in people.items() if heard}


def control_people(
    conversions: Sequence[Conversion], real: Mapping[str, list[Heard]], seed: int = 0
) -> dict[str, list[str]]:
    """For each target of known gender up to ten others of that gender with real utterances, drawn once by the seed."""
    genders = {c.target: c.gender for c in conversions if c.gender and c.target in real}
    chosen = {}
    for target, gender in sorted(genders.items()):
        others = sorted(name for name, other in genders.items() if other == gender and name != target)
        if others:
            chosen[target] = some_others(others, target, seed)
    return chosen


def some_others(others: Sequence[str], name: str, seed: int) -> list[str]:
    """Up to ten of them, drawn by the seed and by whose control they are."""
    return random.Random(f"{seed} {name}".encode(errors="surrogateescape")).sample(others, min(OTHERS, len(others)))


def centres(real: Mapping[str, Sequence[Heard]]) -> dict[str, np.ndarray]:
    """The mean embedding (D,) float64 of each person's real utterances: a cosine to it is the mean of the cosines to them."""
    return {name: np.stack([heard.embedding for heard in utterances]).mean(axis=0, dtype=np.float64) for name, utterances in real.items()}


def consistency_terms(
    conversions: Sequence[Conversion],
    voices: Mapping[str, Heard],
    real: Mapping[str, list[Heard]],
    part: Part = converted,
) -> Terms:
    """Mean cosine to the target's real utterances; with `part` = source, of the unchanged source."""
    centre = centres(real)
    return Terms.of(
        [(float(voices[part(c)].embedding @ centre[c.target]), c) for c in conversions if c.target in centre and part(c) in voices]
    )


def nearness_to_others(
    conversions: Sequence[Conversion], voices: Mapping[str, Heard], real: Mapping[str, list[Heard]], others: Mapping[str, list[str]]
) -> list[tuple[float, np.ndarray, Conversion]]:
    """(mean cosine to the target's real utterances, those (K,) to each control person's, conversion) where there are any."""
    centre = centres(real)
    people = {target: np.stack([centre[name] for name in names]) for target, names in others.items()}
    return [
        (float(voices[c.converted].embedding @ centre[c.target]), people[c.target] @ voices[c.converted].embedding, c)
        for c in conversions
        if c.target in others
    ]


def control_terms(
    conversions: Sequence[Conversion],
    voices: Mapping[str, Heard],
    real: Mapping[str, list[Heard]],
    others: Mapping[str, list[str]],
) -> Terms:
    """The same to the control people: their mean."""
    return Terms.of([(float(against.mean()), c) for _, against, c in nearness_to_others(conversions, voices, real, others)])
