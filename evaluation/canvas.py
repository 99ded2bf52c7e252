"""How figures look, and how they become SVG and PNG.

Figures are made without pyplot: no window, no global state. Text stays text in the SVG, and the page picks its font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, FAINT, GRID = "#1c2733", "#6b7785", "#e6e9ed"
GAIN, LOSS = "#2a7f62", "#b5443c"
AGENT = "#1f4fa3"
BASELINES = ("#8a94a0", "#d08c2f", "#7b5ea7", "#3a9188", "#b65a7d", "#6d7f3a", "#4d86b8", "#a0522d")
WIDTH = 9.4  # inches
_PNG_DPI = 140
MAX_POINTS = 600  # of one curve, so that a long run does not make a heavy page
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": "#b9c0c8",
    "axes.labelcolor": FAINT,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Every figure is drawn and written inside this."""
    with mpl.rc_context(_STYLE):
        yield


def write_png(figure: Figure, path: Path) -> None:
    """Lay the figure out, draw it once and write it."""
    figure.set_dpi(_PNG_DPI)
    FigureCanvasAgg(figure).print_png(path)
    figure.set_layout_engine("none")  # `svg` need not lay it out again


def svg(figure: Figure, name: str) -> str:
    """The figure as an inline SVG element; ``name`` keeps its ids apart from those of the page's other figures."""
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)


def colours(policies: Sequence[str]) -> dict[str, str]:
    """One colour per policy, the agent's first; the baselines' repeat after eight."""
    rest = {name: BASELINES[index % len(BASELINES)] for index, name in enumerate(policies[1:])}
    return {policies[0]: AGENT} | rest


def weight(agent: bool) -> dict[str, Any]:
    """Line style: the agent on top and heavier."""
    return {"lw": 2.0, "zorder": 3} if agent else {"lw": 1.2, "zorder": 2}


def blank(height: float) -> Figure:
    """An empty figure of the page's width."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def panels(count: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """Small multiples, three a row, or two where that leaves no gap; rows ``height`` inches each."""
    columns = 2 if count in (2, 4) else 3
    rows = -(-count // columns)
    figure = blank(height * rows + 0.15)
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title and axis labels; an empty one is left out, and so is a y label inside a row of small multiples."""
    place = axes.get_subplotspec()
    if y and place is not None and not place.is_first_col() and axes.get_shared_y_axes().get_siblings(axes)[1:]:
        y = ""
    if title:
        axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend(figure: Figure, axes: Axes) -> None:
    """One legend line above the figure."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=min(len(names), 7), handlelength=1.4)


def thin(count: int) -> np.ndarray:
    """At most MAX_POINTS indices of ``count`` points, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(np.int64))
