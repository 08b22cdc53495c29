"""All metrics in the order of display: facevc's own, then those of other packages."""

from collections.abc import Sequence

from facevc_cli.core.errors import UsageError
from facevc_cli.core.plugins import Plugins
from facevc_cli.evaluation.metrics import (
    consistency,
    f0_deviation,
    gender,
    independent,
    intelligibility,
    leakage,
    matching,
    mel_cepstral_distortion,
    naturalness,
    opinions,
    pairs,
    voice_control,
)
from facevc_cli.evaluation.metrics.metric import Metric, check_added

PLUGINS = Plugins("facevc.metrics", "--metric", "further metric")
_FILES = (
    pairs,
    gender,
    consistency,
    matching,
    f0_deviation,
    leakage,
    voice_control,
    independent,
    intelligibility,
    naturalness,
    mel_cepstral_distortion,
    opinions,
)
METRICS: dict[str, Metric] = {metric.name: metric for file in _FILES for metric in file.METRICS}


def load_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """Load metrics of other packages by the names of their entry points, each once.

    UsageError for an unknown name. FaceVCError if one does not load or does not say which direction is better.
    """
    for name in names:
        if name in METRICS:
            raise UsageError(f"--metric {name}: this metric is always measured. Leave the option out.")
    return tuple(check_added(name, PLUGINS.describe_release(name), PLUGINS.load(name)) for name in dict.fromkeys(names))
