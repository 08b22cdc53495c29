"""SST, SSC, SSD: the suitability, consistency and diversity of UniSpeaker's benchmark, all between different words.

The benchmark has two tasks, face_vc and face_tts. Here a source is a recording or a text.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.consistency import measure_consistency
from facevc_cli.evaluation.metrics.metric import Metric
from facevc_cli.evaluation.metrics.pair_sample import PairSample
from facevc_cli.evaluation.metrics.voices import HeardVoice, measure_cosine
from facevc_cli.manifest.conversion import Conversion


def measure_ssc(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], sample: PairSample | None = None
) -> Terms:
    """Cosines between two conversions of different sources to one image. sample: drawn pairs, in place of all."""
    if sample is not None and sample.keys is not None:
        return Terms.of(sample.compare(conversions, voices))
    found = []
    for rows in _group_by_image(conversions).values():
        found += [(measure_cosine(voices[a.converted], voices[b.converted]), a, b) for a, b in combinations(rows, 2)]
    return Terms.of(found)


def measure_ssd(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], sample: PairSample | None = None
) -> Terms:
    """Cosines between conversions of different sources to two people. sample: drawn pairs, in place of all.

    All pairs would be too many. So the sources make a ring in the order of their ids, and a source meets the next one.
    """
    if sample is not None and sample.keys is not None:
        return Terms.of(sample.compare(conversions, voices))
    of_source: dict[str, list[Conversion]] = defaultdict(list)
    for rows in _group_by_image(conversions).values():
        for row in rows:
            of_source[row.source_id].append(row)
    order = sorted(of_source)
    ring = list(zip(order, order[1:] + (order[:1] if len(order) > 2 else []), strict=False))  # two meet only once
    return Terms.of(
        [
            (measure_cosine(voices[a.converted], voices[b.converted]), a, b)
            for source, following in ring
            for a in of_source[source]
            for b in of_source[following]
            if a.target != b.target
        ]
    )


def _group_by_image(conversions: Sequence[Conversion]) -> dict[tuple[str, str], list[Conversion]]:
    """Group by target and image. A source counts once for each image; one without an id does not count."""
    groups: dict[tuple[str, str], dict[str, Conversion]] = defaultdict(dict)
    for row in conversions:
        if row.source_id:
            groups[row.target, row.face].setdefault(row.source_id, row)
    return {key: list(rows.values()) for key, rows in groups.items()}


METRICS = (
    Metric(
        name="SST",
        better="higher",
        definition="Suitability, one of the three figures of UniSpeaker's benchmark: its name for consistency.",
        measure=lambda conversions, evidence: measure_consistency(conversions, evidence.voices, evidence.real),
    ),
    Metric(
        name="SSC",
        better="higher",
        definition="Consistency in UniSpeaker's sense: mean cosine between two conversions of different sources to one "
        "image.",
        measure=lambda conversions, evidence: measure_ssc(conversions, evidence.voices, evidence.pairs["same image"]),
        needs="SSC is off: no image has conversions of two sources",
    ),
    Metric(
        name="SSD",
        better="lower",
        definition="Diversity in UniSpeaker's sense: mean cosine between conversions of different sources to two "
        "people. The lower, the more diverse; SSC is what one voice has.",
        measure=lambda conversions, evidence: measure_ssd(
            conversions, evidence.voices, evidence.pairs["ring of sources"]
        ),
        needs="SSD is off: no two sources were converted to different targets",
    ),
)
