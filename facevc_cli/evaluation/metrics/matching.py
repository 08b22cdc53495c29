"""Matching, a 1:2 forced choice: is the conversion closer to the target's real voice or to another person's?"""

from collections.abc import Mapping, Sequence

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.consistency import compare_with_others
from facevc_cli.evaluation.metrics.metric import SHARE, Metric
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion

TIE = 1e-6  # a smaller difference of cosines is rounding


def measure_matching(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    real: Mapping[str, list[HeardVoice]],
    others: Mapping[str, list[str]],
) -> Terms:
    """A conversion's share of right choices over the control people. A tie is half right, so chance is 50 %."""
    found = compare_with_others(conversions, voices, real, others)
    return Terms.of(
        [(float(np.where(np.abs(own - against) < TIE, 0.5, own > against).mean()), c) for own, against, c in found]
    )


METRICS = (
    Metric(
        name="matching",
        better="higher",
        definition="Share of right choices between two real voices: the target's, and that of another person of the "
        "same gender. The voice with the higher cosine to the conversion is chosen. A tie is half right; "
        "chance is 50 %.",
        measure=lambda conversions, evidence: measure_matching(
            conversions, evidence.voices, evidence.real, evidence.others
        ),
        scale=SHARE,
    ),
)
