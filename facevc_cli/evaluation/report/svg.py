"""matplotlib figures as inline SVG: text stays text, colours follow the page, nothing global is touched."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from facevc_cli.manifest import contract

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that a page sets, in light and in dark: stand-ins in the drawing, variables of the page in the SVG. Blue, vermilion, green
# and orange are those of Okabe and Ito, told apart with any colour vision.
INK, LINE, PAPER = "#010101", "#020202", "#030303"
FEMALE, MALE, UNKNOWN = "#040404", "#050505", "#060606"
FIRST, SECOND = "#070707", "#080808"
_THEME = {
    INK: "currentColor",
    LINE: "var(--line, #cccccc)",
    PAPER: "var(--paper, #ffffff)",
    FEMALE: "var(--female, #d55e00)",
    MALE: "var(--male, #0072b2)",
    UNKNOWN: "var(--unknown, #808080)",
    FIRST: "var(--first, #009e73)",
    SECOND: "var(--second, #b07a00)",
}
GENDER_COLOUR = {contract.FEMALE: FEMALE, contract.MALE: MALE, "": UNKNOWN}
GENDER_MARK = {contract.FEMALE: "o", contract.MALE: "s", "": "D"}  # shape says the same as colour
IMAGE_DPI = 144
LONGEST_LABEL = 24
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "facevc",
    "text.parse_math": False,  # a file name may hold dollars
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@contextmanager
def open_figure(width_in: float, height_in: float) -> Iterator["Figure"]:
    """A figure of its own, known to no window system and to no other figure, under the page's settings."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that matplotlib's fonts lack: the browser has them
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def to_svg(figure: "Figure", says: str) -> str:
    """The figure as an <svg> element, `says` its description for those who do not see it. Call it inside `drawing`."""
    written = io.StringIO()
    figure.savefig(written, format="svg", dpi=IMAGE_DPI, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    figure.clear()
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'<g id="\w+">', "<g>", svg)  # figure_1, axes_1 ...: several drawings share one page
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    width_pt = re.search(r'width="([\d.]+)pt"', svg)
    size = f"--natural: {float(width_pt[1]) * 4 / 3:.0f}px" if width_pt else ""
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(says)}" style="{size}"', 1)


def shorten_label(text: str, longest: int = LONGEST_LABEL) -> str:
    """A name as a drawing can carry it: printable, the middle of a long one left out."""
    shown = "".join(c if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF else "?" for c in text)
    half = (longest - 1) // 2
    return shown if len(shown) <= longest else f"{shown[:half]}…{shown[-half:]}"
