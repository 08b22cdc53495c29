"""SHO, SHR, SDO, SDR: compare conversions of one source to images of one person, and to different people."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import SHARE, Metric
from facevc_cli.evaluation.metrics.pair_sample import Pair, PairSample
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion


def pair_same_target(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], sample: PairSample | None = None
) -> list[Pair]:
    """List (cosine, a, b) for pairs with the same source and target but different images of that target.

    sample: drawn pairs, in place of all.
    """
    if sample is not None and sample.keys is not None:
        return sample.compare(conversions, voices)
    return [
        (value, a, b)
        for value, a, b in _pair_same_source(conversions, voices, same_target=True)
        if a.target == b.target and a.face and b.face and a.face != b.face
    ]


def pair_different_targets(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], sample: PairSample | None = None
) -> list[Pair]:
    """List (cosine, a, b) for pairs with the same source and different targets. sample: as in `pair_same_target`."""
    if sample is not None and sample.keys is not None:
        return sample.compare(conversions, voices)
    return [(value, a, b) for value, a, b in _pair_same_source(conversions, voices) if a.target != b.target]


def measure_sho(pairs: Sequence[Pair]) -> Terms:
    """SHO: the cosines of `pair_same_target` pairs."""
    return Terms.of(pairs)


def measure_shr(pairs: Sequence[Pair], theta: float) -> Terms:
    """SHR: 1 if a `pair_same_target` pair passes for one speaker, cos >= theta."""
    return Terms.of([(float(value >= theta), a, b) for value, a, b in pairs])


def measure_sdo(pairs: Sequence[Pair]) -> Terms:
    """SDO: the cosines of `pair_different_targets` pairs."""
    return Terms.of(pairs)


def measure_sdr(pairs: Sequence[Pair], theta: float) -> Terms:
    """SDR: 1 if a `pair_different_targets` pair passes for two speakers, cos < theta."""
    return Terms.of([(float(value < theta), a, b) for value, a, b in pairs])


def _pair_same_source(
    conversions: Sequence[Conversion], voices: Mapping[str, HeardVoice], *, same_target: bool = False
) -> Iterator[Pair]:
    """same_target: leave out pairs of different targets, of which there may be very many."""
    groups = defaultdict(list)
    for conversion in conversions:
        if conversion.source_id:
            groups[conversion.source_id, conversion.target if same_target else ""].append(conversion)
    for group in groups.values():
        embeddings = np.stack([voices[c.converted].embedding for c in group]).astype(np.float64)
        cosines = (embeddings @ embeddings.T)[np.triu_indices(len(group), 1)]
        for value, (a, b) in zip(cosines.tolist(), combinations(group, 2), strict=True):
            yield value, a, b


def _measure_shr(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
    return (
        Terms.of([])
        if evidence.theta is None
        else measure_shr(pair_same_target(conversions, evidence.voices, evidence.pairs["same target"]), evidence.theta)
    )


def _measure_sdr(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
    return (
        Terms.of([])
        if evidence.theta is None
        else measure_sdr(
            pair_different_targets(conversions, evidence.voices, evidence.pairs["different targets"]), evidence.theta
        )
    )


METRICS = (
    Metric(
        name="SHO",
        better="higher",
        definition="Same person: mean cosine between two conversions of one source to two images of one person.",
        measure=lambda conversions, evidence: measure_sho(
            pair_same_target(conversions, evidence.voices, evidence.pairs["same target"])
        ),
        needs="SHO and SHR are off: no source was converted with two images (column face) of one target",
    ),
    Metric(
        name="SHR",
        better="higher",
        definition="Share of the SHO pairs that a speaker verifier takes for one speaker (cosine at least θ).",
        measure=_measure_shr,
        scale=SHARE,
    ),
    Metric(
        name="SDO",
        better="lower",
        definition="Different people: mean cosine between two conversions of one source to two people.",
        measure=lambda conversions, evidence: measure_sdo(
            pair_different_targets(conversions, evidence.voices, evidence.pairs["different targets"])
        ),
        needs="SDO and SDR are off: no source was converted to two targets",
    ),
    Metric(
        name="SDR",
        better="higher",
        definition="Share of the SDO pairs that a speaker verifier takes for two speakers (cosine below θ).",
        measure=_measure_sdr,
        scale=SHARE,
    ),
)
