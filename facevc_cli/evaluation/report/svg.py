"""Turn matplotlib figures into inline SVG. Text stays text, colours follow the page, and no global state changes."""

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

# The page sets the colours, for light and dark mode. The drawing uses stand-ins, which the SVG replaces by variables of
# the page.
# Blue, vermilion, green and orange are those of Okabe and Ito, which people with any colour vision can tell apart.
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
GENDER_MARK = {contract.FEMALE: "o", contract.MALE: "s", "": "D"}  # the shape shows the same as the colour
IMAGE_DPI = 144
LONGEST_LABEL = 24
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "facevc",
    "text.parse_math": False,  # a file name may contain dollar signs
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
    """Open a separate figure with the page's settings. No window system and no other figure is involved."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about glyphs that matplotlib's fonts lack; the browser has them
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def to_svg(figure: "Figure", says: str) -> str:
    """Convert the figure to an <svg> element.

    says: the description for people who cannot see it. Call it inside `open_figure`.
    """
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
    """Shorten a name for a drawing: printable characters only, and the middle of a long name left out."""
    shown = "".join(c if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF else "?" for c in text)
    half = (longest - 1) // 2
    return shown if len(shown) <= longest else f"{shown[:half]}…{shown[-half:]}"
