"""F0 deviation: how far the conversion's mean pitch is from the target's real one, in Hz."""

from collections.abc import Mapping, Sequence

import numpy as np

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import HERTZ, Metric, Part, get_converted, get_source, make_source_baseline
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion


def measure_f0_deviation(
    conversions: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    real: Mapping[str, list[HeardVoice]],
    part: Part = get_converted,
) -> Terms:
    """|mean voiced F0 - mean over the target's real utterances of theirs|, Hz. Unvoiced recordings do not count."""
    pitch = {}
    for target, utterances in real.items():
        means = [heard.mean_f0_hz for heard in utterances if np.isfinite(heard.mean_f0_hz)]
        if means:
            pitch[target] = sum(means) / len(means)
    return Terms.of(
        [
            (abs(voices[part(c)].mean_f0_hz - pitch[c.target]), c)
            for c in conversions
            if c.target in pitch and part(c) in voices and np.isfinite(voices[part(c)].mean_f0_hz)
        ]
    )


METRICS = (
    Metric(
        name="F0 deviation",
        better="lower",
        definition=(
            "Absolute difference between the mean voiced F0 of the conversion and that of the target's real "
            "recordings, in Hz."
        ),
        measure=lambda conversions, evidence: measure_f0_deviation(conversions, evidence.voices, evidence.real),
        scale=HERTZ,
    ),
    make_source_baseline(
        "F0 deviation",
        lambda conversions, evidence: measure_f0_deviation(conversions, evidence.voices, evidence.real, get_source),
        HERTZ,
    ),
)
