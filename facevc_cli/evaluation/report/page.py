"""The page of an evaluation: one HTML file with figures, plots and recordings. It needs no network."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from facevc_cli import __version__
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.evaluation import Evaluation
from facevc_cli.evaluation.metrics.metric import Metric, Scale
from facevc_cli.evaluation.report import plots
from facevc_cli.evaluation.report.addresses import read_addresses
from facevc_cli.evaluation.report.grid import SOURCE, list_clean_labels, make_grid
from facevc_cli.evaluation.report.media import MediaTable
from facevc_cli.evaluation.results import FALLING
from facevc_cli.files.atomic import write_text
from facevc_cli.files.tables import resolve

BASELINES = {
    "shuffled-faces": "driven by another person's face",
    "shuffled-within-gender": "driven by the face of another person of the target's gender",
    "mean-face": "driven by the mean of all faces, the same voice for everyone",
    "source": "the source itself, unconverted",
    "voice": "driven by a recording of the target instead of a face: the closest that this system gets",
}
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "": ""}


@dataclass(frozen=True)
class Cell:
    """One figure as it is shown.

    bar: left, width and mark, in percent of the row's scale. verdict: "better", "worse" or "".
    """

    value: str
    interval: str
    n: int
    bar: tuple[float, float, float] | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    better: str
    beside: bool  # a control or a baseline, shown under its metric
    cells: list[Cell | None]


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class Degraded:
    """A row of the table of degradations.

    cells: (figure, difference to clean faces) per metric of `_list_falling`. lost: failed rows.
    """

    label: str
    clean: bool
    cells: list[tuple[Cell | None, Cell | None]]
    lost: int


def write_page(
    evaluation: Evaluation, path: Path, *, title: str, grid: int = 12, addresses: Path | None = None
) -> None:
    """Write the page completely or not at all.

    grid: most faces and sources whose conversions can be heard; 0 for none. addresses: convert's addresses.safetensors,
    if faces were recalled. Unreadable media are marked on the page and listed at its end. FaceVCError if `path` cannot
    be written.
    """
    write_text(path, render(evaluation, title=title, grid=grid, addresses=addresses))


def render(evaluation: Evaluation, *, title: str, grid: int = 12, addresses: Path | None = None) -> str:
    """Render the page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("facevc_cli.evaluation.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    media = MediaTable()
    heard = make_grid(evaluation, grid, media)
    conversions = evaluation.conversions
    clean = [label for label in list_clean_labels(conversions) if label in evaluation.systems]
    drawn = _draw_plots(evaluation, addresses)
    metrics = evaluation.metrics
    loader = PackageLoader("facevc_cli.evaluation.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.j2").render(
        title=title,
        counts={
            "conversions": len({c.converted for c in conversions if c.baseline != SOURCE}),
            "systems": len({c.base for c in conversions}),
            "baselines": len({c.baseline for c in conversions if c.baseline}),
            "sources": len({c.source_id for c in conversions}),
            "targets": len({c.target for c in conversions}),
        },
        figures=_make_table("", {label: evaluation.systems[label] for label in clean}, metrics),
        differences=_make_difference_table(
            {pair: found for pair, found in evaluation.differences.items() if set(pair) <= set(clean)}, metrics
        ),
        slices={
            label: _make_slice_tables(evaluation.slices.get(label, {}), metrics)
            for label in clean
            if evaluation.slices.get(label)
        },
        degradations=_make_degraded_rows(evaluation),
        falling=_list_falling(evaluation),
        definitions={
            name: metrics[name].definition
            for name in _list_shown(evaluation.systems.values(), metrics)
            if metrics[name].definition
        },
        baselines={name: text for name, text in BASELINES.items() if any(c.baseline == name for c in conversions)},
        threshold=evaluation.threshold,
        theta=evaluation.evidence.theta,
        gender_judge=evaluation.evidence.gender_judge.name,
        plots=[(name, caption, Markup(svg)) for name, caption, svg in drawn],
        grid=heard,
        notes=[
            *evaluation.notes,
            *evaluation.failed.values(),
            *(f"{label}: {count} conversions failed" for label, count in evaluation.lost.items() if count),
        ],
        missing=media.missing,
        recordings=media.recordings,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # file names that are not UTF-8 contain lone surrogates


def format_value(scale: Scale, value: float, sign: bool = False) -> str:
    """Format a number with its unit. With `sign` it is a difference; differences of shares are in percentage points."""
    if scale.percent:
        text = f"{100 * value:{'+' if sign else ''}.1f}{SPACE}{'pt' if sign else '%'}"
    else:
        text = f"{value:{'+' if sign else ''}.{scale.digits}f}{SPACE}{scale.unit}".rstrip()
    return text.replace("-", "−")


def _make_table(caption: str, columns: Mapping[str, Mapping[str, Figure]], metrics: Mapping[str, Metric]) -> Table:
    names, rows = _list_shown(columns.values(), metrics), []
    for name in names:
        metric = metrics[name]
        # a metric, its controls and its baselines share one scale, so that their bars are comparable
        family = [other for other in names if (metrics[other].beside or other) == (metric.beside or name)]
        found = [figures[other] for figures in columns.values() for other in family if other in figures]
        span = metric.scale.span(max(figure.value if figure.high is None else figure.high for figure in found))
        cells = [_make_cell(metric.scale, figures.get(name), span) for figures in columns.values()]
        rows.append(Row(name, ARROWS[metric.better], bool(metric.beside), cells))
    return Table(caption, list(columns), rows)


def _make_cell(scale: Scale, figure: Figure | None, span: tuple[float, float]) -> Cell | None:
    if figure is None:
        return None
    bar = None
    if figure.low is not None and figure.high is not None:
        low, mark, high = (
            100 * min(1.0, max(0.0, (x - span[0]) / (span[1] - span[0])))
            for x in (figure.low, figure.value, figure.high)
        )
        bar = (low, high - low, mark)
    return Cell(format_value(scale, figure.value), _format_interval(scale, figure), figure.n, bar)


def _format_interval(scale: Scale, figure: Figure, sign: bool = False) -> str:
    if figure.low is None or figure.high is None:
        return ""
    low, _, _ = format_value(scale, figure.low, sign).partition(SPACE)  # the unit appears once
    return f"{low} to {format_value(scale, figure.high, sign)}"


def _make_difference_table(
    pairs: Mapping[tuple[str, str], Mapping[str, Figure]], metrics: Mapping[str, Metric]
) -> Table:
    rows = [
        Row(
            name,
            ARROWS[metrics[name].better],
            False,
            [_make_difference_cell(metrics[name], found.get(name)) for found in pairs.values()],
        )
        for name in _list_shown(pairs.values(), metrics)
    ]
    return Table("", [f"{a} − {b}" for a, b in pairs], rows)


def _make_difference_cell(metric: Metric, figure: Figure | None) -> Cell | None:
    if figure is None:
        return None
    verdict = ""
    if figure.low is not None and figure.high is not None and metric.better and (figure.low > 0 or figure.high < 0):
        verdict = "better" if (figure.low > 0) == (metric.better == "higher") else "worse"
    return Cell(
        format_value(metric.scale, figure.value, True),
        _format_interval(metric.scale, figure, True),
        figure.n,
        verdict=verdict,
    )


def _make_slice_tables(found: Mapping[str, Mapping[str, Figure]], metrics: Mapping[str, Metric]) -> list[Table]:
    """Make one table by gender pair, and one for each column that slices the conversions."""
    groups: dict[str, dict[str, Mapping[str, Figure]]] = {}
    for name, figures in found.items():
        column, is_value, value = name.partition("=")
        groups.setdefault(column if is_value else "source > target", {})[value if is_value else name] = figures
    return [_make_table(column, parts, metrics) for column, parts in groups.items()]


def _find_degraded(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Find each system on degraded faces: label -> (plain system's label, degradation).

    Includes systems that lost every face.
    """
    found = {c.system: (c.base, c.degradation) for c in evaluation.conversions if c.degradation}
    gone = {
        label: (base, rest)
        for label in evaluation.lost
        if label not in evaluation.systems
        for base, _, rest in [label.rpartition("/")]
    }
    return found | {label: named for label, named in gone.items() if "=" in named[1]}


def _make_degraded_rows(evaluation: Evaluation) -> list[Degraded]:
    """Make a row for each plain system with degraded faces, followed by a row for each degradation."""
    degraded = _find_degraded(evaluation)
    rows = []
    for base in dict.fromkeys(base for base, _ in degraded.values()):
        for label in [base, *(label for label, (of, _) in degraded.items() if of == base)]:
            figures = evaluation.systems.get(label, {})
            falls = evaluation.differences.get((label, base), {})
            metrics = [evaluation.metrics[name] for name in _list_falling(evaluation)]
            cells = [
                (_make_cell(m.scale, figures.get(m.name), (0.0, 1.0)), _make_difference_cell(m, falls.get(m.name)))
                for m in metrics
            ]
            rows.append(
                Degraded(
                    degraded[label][1] if label in degraded else label,
                    label == base,
                    cells,
                    evaluation.lost.get(label, 0),
                )
            )
    return rows


def _list_falling(evaluation: Evaluation) -> list[str]:
    return [metric for metric in FALLING if any(metric in figures for figures in evaluation.systems.values())]


def _list_shown(systems: Iterable[Mapping[str, Figure]], metrics: Mapping[str, Metric]) -> list[str]:
    """List the metrics that any system has, in order of display."""
    found = {name for figures in systems for name in figures}
    return [name for name in metrics if name in found]


def _draw_plots(evaluation: Evaluation, addresses: Path | None) -> list[tuple[str, str, str]]:
    if not plots.are_plots_available():
        return []
    memory = read_addresses(addresses)
    genders = {c.face: c.gender for c in evaluation.conversions}
    if memory and addresses:  # it names faces as the manifest does, relative to its folder
        genders |= {face: genders.get(resolve(face, addresses), genders.get(face, "")) for face in memory.faces}
    candidates = [
        (
            "How alike the voices are",
            "Each curve is a distribution of cosines of voice embeddings. The upright tick is its mean, and the "
            "dashed line is θ. Green curves should be on the right, the others on the left. The last two rows compare "
            "conversions with real voices. The other rows compare conversions of one source.",
            plots.draw_similarities(evaluation),
        ),
        (
            "Who sounds like whom",
            "One row for each target's conversions. If faces gave their owners' voices, the diagonal would be bright. "
            "Blocks show the gender.",
            plots.draw_identity_map(evaluation),
        ),
        (
            "Faces in the memory",
            "Slots of the memory in the plane of their values' first two principal components. Each face is at the "
            "mean of the slots that it addresses.",
            plots.draw_address_map(memory, genders),
        ),
        (
            "Pitch",
            "One mark for each conversion. On the dashed line the mean F0 equals the source's. The horizontal lines "
            "are medians by the target's gender.",
            plots.draw_f0_scatter(evaluation),
        ),
    ]
    return [(name, caption, svg) for name, caption, svg in candidates if svg]
