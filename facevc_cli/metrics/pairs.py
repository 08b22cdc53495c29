"""SHO, SHR, SDO, SDR: are conversions of one source alike for one person's images, and different for different people?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from facevc_cli.metrics.bootstrap import Terms
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.voices import Heard

Pair = tuple[float, Conversion, Conversion]


def same_target(conversions: Sequence[Conversion], voices: Mapping[str, Heard]) -> list[Pair]:
    """(cosine, a, b) over pairs with the same source and target and different images of that target."""
    return [(value, a, b) for value, a, b in _same_source(conversions, voices) if a.target == b.target and a.face and b.face and a.face != b.face]


def different_target(conversions: Sequence[Conversion], voices: Mapping[str, Heard]) -> list[Pair]:
    """(cosine, a, b) over pairs with the same source and different targets."""
    return [(value, a, b) for value, a, b in _same_source(conversions, voices) if a.target != b.target]


def sho_terms(pairs: Sequence[Pair]) -> Terms:
    """SHO: the cosines of `same_target` pairs."""
    return Terms.of(pairs)


def shr_terms(pairs: Sequence[Pair], theta: float) -> Terms:
    """SHR: 1 where a `same_target` pair passes for one speaker, cos >= theta."""
    return Terms.of([(float(value >= theta), a, b) for value, a, b in pairs])


def sdo_terms(pairs: Sequence[Pair]) -> Terms:
    """SDO: the cosines of `different_target` pairs."""
    return Terms.of(pairs)


def sdr_terms(pairs: Sequence[Pair], theta: float) -> Terms:
    """SDR: 1 where a `different_target` pair passes for two speakers, cos < theta."""
    return Terms.of([(float(value < theta), a, b) for value, a, b in pairs])


def _same_source(conversions: Sequence[Conversion], voices: Mapping[str, Heard]) -> Iterator[Pair]:
    groups = defaultdict(list)
    for conversion in conversions:
        if conversion.source_id:
            groups[conversion.source_id].append(conversion)
    for group in groups.values():
        embeddings = np.stack([voices[c.converted].embedding for c in group]).astype(np.float64)
        cosines = (embeddings @ embeddings.T)[np.triu_indices(len(group), 1)]
        for value, (a, b) in zip(cosines.tolist(), combinations(group, 2), strict=True):
            yield value, a, b
