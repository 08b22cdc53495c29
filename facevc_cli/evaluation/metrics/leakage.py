"""Leakage: how much of the source's voice is left in the conversion, and, as a control, of voices that were not the source's."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import Metric, Part, get_converted, get_source
from facevc_cli.evaluation.metrics.people import draw_others
from facevc_cli.evaluation.metrics.voices import HeardVoice, cosine
from facevc_cli.manifest.conversion import Conversion


def measure_leakage(conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], part: Part = get_converted) -> Terms:
    """Cosine to the source utterance; with `part` = get_source, of the unchanged source (1, the most there can be)."""
    return Terms.of(
        [
            (cosine(voices[part(c)], voices[c.source]), c)
            for c in conversions
            if c.source in voices and part(c) in voices
        ]
    )


def draw_control_sources(conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], seed: int = 0) -> dict[str, list[str]]:
    """By the id of each source of known gender up to ten recordings of that gender by other speakers, drawn once by the seed."""
    known = {c.source_id: c for c in conversions if c.source_gender and c.source in voices}  # ids: a draw by paths would depend on the folder
    chosen = {}
    for name, own in sorted(known.items()):
        others = sorted(other for other, c in known.items() if c.source_gender == own.source_gender and other != name and c.speaker != own.speaker)
        if others:
            chosen[name] = [known[other].source for other in draw_others(others, name, seed)]
    return chosen


def measure_control(conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], others: Mapping[str, list[str]]) -> Terms:
    """Mean cosine to the other speakers' source utterances, but for recordings of the target: what leakage would be if nothing but the gender were left."""
    place = lru_cache(maxsize=None)(os.path.realpath)
    terms = []
    for c in conversions:
        targets = {place(name) for name in (c.driver, *c.references) if name}
        strangers = [voices[name].embedding for name in others.get(c.source_id, ()) if place(name) not in targets]
        if strangers:
            terms.append((float(voices[c.converted].embedding @ np.mean(strangers, axis=0, dtype=np.float64)), c))
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
        definition="The same to up to ten other speakers' sources of the source's gender, without recordings of the target. Only what lies above it "
        "is left of the speaker.",
        measure=lambda conversions, evidence: measure_control(
            conversions, evidence.voices, draw_control_sources(evidence.everyone, evidence.voices, evidence.seed)
        ),
        beside="leakage",
        needs="the leakage control is off: no two speakers of one known gender among the sources (gender and speaker in --sources)",
    ),
    Metric(
        name="leakage source",
        better="",
        definition="",
        measure=lambda conversions, evidence: measure_leakage(conversions, evidence.voices, get_source),
        beside="leakage",
    ),
)
