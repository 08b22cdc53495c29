"""Draw the plots of an evaluation. Each is an SVG string, or None if its data are missing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.core.extras import are_installed
from facevc_cli.evaluation.metrics import pairs
from facevc_cli.evaluation.metrics.pair_sample import MOST_PAIRS, sample_pairs
from facevc_cli.evaluation.metrics.people import average_voices, find_real_voices
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.evaluation.report.addresses import Addresses
from facevc_cli.evaluation.report.svg import (
    FIRST,
    GENDER_COLOUR,
    GENDER_MARK,
    INK,
    LINE,
    PAPER,
    SECOND,
    UNKNOWN,
    open_figure,
    shorten_label,
    to_svg,
)
from facevc_cli.manifest.contract import FEMALE, MALE
from facevc_cli.manifest.conversion import Conversion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from facevc_cli.evaluation.evaluation import Evaluation

PANELS = 3  # systems side by side
BINS = 160  # per distribution
FEWEST_FOR_A_CURVE = 5
MOST_MARKS = 5000  # conversions that the plot of the pitch shows; of more, each n-th
MOST_NAMES = 48  # most identities that an axis names
MOST_NUMBERS = 14  # most identities for which cells show their value
GENDER_ORDER = {FEMALE: 0, MALE: 1, "": 2}


def are_plots_available() -> bool:
    """Whether what draws them, matplotlib and scipy, is installed."""
    return are_installed("matplotlib", "scipy")


def select_plain_systems(evaluation: "Evaluation") -> dict[str, list[Conversion]]:
    """Select the conversions of the systems themselves, without baselines and degraded faces."""
    found: dict[str, list[Conversion]] = {}
    for conversion in evaluation.conversions:
        if (
            not conversion.baseline
            and not conversion.degradation
            and conversion.converted in evaluation.evidence.voices
        ):
            found.setdefault(conversion.system, []).append(conversion)
    return found


def draw_similarities(evaluation: "Evaluation") -> str | None:
    """Draw the cosines between conversions, and of conversions to real voices, as curves over one axis.

    theta is a line.
    """
    voices = evaluation.evidence.voices
    systems = [
        (name, rows)
        for name, found in _take_first(select_plain_systems(evaluation))
        if (rows := _measure_similarities(found, voices))
    ]
    if not systems:
        return None
    kinds = list(dict.fromkeys(kind for _, rows in systems for kind in rows))
    every = np.concatenate([values for _, rows in systems for values in rows.values()])
    theta = evaluation.evidence.theta
    if theta is not None:
        every = np.append(every, theta)
    high = min(1.0, float(every.max()) + 0.04)
    low = float(every.min()) - 0.3 * (high - float(every.min()))  # leaves room for the rows' means and counts
    with open_figure(2.6 + 4.4 * len(systems), 0.8 + 0.72 * len(kinds)) as figure:
        panels = figure.subplots(1, len(systems), sharey=True, squeeze=False)[0]
        for axes, (name, rows) in zip(panels, systems, strict=True):
            for height, kind in enumerate(reversed(kinds)):
                if kind in rows:
                    _draw_ridge(axes, rows[kind], height, FIRST if kind in _WANTED_HIGH else SECOND, (low, high))
            if theta is not None:
                axes.axvline(theta, color=INK, linewidth=1, linestyle=(0, (4, 3)))
                axes.annotate(f"θ = {theta:.2f}", (theta, len(kinds)), (4, 0), textcoords="offset points", fontsize=9)
            axes.set(title=shorten_label(name, 40), xlabel="cosine", xlim=(low, high), ylim=(-0.12, len(kinds) + 0.3))
            axes.set_yticks(range(len(kinds)), reversed(kinds))
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        return to_svg(figure, "Distributions of cosines between conversions and to real voices")


def draw_identity_map(evaluation: "Evaluation") -> str | None:
    """Draw mean cosines, targets x targets: conversions (rows) to real recordings, or else to conversions (columns)."""
    voices = evaluation.evidence.voices
    real = find_real_voices(evaluation.conversions, voices)
    systems = [
        (name, found)
        for name, found in _take_first(select_plain_systems(evaluation))
        if len({c.target for c in found}) > 1
    ]
    if not systems:
        return None
    to_real = len(real) > 1
    maps = []
    for name, found in systems:
        rows = sort_by_gender({c.target: c.gender for c in found})
        columns = [target for target in rows if target in real] if to_real else rows
        if columns:
            cells = (
                _compare_with_real(found, voices, rows, columns, real)
                if to_real
                else _compare_with_conversions(found, voices, rows)
            )
            maps.append((name, rows, columns, cells))
    maps = [one for one in maps if np.isfinite(one[3]).any()]
    if not maps:
        return None
    low, high = min(np.nanmin(cells) for *_, cells in maps), max(np.nanmax(cells) for *_, cells in maps)
    genders = {c.target: c.gender for c in evaluation.conversions}
    size_in = max(min(len(rows), MOST_NAMES) for _, rows, _, _ in maps) * 0.24 + 2.6
    with open_figure(size_in * len(maps) + 0.6, size_in) as figure:
        panels = figure.subplots(1, len(maps), squeeze=False)[0]
        for axes, (name, rows, columns, cells) in zip(panels, maps, strict=True):
            picture = axes.imshow(cells, cmap="cividis", interpolation="nearest", aspect="equal", vmin=low, vmax=high)
            _draw_names(axes, rows, columns, genders)
            if len(rows) <= MOST_NUMBERS:
                _draw_numbers(axes, cells, (low + high) / 2)
            axes.set(title=_make_title(name, cells, rows, columns, to_real), ylabel="converted to")
            axes.set_xlabel("real voice of" if to_real else "another conversion, to")
        figure.colorbar(picture, ax=panels, shrink=0.6, label="mean cosine").outline.set_visible(False)
        return to_svg(figure, "Mean cosine of the conversions to each target, by target")


def draw_address_map(addresses: Addresses | None, genders: Mapping[str, str]) -> str | None:
    """Draw the memory's slots and the faces in two dimensions, and the faces' addresses.

    genders: by face, as `addresses` names it.

    The plane is that of the first two principal components of the slots' values. A face is at its address-weighted
    mean.
    """
    if addresses is None:
        return None
    from matplotlib.colors import PowerNorm

    order = [
        addresses.faces.index(face)
        for face in sort_by_gender({face: genders.get(face, "") for face in addresses.faces})
    ]
    address = addresses.address[order].astype(np.float64)
    gender = [genders.get(addresses.faces[i], "") for i in order]
    centred = addresses.slots.astype(np.float64) - addresses.slots.mean(0)
    plane = np.linalg.svd(centred, full_matrices=False)[2][:2]
    slots, use = centred @ plane.T, address.mean(0)
    faces = address @ slots
    with open_figure(12.4, 4.4) as figure:
        wide, near, table = figure.subplots(1, 3)
        wide.scatter(
            slots[:, 0],
            slots[:, 1],
            s=6 + 24 * use * len(use),
            color=UNKNOWN,
            alpha=0.35,
            linewidths=0,
            label="slot, by use",
        )
        _draw_faces(wide, faces, gender, 16)
        for handle in wide.legend(loc="best", fontsize=8).legend_handles:
            handle.set_sizes([20])  # not the size of the first slot, which may be huge
        wide.set(title="Slots and faces", xlabel="1st principal component", ylabel="2nd")
        _draw_faces(near, faces, gender, 34)
        near.set(title="The faces, nearer", xlabel="1st principal component")
        used = np.argsort(-use)
        picture = table.imshow(
            address[:, used], cmap="cividis", interpolation="nearest", aspect="auto", norm=PowerNorm(0.5, vmin=0)
        )
        table.set(title=f"Addresses ({len(address)} faces × {len(use)} slots)", xlabel="slot, most used first")
        table.set_yticks(*_find_gender_ticks(gender))
        figure.colorbar(picture, ax=table, label="weight (scaled by its root)").outline.set_visible(False)
        return to_svg(figure, "The faces among the memory's slots, and how much of each slot they take")


def draw_f0_scatter(evaluation: "Evaluation") -> str | None:
    """Draw mean F0 of conversions over that of their sources, by the target's gender, with medians."""
    voices = evaluation.evidence.voices
    systems = []
    for name, found in _take_first(select_plain_systems(evaluation)):
        points = [
            (voices[c.source].mean_f0_hz, voices[c.converted].mean_f0_hz, c.gender) for c in found if c.source in voices
        ]
        points = [point for point in points if np.isfinite(point[:2]).all()]
        points = points[:: -(-len(points) // MOST_MARKS)] if points else []
        if points:
            systems.append((name, points))
    if not systems:
        return None
    with open_figure(0.8 + 4.4 * len(systems), 4.3) as figure:
        panels = figure.subplots(1, len(systems), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, points) in zip(panels, systems, strict=True):
            for gender in GENDER_ORDER:
                of = np.array([point[:2] for point in points if point[2] == gender])
                if not len(of):
                    continue
                colour, median = GENDER_COLOUR[gender], float(np.median(of[:, 1]))
                says = f"{gender or 'unknown'} target, median {median:.0f} Hz"
                axes.scatter(
                    of[:, 0],
                    of[:, 1],
                    s=16,
                    color=colour,
                    marker=GENDER_MARK[gender],
                    alpha=0.55,
                    linewidths=0,
                    label=says,
                )
                axes.axhline(median, color=colour, linewidth=1.2)
            axes.axline((100, 100), slope=1, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="unchanged")
            axes.set(title=shorten_label(name, 40), xlabel="source, mean F0 (Hz)")
            axes.grid(True)
            axes.set_axisbelow(True)
            axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
        panels[0].set_ylabel("converted, mean F0 (Hz)")
        return to_svg(figure, "Mean F0 of conversions against that of their sources")


def sort_by_gender(genders: Mapping[str, str]) -> list[str]:
    """Sort names by gender (female first, unknown last), then by name."""
    return sorted(genders, key=lambda name: (GENDER_ORDER[genders[name]], name))


_OWN, _OTHERS = "to own real voice", "to others' real voices"
_SAME = "same person, other image"
_WANTED_HIGH = {_OWN, _SAME}


def _take_first(systems: Mapping[str, list[Conversion]]) -> list[tuple[str, list[Conversion]]]:
    return list(systems.items())[:PANELS]


def _measure_similarities(found: Sequence[Conversion], voices: Mapping[str, HeardVoice]) -> dict[str, np.ndarray]:
    """Measure cosines by kind, in reading order. Kinds without any are absent."""
    samples = sample_pairs(found, 0)
    different = pairs.pair_different_targets(found, voices, samples["different targets"])
    real = average_voices(find_real_voices(found, voices))
    own = [float(voices[c.converted].embedding @ real[c.target]) for c in found if c.target in real]
    step = max(1, len(found) * len(real) // MOST_PAIRS)
    others = [
        float(voices[c.converted].embedding @ real[name])
        for i, c in enumerate(found)
        for name in list(real)[i % step :: step]
        if name != c.target
    ]
    kinds = {
        _SAME: [value for value, _, _ in pairs.pair_same_target(found, voices, samples["same target"])],
        "other person, same gender": [value for value, a, b in different if a.gender and a.gender == b.gender],
        "other person, other gender": [
            value for value, a, b in different if a.gender and b.gender and a.gender != b.gender
        ],
        "other person": [value for value, a, b in different if not (a.gender and b.gender)],
        _OWN: own,
        _OTHERS: others,
    }
    return {kind: np.array(values) for kind, values in kinds.items() if values}


def _draw_ridge(axes: "Axes", values: np.ndarray, height: int, colour: str, limits: tuple[float, float]) -> None:
    from scipy.ndimage import gaussian_filter1d

    if len(values) < FEWEST_FOR_A_CURVE:
        axes.plot(values, np.full(len(values), height + 0.06), "|", color=colour, markersize=12)
    else:
        counts, edges = np.histogram(values, BINS, limits)
        # Silverman's width, in bins
        spread = max(1.0, 1.06 * float(values.std()) * len(values) ** -0.2 / float(edges[1] - edges[0]))
        curve = gaussian_filter1d(counts.astype(float), spread, mode="constant")
        middle = (edges[1:] + edges[:-1]) / 2
        axes.fill_between(middle, height, height + 0.82 * curve / curve.max(), color=colour, alpha=0.45, linewidth=0)
        axes.plot(middle, height + 0.82 * curve / curve.max(), color=colour, linewidth=1.2)
    axes.plot([values.mean()] * 2, [height, height + 0.3], color=INK, linewidth=1.6)
    axes.axhline(height, color=LINE, linewidth=0.6)
    axes.annotate(
        f"mean {values.mean():.2f}, n {len(values)}",
        (0, height + 0.5),
        xycoords=("axes fraction", "data"),
        fontsize=8,
        va="bottom",
    )


def _compare_with_real(
    found: Sequence[Conversion],
    voices: Mapping[str, HeardVoice],
    rows: Sequence[str],
    columns: Sequence[str],
    real: Mapping[str, list[HeardVoice]],
) -> np.ndarray:
    """Compute (rows, columns) mean cosines of conversions to real voices."""
    heard: dict[str, list[HeardVoice]] = defaultdict(list)
    for conversion in found:
        heard[conversion.target].append(voices[conversion.converted])
    said, spoken = average_voices(heard), average_voices(real)
    return np.array([said[row] for row in rows]) @ np.array([spoken[column] for column in columns]).T


def _compare_with_conversions(
    found: Sequence[Conversion], voices: Mapping[str, HeardVoice], rows: Sequence[str]
) -> np.ndarray:
    """Compute (rows, rows) mean cosines of pairs of one source. nan if there is no pair."""
    index = {target: i for i, target in enumerate(rows)}
    sums, counts = np.zeros((2, len(rows), len(rows)))
    samples = sample_pairs(found, 0)
    for value, a, b in [
        *pairs.pair_same_target(found, voices, samples["same target"]),
        *pairs.pair_different_targets(found, voices, samples["different targets"]),
    ]:
        for i, j in {(index[a.target], index[b.target]), (index[b.target], index[a.target])}:
            sums[i, j] += value
            counts[i, j] += 1
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _make_title(name: str, cells: np.ndarray, rows: Sequence[str], columns: Sequence[str], to_real: bool) -> str:
    if not to_real:
        return shorten_label(name, 40)
    own = [rows.index(column) for column in columns]
    nearest = sum(int(np.argmax(cells[row])) == column for column, row in enumerate(own))
    return f"{shorten_label(name, 40)}\nown real voice nearest: {nearest} of {len(own)} (by chance 1)"


def _draw_names(axes: "Axes", rows: Sequence[str], columns: Sequence[str], genders: Mapping[str, str]) -> None:
    """Draw names, and the borders between genders, on both axes."""
    for names, ticks, border in ((columns, axes.set_xticks, axes.axvline), (rows, axes.set_yticks, axes.axhline)):
        if len(names) <= MOST_NAMES:
            ticks(range(len(names)), [shorten_label(name, 16) for name in names], fontsize=8)
        else:
            ticks(*_find_gender_ticks([genders[name] for name in names]))
        for i in range(1, len(names)):
            if genders[names[i]] != genders[names[i - 1]]:
                border(i - 0.5, color=PAPER, linewidth=2)
    if len(columns) <= MOST_NAMES:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _find_gender_ticks(genders: Sequence[str]) -> tuple[list[float], list[str]]:
    """Find the middle of each gender's range in a list sorted by gender, and its name."""
    middles = {
        gender: float(np.mean([i for i, g in enumerate(genders) if g == gender])) for gender in dict.fromkeys(genders)
    }
    return list(middles.values()), [gender or "unknown" for gender in middles]


def _draw_numbers(axes: "Axes", cells: np.ndarray, middle: float) -> None:
    for (i, j), value in np.ndenumerate(cells):
        if np.isfinite(value):
            shown = f"{value:.2f}".replace("0.", ".", 1)
            axes.text(
                j, i, shown, fontsize=6, ha="center", va="center", color="#101010" if value > middle else "#f4f4f4"
            )


def _draw_faces(axes: "Axes", points: np.ndarray, genders: Sequence[str], size: float) -> None:
    for gender in GENDER_ORDER:
        of = points[[g == gender for g in genders]]
        if len(of):
            says = f"{gender or 'unknown'} face"
            axes.scatter(
                of[:, 0],
                of[:, 1],
                s=size,
                color=GENDER_COLOUR[gender],
                marker=GENDER_MARK[gender],
                edgecolors=PAPER,
                linewidths=0.5,
                label=says,
            )
    axes.grid(True)
    axes.set_axisbelow(True)
