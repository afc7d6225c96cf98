"""All figures as SVG and PDF: charts and heat maps. The same values give the same bytes."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
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
    "text.parse_math": False,
}
"""Settings of every figure: one font, text as outlines in SVG, no identifiers drawn at random, a dollar sign is one."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#6a51a3", "#767676", "#b37400")
"""After Okabe and Ito's colour-blind safe palette: the light theme of the report's style sheet (``--k0`` to ``--k6``)."""
SHAPES = "os^Dv<>"
INK, GROUND, FAINT = "#000000", "#ffffff", "#b2b2b2"
"""Colours that the report's page replaces by its theme's, as it does those of ``COLOURS``."""
COLUMNS = 3
_CELL = 0.42
"""Side of a heat map's cell, in inches."""


@dataclass(frozen=True)
class Style:
    """``kind`` is a place in ``COLOURS`` and ``SHAPES``; ``open``: hollow or dashed."""

    kind: int = 0
    open: bool = False


@dataclass(frozen=True)
class Series:
    """Named points (label, x, y), joined by a line when ``line``."""

    name: str
    points: list[tuple[str, float, float]]
    style: Style = Style()
    line: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart with what a reader who cannot see it needs: a description; the report lists its values beside it."""

    name: str
    title: str
    description: str
    x: str
    y: str
    series: list[Series]
    log_x: bool = False
    zero: bool = False
    notes: list[str] = field(default_factory=list)


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


def _saved(figure: Figure) -> dict[str, bytes]:
    """The figure by suffix, without the time it was made at."""
    files = {}
    for suffix, metadata in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
        files[suffix] = buffer.getvalue()
    return files


def panels(charts: Sequence[Chart]) -> dict[str, bytes]:
    """Charts side by side in one figure, by suffix (``.svg``, ``.pdf``)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(COLUMNS, len(charts))
    rows = math.ceil(len(charts) / columns)
    with mpl.rc_context(STYLE):
        size = (6.4, 4.0) if len(charts) == 1 else (2.6 * columns, 2.2 * rows)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for number, (chart, own) in enumerate(zip(charts, axes, strict=False)):
            _panel(chart, own, number)
        for unused in axes[len(charts) :]:
            unused.set_axis_off()
        return _saved(figure)


def _panel(chart: Chart, axes: Any, number: int) -> None:
    if chart.zero:
        axes.axhline(0, color=FAINT, linewidth=0.8)
    if chart.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: formatting.parameters(round(value)))
        axes.xaxis.set_minor_formatter(lambda *_: "")
    for place, series in enumerate(chart.series):
        colour, shape = COLOURS[series.style.kind], SHAPES[series.style.kind]
        face, size = GROUND if series.style.open else colour, 2.5 if series.line else 5
        if series.line:
            across, up = [x for _, x, _ in series.points], [y for _, _, y in series.points]
            axes.plot(across, up, "--" if series.style.open else "-", color=colour, linewidth=1)
        for which, (_, x, y) in enumerate(series.points):
            axes.plot(x, y, shape, color=colour, mfc=face, ms=size, gid=f"point-{number}-{place}-{which}")
    if any(series.line for series in chart.series):
        axes.xaxis.get_major_locator().set_params(integer=True)
    elif chart.zero:
        for text, x, y in (point for series in chart.series for point in series.points):
            axes.annotate(text, (x, y), xytext=(4, 2), textcoords="offset points", fontsize=5.5)
    else:
        _names_beside(axes, [point for series in chart.series for point in series.points])
    axes.set_title(chart.title, fontsize=8)
    axes.set_xlabel(chart.x, fontsize=7)
    axes.set_ylabel(chart.y, fontsize=7)


def _names_beside(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """The points' names in a column to the right of the axes, in the order of their heights, each with a thin leader."""
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: point[2])
    least, height = min(0.055, 1 / len(ordered)), 0.0
    for number, (text, x, y) in enumerate(ordered):
        room_above = least * (len(ordered) - 1 - number)
        height = max(min((y - low) / (high - low), 1 - room_above), height + least if number else 0.0)
        leader = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5}
        axes.annotate(
            text, (x, y), (1.03, height), textcoords="axes fraction", fontsize=6.5, va="center", arrowprops=leader
        )


def heatmap(
    values: Matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    scale: Scale,
    labels: tuple[str, str, str],
    breaks: Sequence[int] = (),
) -> dict[str, bytes]:
    """Figures with their colours, by suffix.

    Args:
        values: [rows, columns]; nan where there is no value (a grey cell).
        rows, columns: their names.
        breaks: numbers of rows and columns before which a line is drawn (a new family begins).
        labels: title, what the rows are, what the columns are.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        width = _CELL * len(columns) + max(1.7, 0.055 * max(len(row) for row in rows) + 1.4)
        figure = Figure(figsize=(max(width, 3.6), max(_CELL * len(rows) + 1.0, 2.4)), layout="constrained")
        axes: Any = figure.add_subplot()
        colours = mpl.colormaps["RdBu" if scale.diverging else "viridis"].with_extremes(bad="0.85")
        image = axes.imshow(np.ma.masked_invalid(values), colours, vmin=scale.low, vmax=scale.high)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
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
                ink = "white" if dark else "black"
                axes.text(column, row, shown, ha="center", va="center", fontsize=6.5, color=ink)
        figure.colorbar(image, shrink=0.8)
        return _saved(figure)


def inlined(svg: bytes, charts: Sequence[Chart], anchor: str) -> Markup:
    """A figure of ``panels`` as an element of a page: in the colours of its theme, each point with its value as a title.

    ``anchor`` starts the identifiers in it, so that those of a page differ.
    """
    text = svg.decode()
    box = re.search(r'viewBox="[^"]+"', text)
    assert box is not None, "matplotlib writes one"
    body = text[text.index("</metadata>") + len("</metadata>") : text.rindex("</svg>")]
    body = re.sub(r'<!--.*?-->|<style.*?</style>| clip-path="url\([^)]*\)"', "", body, flags=re.DOTALL)
    for number, chart in enumerate(charts):
        for place, series in enumerate(chart.series):
            for which, (label, _, y) in enumerate(series.points):
                named = f"{series.name}, {label}" if label != series.name else label
                title = f"<title>{escape(f'{named}: {y:.1f}')}</title>"
                body = body.replace(f'<g id="point-{number}-{place}-{which}">', f"<g>{title}")
    body = re.sub(r'( id="|href="#)', rf"\g<1>{anchor}-", body)
    themed = {INK: "currentColor", GROUND: "var(--surface)", FAINT: "var(--line)"}
    themed |= {colour: f"var(--k{kind})" for kind, colour in enumerate(COLOURS)}
    for colour, name in themed.items():
        body = body.replace(colour, name)
    title, told = (escape("; ".join(words)) for words in zip(*((c.title, c.description) for c in charts), strict=True))
    head = f'<svg class="chart" {box[0]} role="img" aria-labelledby="{anchor}-t {anchor}-d">'
    return Markup(f'{head}<title id="{anchor}-t">{title}</title><desc id="{anchor}-d">{told}</desc>{body}</svg>')
