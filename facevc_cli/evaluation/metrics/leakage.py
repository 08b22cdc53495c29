"""Leakage: how much of the source's voice remains in the conversion; the control is other speakers' voices."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import Metric, Part, get_converted, get_source, make_source_baseline
from facevc_cli.evaluation.metrics.people import Without, draw_others
from facevc_cli.evaluation.metrics.voices import HeardVoice, measure_cosine
from facevc_cli.manifest.conversion import Conversion


def measure_leakage(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], part: Part = get_converted
) -> Terms:
    """Cosine to the source utterance.

    With `part` = get_source: that of the unchanged source, which is 1, the maximum.
    """
    return Terms.of(
        [
            (measure_cosine(voices[part(c)], voices[c.source]), c)
            for c in conversions
            if c.source in voices and part(c) in voices
        ]
    )


def draw_control_sources(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], seed: int = 0
) -> dict[str, list[str]]:
    """Draw for each source of known gender (by id) up to ten recordings of other speakers of that gender.

    The seed fixes the draw.
    """
    # by id, because a draw by path would depend on the folder
    known = {c.source_id: c for c in conversions if c.source_gender and c.source in voices}
    pools: dict[str, list[str]] = {}
    spoken: dict[tuple[str, str], list[int]] = {}  # by gender and speaker: places in the gender's pool
    for name, own in sorted(known.items()):
        pool = pools.setdefault(own.source_gender, [])
        spoken.setdefault((own.source_gender, own.speaker), []).append(len(pool))
        pool.append(name)
    chosen = {}
    for name, own in sorted(known.items()):
        others = Without(pools[own.source_gender], spoken[own.source_gender, own.speaker])
        if others:
            chosen[name] = [known[other].source for other in draw_others(others, name, seed)]
    return chosen


def measure_control(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    others: Mapping[str, list[str]],
    part: Part = get_converted,
) -> Terms:
    """Mean cosine to other speakers' source utterances, without recordings of the target.

    Leakage has this value if only the gender remains. With `part` = get_source: the cosine of two strangers.
    """
    place = lru_cache(maxsize=None)(os.path.realpath)
    terms = []
    for c in conversions:
        targets = {place(name) for name in (c.driver, *c.references, *c.driving) if name}
        strangers = [voices[name].embedding for name in others.get(c.source_id, ()) if place(name) not in targets]
        if strangers and part(c) in voices:
            terms.append((float(voices[part(c)].embedding @ np.mean(strangers, axis=0, dtype=np.float64)), c))
    return Terms.of(terms)


METRICS = (
    Metric(
        name="leakage",
        better="lower",
        definition="Mean cosine to the source recording.",
        measure=lambda conversions, evidence: measure_leakage(conversions, evidence.voices),
        needs="leakage is off: no source recordings (column source, or file in --sources)",
    ),
    Metric(
        name="leakage control",
        better="",
        definition="Mean cosine to sources by up to ten other speakers of the source's gender, without recordings of "
        "the target. Only leakage above it is due to the source's speaker.",
        measure=lambda conversions, evidence: measure_control(
            conversions, evidence.voices, draw_control_sources(evidence.everyone, evidence.voices, evidence.seed)
        ),
        beside="leakage",
        needs=(
            "the leakage control is off: no two speakers of one known gender among the sources (gender and speaker "
            "in --sources)"
        ),
    ),
    Metric(
        name="leakage strangers",
        better="",
        definition="Mean cosine between the source recording and those other speakers' sources: two strangers of one "
        "gender.",
        measure=lambda conversions, evidence: measure_control(
            conversions,
            evidence.voices,
            draw_control_sources(evidence.everyone, evidence.voices, evidence.seed),
            get_source,
        ),
        beside="leakage",
    ),
    make_source_baseline(
        "leakage", lambda conversions, evidence: measure_leakage(conversions, evidence.voices, get_source)
    ),
)
