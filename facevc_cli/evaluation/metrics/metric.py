"""A metric: its name, definition, scale and measurement. Pages, tables and JSON are made from these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.manifest.conversion import Conversion

Better = Literal["higher", "lower", ""]
BETTER = ("higher", "lower", "")
Measure = Callable[[Sequence[Conversion], Evidence], Terms]
Part = Callable[[Conversion], str]  # chooses the file of a conversion that is heard


def get_converted(conversion: Conversion) -> str:
    """The converted file."""
    return conversion.converted


def get_source(conversion: Conversion) -> str:
    """The baseline: the unchanged source."""
    return conversion.source


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How values are shown. bounds: the range of a bar. None: from 0 to the highest value, but at least to `least`."""

    unit: str = ""
    digits: int = 3
    percent: bool = False
    bounds: tuple[float, float] | None = None
    least: float = 1.0

    def span(self, highest: float) -> tuple[float, float]:
        """The range of the bars of one row."""
        return self.bounds or (0.0, max(self.least, highest))


COSINE = Scale()
SHARE = Scale(percent=True)
OPINION = Scale(digits=2, bounds=(1.0, 5.0))
HERTZ = Scale(unit="Hz", digits=1, least=1e-6)
DECIBEL = Scale(unit="dB", digits=2, least=1e-6)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a system.

    better: the better direction; "" for a control or a baseline. measure: (conversions of one system, evidence) ->
    Terms; None if people give the answers. beside: the metric under which a control or a baseline is shown. needs: the
    note that says what is missing if there are no terms.
    """

    name: str
    better: Better
    definition: str
    measure: Measure | None
    scale: Scale = COSINE
    beside: str = ""
    needs: str = ""

    def measure_terms(self, conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        """Measure the terms of one system's conversions."""
        return self.measure(conversions, evidence) if self.measure else Terms.of([])


def make_source_baseline(beside: str, measure: Measure, scale: Scale = COSINE) -> Metric:
    """The metric `beside`, measured on the unchanged sources.

    It is shown under that metric and needs no definition of its own.
    """
    return Metric(name=f"{beside} source", better="", definition="", measure=measure, scale=scale, beside=beside)


def check_added(name: str, release: str, found: Any) -> Metric:
    """Check a metric of another package: a `Metric`, or a function with the attribute `better` and optionally
    `definition`.

    FaceVCError if it is neither. Its measurements are checked too: FaceVCError if it raises or returns anything but
    finite Terms.
    """
    measure = found.measure if isinstance(found, Metric) else found
    better = getattr(found, "better", None)
    if not callable(measure) or better not in BETTER:
        raise FaceVCError(
            f"--metric {name} ({release}): expected a facevc_cli.evaluation.metrics.metric.Metric, or a function "
            f"whose attribute `better` is 'higher', 'lower' or '', found {type(found).__name__} with {better!r}. See "
            "its package's own notes."
        )

    def measure_checked(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        try:
            terms = measure(conversions, evidence)
        except Exception as error:  # a plug-in may raise anything
            raise FaceVCError(f"the metric {name} failed ({type(error).__name__}: {error}).") from error
        if not isinstance(terms, Terms) or not np.isfinite(terms.values).all():
            said = "NaN or infinite values" if isinstance(terms, Terms) else type(terms).__name__
            raise FaceVCError(
                f"the metric {name}: expected facevc_cli.evaluation.bootstrap.Terms of finite values, found {said}."
            )
        return terms

    definition, scale = str(getattr(found, "definition", "")), getattr(found, "scale", COSINE)
    return Metric(name=name, better=better, definition=definition, measure=measure_checked, scale=scale)
