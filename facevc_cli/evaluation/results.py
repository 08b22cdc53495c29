"""Convert an evaluation to plain data: the content of metrics.json and `--json`, and the rows of metrics.csv."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.evaluation import Evaluation

COLUMNS = ("system", "slice", "metric", "value", "n", "low", "high")
ALL = "all"  # the slice that holds every row
FALLING = ("GA", "consistency", "SHO")  # the metrics that fall when a face is damaged
MINUS = " - "

Json = dict[str, Any]


def to_json(evaluation: Evaluation) -> Json:
    """Convert to the content of metrics.json.

    systems: label -> metric -> value, n, low, high. slices: label -> slice -> metric -> the same. differences: "A - B"
    -> metric -> the same. better: metric -> "higher" or "lower". degradations: system -> condition -> lost, rows,
    figures, differences. Then lost, threshold, gender_judge and notes.
    """
    return {
        "systems": {label: _convert_figures(found) for label, found in evaluation.systems.items()},
        "slices": {
            label: {name: _convert_figures(found) for name, found in parts.items()}
            for label, parts in evaluation.slices.items()
        },
        "differences": {MINUS.join(pair): _convert_figures(found) for pair, found in evaluation.differences.items()},
        "better": {
            name: metric.better
            for name, metric in evaluation.metrics.items()
            if any(name in found for found in evaluation.systems.values())
        },
        "degradations": summarise_degradations(evaluation),
        "lost": evaluation.lost,
        "threshold": evaluation.threshold.to_json() if evaluation.threshold else None,
        "gender_judge": evaluation.evidence.gender_judge.name,
        "notes": evaluation.notes,
    }


def summarise_degradations(evaluation: Evaluation) -> dict[str, dict[str, Json]]:
    """Summarise by system and condition: lost and all rows, the FALLING metrics, and their change from clean faces."""
    found: dict[str, dict[str, Json]] = {}
    heard = Counter((c.base, c.degradation, c.system) for c in evaluation.conversions if c.degradation)
    for (base, condition, label), rows in heard.items():
        lost = evaluation.lost.get(label, 0)
        found.setdefault(base, {})[condition] = {
            "lost": lost,
            "rows": rows + lost,
            "figures": _pick_falling(evaluation.systems[label]),
            "differences": _pick_falling(evaluation.differences.get((label, base), {})),
        }
    for label, lost in evaluation.lost.items():  # conditions under which every face was lost
        base, _, condition = label.rpartition("/")
        if label not in evaluation.systems and base in evaluation.systems and "=" in condition:
            found.setdefault(base, {})[condition] = {"lost": lost, "rows": lost, "figures": {}, "differences": {}}
    return found


def to_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Convert each figure to a row of metrics.csv (COLUMNS)."""
    return [
        {"system": label, "slice": part, "metric": metric, **figure.to_json()}
        for label, found in evaluation.systems.items()
        for part, metrics in {ALL: found, **evaluation.slices.get(label, {})}.items()
        for metric, figure in metrics.items()
    ]


def _convert_figures(found: Mapping[str, Figure]) -> Json:
    return {name: figure.to_json() for name, figure in found.items()}


def _pick_falling(found: Mapping[str, Figure]) -> Json:
    return {name: found[name].to_json() for name in FALLING if name in found}
