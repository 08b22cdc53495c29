"""Consistency: how close a conversion is to the target's real voice.

The control is other people of that gender. The ceiling is two real recordings of the target.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import Metric, Part, get_converted, get_source, make_source_baseline
from facevc_cli.evaluation.metrics.people import average_voices
from facevc_cli.evaluation.metrics.voices import HeardVoice, measure_cosine
from facevc_cli.manifest.conversion import Conversion


def measure_consistency(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    real: Mapping[str, list[HeardVoice]],
    part: Part = get_converted,
) -> Terms:
    """Mean cosine to the target's real utterances. With `part` = get_source: that of the unchanged source."""
    centre = average_voices(real)
    return Terms.of(
        [
            (float(voices[part(c)].embedding @ centre[c.target]), c)
            for c in conversions
            if c.target in centre and part(c) in voices
        ]
    )


def compare_with_others(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    real: Mapping[str, list[HeardVoice]],
    others: Mapping[str, list[str]],
) -> list[tuple[float, np.ndarray, Conversion]]:
    """List (mean cosine to the target's real utterances, cosines (K,) to the control people, conversion).

    Conversions without control people are left out.
    """
    centre = average_voices(real)
    people = {target: np.stack([centre[name] for name in names]) for target, names in others.items()}
    return [
        (float(voices[c.converted].embedding @ centre[c.target]), people[c.target] @ voices[c.converted].embedding, c)
        for c in conversions
        if c.target in others
    ]


def measure_control(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    real: Mapping[str, list[HeardVoice]],
    others: Mapping[str, list[str]],
) -> Terms:
    """Mean cosine to the control people."""
    return Terms.of(
        [(float(against.mean()), c) for _, against, c in compare_with_others(conversions, voices, real, others)]
    )


def measure_ceiling(conversions: Sequence[Conversion], recordings: Mapping[str, Sequence[HeardVoice]]) -> Terms:
    """Mean cosine between two real recordings of the target, over all pairs. Targets with one recording do not count.

    recordings: the target's references, and what drove conversions to it.
    """
    alike = {}
    for target, heard in recordings.items():
        n = len(heard)
        if n > 1:
            cosines = (stacked := np.stack([voice.embedding for voice in heard]).astype(np.float64)) @ stacked.T
            alike[target] = float((cosines.sum() - np.trace(cosines)) / (n * (n - 1)))
    return Terms.of([(alike[c.target], c) for c in conversions if c.target in alike])


def measure_driver(conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice]) -> Terms:
    """Cosine to the recording of the target that drove the conversion.

    Conversions that a face or another person's voice drove do not count.
    """
    place = lru_cache(maxsize=None)(os.path.realpath)
    terms = []
    for c in conversions:
        own = [
            name
            for name in (*c.references, *c.driving)
            if c.driver and name in voices and place(name) == place(c.driver)
        ]
        if own:
            terms.append((measure_cosine(voices[c.converted], voices[own[0]]), c))
    return Terms.of(terms)


METRICS = (
    Metric(
        name="consistency",
        better="higher",
        definition="Mean cosine to up to ten real recordings of the target.",
        measure=lambda conversions, evidence: measure_consistency(conversions, evidence.voices, evidence.real),
        needs=(
            "consistency, matching and F0 deviation are off: no target has real recordings (column references here "
            "or in --labels)"
        ),
    ),
    Metric(
        name="consistency control",
        better="",
        definition=(
            "Mean cosine to up to ten other people of the target's gender. Only consistency above it is due "
            "to the person."
        ),
        measure=lambda conversions, evidence: measure_control(
            conversions, evidence.voices, evidence.real, evidence.others
        ),
        beside="consistency",
        needs="the consistency control and matching are off: no two targets of one known gender have real recordings",
    ),
    Metric(
        name="consistency ceiling",
        better="",
        definition="Mean cosine between two real recordings of the target, among them those that drove a conversion.",
        measure=lambda conversions, evidence: measure_ceiling(conversions, evidence.recordings),
        beside="consistency",
        needs="the consistency ceiling is off: no target has two real recordings",
    ),
    Metric(
        name="consistency driver",
        better="",
        definition="Mean cosine to the recording of the target that drove the conversion. Consistency leaves it out "
        "if the target has others.",
        measure=lambda conversions, evidence: measure_driver(conversions, evidence.voices),
        beside="consistency",
    ),
    make_source_baseline(
        "consistency",
        lambda conversions, evidence: measure_consistency(conversions, evidence.voices, evidence.real, get_source),
    ),
)
