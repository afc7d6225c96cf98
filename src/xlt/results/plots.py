"""Figures as SVG and PDF: heat maps of language pairs, and scatter plots. The same values give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xlt.results import formatting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Matrix = NDArray[np.float64]
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "xlt",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 8,
}
"""Settings of every figure: one font, text as outlines in SVG, no identifiers drawn at random."""
_CELL = 0.42
"""Side of a heat map's cell, in inches."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the ends of the colours; ``diverging`` has white in the middle, for differences."""

    low: float
    high: float
    diverging: bool = False


def sequential(matrices: Sequence[Matrix]) -> Scale:
    """One scale for the scores of several heat maps, so that their colours can be compared."""
    found = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices] or [np.zeros(0)])
    return Scale(float(found.min()), float(found.max())) if len(found) else Scale(0.0, 100.0)


def diverging(matrices: Sequence[Matrix]) -> Scale:
    """One scale for several heat maps of differences: as far below zero as above it."""
    found = np.concatenate([np.abs(matrix[np.isfinite(matrix)]) for matrix in matrices] or [np.zeros(0)])
    end = float(found.max()) if len(found) and found.max() > 0 else 1.0
    return Scale(-end, end, diverging=True)


def new_figure(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of that size, in inches, and its axes, without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def saved(figure: Figure) -> dict[str, bytes]:
    """The figure by suffix, without the time it was made at."""
    files = {}
    for suffix, metadata in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
        files[suffix] = buffer.getvalue()
    return files


def heatmap(
    values: Matrix, names: Sequence[str], breaks: Sequence[int], scale: Scale, labels: tuple[str, str, str]
) -> dict[str, bytes]:
    """A square of figures with their colours, by suffix (``.svg``, ``.pdf``).

    Args:
        values: [n, n], row first; nan where there is no value (a grey cell).
        names: of the n rows and columns.
        breaks: row numbers before which a line is drawn (a new family begins).
        labels: title, what the rows are, what the columns are.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        side = _CELL * len(names)
        figure, axes = new_figure(max(side + 1.7, 3.6), max(side + 1.0, 2.4))
        colours = mpl.colormaps["RdBu" if scale.diverging else "viridis"].with_extremes(bad="0.85")
        image = axes.imshow(np.ma.masked_invalid(values), colours, vmin=scale.low, vmax=scale.high)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.set_title(labels[0], fontsize=9)
        axes.set_ylabel(labels[1])
        axes.set_xlabel(labels[2])
        for place in breaks:
            axes.axhline(place - 0.5, color="white", linewidth=1.5)
            axes.axvline(place - 0.5, color="white", linewidth=1.5)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                shown = formatting.difference(value) if scale.diverging else f"{value:.1f}"
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # ITU-R BT.601 luma
                axes.text(
                    column, row, shown, ha="center", va="center", fontsize=6.5, color="white" if dark else "black"
                )
        figure.colorbar(image, shrink=0.8)
        return saved(figure)


def scatter(
    points: Sequence[tuple[str, float, float]], labels: tuple[str, str, str], zero_line: bool = True
) -> dict[str, bytes]:
    """Named points (name, x, y), by suffix; ``labels``: title, x axis, y axis."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.6, 3.2)
        if zero_line:
            axes.axhline(0, color="0.7", linewidth=0.8)
        axes.scatter([x for _, x, _ in points], [y for _, _, y in points], s=14, color="#35608d")
        for name, x, y in points:
            axes.annotate(name, (x, y), xytext=(3, 2), textcoords="offset points", fontsize=6.5)
        axes.set_title(labels[0], fontsize=9)
        axes.set_xlabel(labels[1])
        axes.set_ylabel(labels[2])
        return saved(figure)
