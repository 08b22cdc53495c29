"""Matching, a 1:2 forced choice: is the conversion nearer to the target's real voice than to another person's of that gender?"""

from collections.abc import Mapping, Sequence

from facevc_cli.metrics.bootstrap import Terms
from facevc_cli.metrics.consistency import nearness
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.voices import Heard


def matching_terms(
    conversions: Sequence[Conversion],
    voices: Mapping[str, Heard],
    real: Mapping[str, list[Heard]],
    others: Mapping[str, list[str]],
) -> Terms:
    """A conversion's share of right choices against each control person; a tie is half right, so that chance is .5."""
    terms = []
    for conversion in conversions:
        if conversion.target in others:
            own = nearness(voices[conversion.converted], real[conversion.target])
            against = [nearness(voices[conversion.converted], real[name]) for name in others[conversion.target]]
            terms.append(
                (
                    sum(1.0 if own > other else 0.5 if own == other else 0.0 for other in against) / len(against),
                    conversion,
                )
            )
    return Terms.of(terms)
