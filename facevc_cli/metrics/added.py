"""Metrics of other packages, asked for by name: entry points of the group facevc.metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.metrics.bootstrap import Terms
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.report import BASELINE, BETTER, HIGHER, LOWER, Evidence
from facevc_cli.plugins import Plugins

METRICS = Plugins("facevc.metrics", "--metric", "further metric")


@dataclass(frozen=True)
class AddedMetric:
    """A metric under the name of its entry point. better: HIGHER, LOWER or BASELINE; definition: a sentence for the page."""

    name: str
    better: str
    definition: str
    measure: Callable[[Sequence[Conversion], Evidence], Terms]

    def terms(self, conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        """The terms over one system's conversions; FaceVCError where the metric fails or gives anything else."""
        try:
            found = self.measure(conversions, evidence)
        except Exception as error:  # another package's: it may raise anything
            raise FaceVCError(f"the metric {self.name} failed ({type(error).__name__}: {error}).") from error
        if not isinstance(found, Terms) or not np.isfinite(found.values).all():
            said = "NaN or infinite values" if isinstance(found, Terms) else type(found).__name__
            raise FaceVCError(f"the metric {self.name}: expected facevc_cli.metrics.bootstrap.Terms of finite values, found {said}.")
        return found


def load_metrics(names: Sequence[str]) -> tuple[AddedMetric, ...]:
    """The metrics of these names, each once. The entry point's object is called with (conversions of one system, evidence) and gives
    Terms; its attribute `better` is "higher", "lower" or "" (a baseline), and `definition`, where it has one, a sentence.

    UsageError for an unknown name, FaceVCError where it does not load or does not say which way is better.
    """
    found = []
    for name in dict.fromkeys(names):
        if name in BETTER:
            raise UsageError(f"--metric {name}: this one is measured without being asked for. Leave the option out.")
        measure = METRICS.load(name)
        better = getattr(measure, "better", None)
        if not callable(measure) or better not in (HIGHER, LOWER, BASELINE):
            raise FaceVCError(
                f"--metric {name} ({METRICS.release(name)}): expected something to call whose attribute `better` is 'higher', 'lower' or '', "
                f"found {type(measure).__name__} with {better!r}. See its package's own notes."
            )
        found.append(AddedMetric(name, better, str(getattr(measure, "definition", "")), measure))
    return tuple(found)
