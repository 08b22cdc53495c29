"""The tables that `facevc evaluate` prints: systems side by side, slices, differences, and the effect of
damaged faces.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from facevc_cli.cli.report import Results
from facevc_cli.core.progress import Summary

Figures = Mapping[str, Mapping[str, Any]]
OTHERS_WIDTH, CELL_WIDTH = 42, len("-0.000 (-0.000 to -0.000)")  # of the columns that are no systems, and of theirs


def show(results: Results, summary: Summary) -> None:
    """Print the tables of a summary's data, and what the figures depend on."""
    data = summary.data
    _show_side_by_side(results, "systems", data["systems"], data["better"])
    for label, parts in _select_plain(data["slices"], data["systems"]).items():
        for title, slices in _group_slices(parts).items():
            _show_side_by_side(results, f"{label}, by {title}", slices, data["better"])
    _show_side_by_side(results, "paired differences", data["differences"], data["better"])
    for system, conditions in data["degradations"].items():
        metrics = list(dict.fromkeys(metric for found in conditions.values() for metric in found["figures"]))
        rows = [
            [
                name,
                f"{found['lost']} of {found['rows']}",
                *(_format_change(found["figures"].get(m), found["differences"].get(m)) for m in metrics),
            ]
            for name, found in conditions.items()
        ]
        first = ["clean", "", *(_format_change(data["systems"].get(system, {}).get(m), None) for m in metrics)]
        results.write_table(
            f"{system}, damaged faces (and the change from clean ones)", ["faces", "lost", *metrics], [first, *rows]
        )
    if threshold := data["threshold"]:
        results.write_line(
            f"threshold {threshold['theta']:.3f}, equal error {threshold['eer']:.1%}: {threshold['origin']}"
        )
    compared = ", ".join([data["speaker_judge"], *data["independent_judges"]])
    results.write_line(f"gender heard by {data['gender_judge']}; voices compared by {compared}")


def show_association(results: Results, summary: Summary) -> None:
    """Print the figures of every group of trials, with the systems and the controls side by side."""
    data = summary.data
    groups = dict.fromkeys(group for found in data["systems"].values() for group in found)
    for group in groups:
        columns = {name: found[group] for name, found in data["systems"].items()}
        _show_side_by_side(results, f"face and voice, {group}", columns, data["better"])
    results.write_line(f"{data['faces']} faces and {data['voices']} voices of {data['people']} people")


def show_portraits(results: Results, summary: Summary) -> None:
    """Print the figures of imagined faces, or of restyled photos, beside those of their controls."""
    data = summary.data
    restyled = "photos" in data
    for group, columns in data["groups"].items():
        title = f"{'restyled photos' if restyled else 'imagined faces'}, {group}"
        _show_side_by_side(results, title, columns, data["better"])
    first, second = ("pictures", "photos") if restyled else ("portraits", "voices")
    results.write_line(f"{data[first]} {first} of {data[second]} {second}")


def _show_side_by_side(results: Results, title: str, columns: Mapping[str, Figures], better: Mapping[str, str]) -> None:
    """Shows one row per metric, and one column per system, slice or difference.

    If the terminal is full, a new table starts.
    """
    for part in _split_to_fit(list(columns), results.width):
        cells = {name: [columns[label].get(name) for label in part] for name in better}
        rows = [
            [name, better[name], *map(_format_figure, found), _format_count(found)]
            for name, found in cells.items()
            if any(found)
        ]
        if rows:
            results.write_table(title, ["metric", "better", *part, "n"], rows)


def _split_to_fit(labels: Sequence[str], width: int) -> Iterator[list[str]]:
    """Yields groups of labels whose columns fit on the terminal, at least one label in each."""
    part: list[str] = []
    for label in labels:
        if part and OTHERS_WIDTH + sum(max(len(name), CELL_WIDTH) + 3 for name in [*part, label]) > width:
            yield part
            part = []
        part.append(label)
    if part:
        yield part


def _select_plain(slices: Mapping[str, Any], systems: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the figures of plain systems. metrics.csv has the others."""
    return {
        label: parts for label, parts in slices.items() if not any(label.startswith(f"{other}/") for other in systems)
    }


def _group_slices(parts: Mapping[str, Figures]) -> dict[str, dict[str, Figures]]:
    groups: dict[str, dict[str, Figures]] = {}
    for name, figures in parts.items():
        groups.setdefault(name.split("=")[0] if "=" in name else "gender, source > target", {})[name] = figures
    return groups


def _format_figure(figure: Mapping[str, Any] | None) -> str:
    return (
        ""
        if not figure
        else f"{figure['value']:.3f}"
        + ("" if figure["low"] is None else f" ({figure['low']:.3f} to {figure['high']:.3f})")
    )


def _format_change(figure: Mapping[str, Any] | None, change: Mapping[str, Any] | None) -> str:
    return "" if figure is None else f"{figure['value']:.3f}" + (f" ({change['value']:+.3f})" if change else "")


def _format_count(figures: Sequence[Mapping[str, Any] | None]) -> str:
    counts = sorted({figure["n"] for figure in figures if figure})
    return "-".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
