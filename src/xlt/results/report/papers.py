"""The charts of the report as SVG and PDF files for papers, drawn by matplotlib. The same values give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlt.results import plots
from xlt.results.report.charts import Chart
from xlt.results.report.heatmap import Heat

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#6a51a3", "#767676", "#b37400")
"""After Okabe and Ito's colour-blind safe palette: the light theme of the page's style sheet (``--k0`` to ``--k6``)."""
SHAPES = "os^Dv_|"
COLUMNS = 3


def panels(charts: Sequence[Chart], *, labels: bool = True) -> dict[str, bytes]:
    """Charts side by side in one figure, by suffix; points carry their labels when ``labels``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(charts))
    rows = math.ceil(len(charts) / columns)
    single = len(charts) == 1
    with mpl.rc_context(plots.STYLE):
        size = (6.4, 4.0) if single else (2.6 * columns, 2.2 * rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for chart, own in zip(charts, axes, strict=False):
            _panel(chart, own, labels)
        for unused in axes[len(charts) :]:
            unused.set_axis_off()
        return plots.saved(figure)


def _panel(chart: Chart, axes: Any, labels: bool) -> None:
    if chart.zero:
        axes.axhline(0, color="0.7", linewidth=0.8)
    if chart.log_x:
        axes.set_xscale("log")
    for series in chart.series:
        colour, shape = COLOURS[series.style.kind], SHAPES[series.style.kind]
        across, up = [x for _, x, _ in series.points], [y for _, _, y in series.points]
        face = "white" if series.style.open else colour
        line = {True: "--" if series.style.open else "-", False: ""}[series.line]
        size = 2.5 if series.line else 5
        axes.plot(across, up, line, marker=shape, color=colour, mfc=face, ms=size, linewidth=1)
        for text, x, y in series.points if labels and not series.line else ():
            axes.annotate(_plain(text), (x, y), xytext=(4, 2), textcoords="offset points", fontsize=5.5)
    axes.set_title(_plain(chart.title), fontsize=8)
    axes.set_xlabel(_plain(chart.x), fontsize=7)
    axes.set_ylabel(_plain(chart.y), fontsize=7)


def heatmap(heat: Heat) -> dict[str, bytes]:
    """A heat map of any shape, by suffix."""
    import matplotlib as mpl

    low, high = heat.scale.low, heat.scale.high
    with mpl.rc_context(plots.STYLE):
        width = 0.36 * len(heat.columns) + 0.055 * max(len(row) for row in heat.rows) + 0.6
        figure, axes = plots.new_figure(max(width, 4.0), 0.24 * len(heat.rows) + 0.8)
        axes.imshow(np.ma.masked_invalid(heat.values), "viridis", aspect="auto", vmin=low, vmax=high)
        axes.set_xticks(range(len(heat.columns)), [code for code, _ in heat.columns])
        axes.set_yticks(range(len(heat.rows)), [_plain(row) for row in heat.rows])
        axes.tick_params(length=0)
        axes.set_title(_plain(heat.title), fontsize=9)
        middle = (low + high) / 2
        for (row, column), value in np.ndenumerate(heat.values):
            if np.isfinite(value):
                ink = "white" if value < middle else "black"
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=5.5, color=ink)
        return plots.saved(figure)


def _plain(text: str) -> str:
    """Text that matplotlib prints as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
