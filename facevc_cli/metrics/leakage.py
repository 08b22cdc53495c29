"""Leakage: how much of the source's voice is left in the conversion."""

from collections.abc import Mapping, Sequence

from facevc_cli.metrics.bootstrap import Terms
from facevc_cli.metrics.consistency import Part, converted
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.voices import Heard, cosine


def leakage_terms(conversions: Sequence[Conversion], voices: Mapping[str, Heard], part: Part = converted) -> Terms:
    """Cosine to the source utterance; with `part` = source, of the unchanged source (1, the most there can be)."""
    return Terms.of(
        [
            (cosine(voices[part(c)], voices[c.source]), c)
            for c in conversions
            if c.source in voices and part(c) in voices
        ]
    )
