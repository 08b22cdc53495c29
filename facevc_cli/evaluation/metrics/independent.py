"""Figures by the independent speaker judges, which trained no model here."""

from collections.abc import Sequence

from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics import consistency, leakage, voice_control
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import Metric
from facevc_cli.evaluation.speaker_judges.registry import INDEPENDENT
from facevc_cli.manifest.conversion import Conversion

OMITTED = ("leakage source",)  # the cosine of a recording to itself


def make_independent(metric: Metric, judge: str) -> Metric:
    """The same metric by an independent judge. Its name is the judge's and the metric's."""

    def measure(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        heard = evidence.by_judge.get(judge)
        if heard is None:
            return Terms.of([])
        return metric.measure_terms([c for c in conversions if c.converted in heard.voices], heard)

    return Metric(
        name=f"{judge} {metric.name}",
        better=metric.better,
        definition=f"As {metric.name}, by the judge {judge}." if metric.definition else "",
        measure=measure,
        scale=metric.scale,
        beside=f"{judge} {metric.beside}" if metric.beside else "",
    )


METRICS = tuple(
    make_independent(metric, judge)
    for judge in INDEPENDENT
    for metric in (*consistency.METRICS, *leakage.METRICS, *voice_control.METRICS)
    if metric.name not in OMITTED
)
