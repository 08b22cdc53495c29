"""An evaluation: the figures of each system, its slices, and the differences between systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Figure, Terms, estimate_difference
from facevc_cli.evaluation.figures import estimate_figures, measure_terms, slice_by_columns, slice_by_gender
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import Metric
from facevc_cli.evaluation.metrics.pair_sample import METRIC_NAMES, Kind, describe_samples
from facevc_cli.evaluation.metrics.registry import METRICS
from facevc_cli.evaluation.threshold import Threshold
from facevc_cli.manifest.conversion import Conversion

Figures = dict[str, Figure]  # metric -> figure


@dataclass(frozen=True)
class Evaluation:
    """The results of `evaluate`. A system's key is its label: 'starter', 'starter/mean-face', 'starter/blur=4'.

    slices: label -> slice ("F>M", "age_bin=20-29") -> metric. differences: (label, other label) -> metric -> paired
    difference label - other. lost: label -> number of failed conversions, for example because a degraded face was not
    found. metrics: by name, in the order of display; those of other packages come last. failed: the metrics of other
    packages that failed, and why.
    """

    conversions: list[Conversion]  # those that the judges could hear
    evidence: Evidence
    systems: dict[str, Figures]
    slices: dict[str, dict[str, Figures]]
    differences: dict[tuple[str, str], Figures]
    lost: dict[str, int]
    threshold: Threshold | None
    notes: list[str]
    metrics: Mapping[str, Metric] = field(default_factory=lambda: dict(METRICS))
    failed: Mapping[str, str] = field(default_factory=dict)


def measure(
    conversions: Sequence[Conversion],
    evidence: Evidence,
    by: Sequence[str] = (),
    *,
    added: Sequence[Metric] = (),
    lost: Mapping[str, int] | None = None,
    threshold: Threshold | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Evaluation:
    """Measure every metric of every system, its slices by gender pair and by the columns `by`, and the paired
    differences.

    Control people are drawn from the targets of all systems, so each system has the same ones. added: metrics of other
    packages. If one of them fails, it is left out of every system.
    """
    labels = dict.fromkeys(c.system for c in conversions)
    evidence = replace(evidence, everyone=conversions, seed=seed)  # once, because it keeps what it draws
    terms = {
        label: measure_terms([c for c in conversions if c.system == label], evidence, conversions, seed)
        for label in labels
    }
    failed = _add_terms(terms, added, conversions, evidence)
    metrics = METRICS | {metric.name: metric for metric in added}
    slices = {
        label: {**slice_by_gender(found, seed), **slice_by_columns(found, by, seed)} for label, found in terms.items()
    }
    differences = {
        pair: _estimate_differences(terms[pair[0]], terms[pair[1]], metrics, seed)
        for pair in list_comparisons(conversions)
    }
    return Evaluation(
        conversions=list(conversions),
        evidence=evidence,
        systems={label: estimate_figures(found, seed=seed) for label, found in terms.items()},
        slices=slices,
        differences={pair: found for pair, found in differences.items() if found},
        lost=dict(lost or {}),
        threshold=threshold,
        notes=[*notes, *describe_samples(evidence.pairs, partial(_find_spread, terms))],
        metrics=metrics,
        failed=failed,
    )


def _find_spread(terms: Mapping[str, Mapping[str, Terms]], kind: Kind) -> float | None:
    """The largest standard deviation among the systems of the cosines of a kind of pair."""
    metric = METRIC_NAMES[kind].split()[0]
    return max((float(found[metric].values.std()) for found in terms.values() if metric in found), default=None)


def _add_terms(
    terms: Mapping[str, dict[str, Terms]],
    added: Sequence[Metric],
    conversions: Sequence[Conversion],
    evidence: Evidence,
) -> dict[str, str]:
    """Add the terms of the added metrics to each system's. Return the metrics that failed, and why."""
    failed = {}
    for metric in added:
        try:
            found = {
                label: metric.measure_terms([c for c in conversions if c.system == label], evidence) for label in terms
            }
        except FaceVCError as error:
            failed[metric.name] = str(error)
            continue
        for label, part in found.items():
            if len(part):
                terms[label][metric.name] = part
    return failed


def list_comparisons(conversions: Sequence[Conversion]) -> list[tuple[str, str]]:
    """List the pairs of labels to compare.

    Baselines and degradations are compared with their plain system, and plain systems with each other.
    """
    about = {c.system: c for c in conversions}
    plain = [label for label, c in about.items() if not (c.baseline or c.degradation)]
    changed = [(label, c.base) for label, c in about.items() if label not in plain and c.base in about]
    return changed + list(combinations(plain, 2))


def _estimate_differences(
    a: Mapping[str, Terms], b: Mapping[str, Terms], metrics: Mapping[str, Metric], seed: int
) -> Figures:
    found = {
        name: estimate_difference(a[name], b[name], seed)
        for name, metric in metrics.items()
        if metric.better and name in a and name in b
    }
    return {name: value for name, value in found.items() if value is not None}
