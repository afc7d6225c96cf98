"""Charts as SVG inside the page: drawn with the page's colours, so that they follow its light and dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from xlt.results.report.charts import Chart, Series, axis_text

LEFT, TOP, BOTTOM = 52, 14, 46
LETTER = 6.0
"""Mean width of a letter of a label, in user units; an estimate, so that labels can be kept apart."""
SHAPES = {
    0: '<circle r="5"/>',
    1: '<rect x="-4.6" y="-4.6" width="9.2" height="9.2"/>',
    2: '<path d="M0-6 5.6 4.6H-5.6Z"/>',
    3: '<path d="M0-6.2 6.2 0 0 6.2-6.2 0Z"/>',
    4: '<path d="M0 6 5.6-4.6H-5.6Z"/>',
    5: '<rect x="-5" y="-2.6" width="10" height="5.2"/>',
    6: '<rect x="-2.6" y="-5" width="5.2" height="10"/>',
}
"""A shape for each way of tuning: colour is never all that tells them apart."""


@dataclass(frozen=True)
class Axis:
    """Maps values to places between two ends; ``ticks`` are values."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[float]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def axis(values: Sequence[float], start: float, end: float, *, log: bool = False, whole: bool = False) -> Axis:
    """An axis around values with round ticks; ``whole``: ticks at whole numbers only, without a margin."""
    if log:
        low, high = min(values) / 1.6, max(values) * 1.6
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        ticks = [10.0**power for power in range(first, last + 1)]
        if len(ticks) < 2:
            ticks = sorted({float(f"{v:.2g}") for v in (min(values), max(values))})
        return Axis(low, high, start, end, ticks, log=True)
    low, high = min(values), max(values)
    margin = 0.0 if whole and high > low else (high - low) * 0.06 or 1.0
    low, high = low - margin, high + margin
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    if whole:
        step = max(1.0, step)
    ticks = [float(round(tick, 9)) for tick in np.arange(math.ceil(low / step) * step, high + step * 1e-6, step)]
    return Axis(low, high, start, end, [tick + 0.0 for tick in ticks], log=False)


def draw(chart: Chart, anchor: str, width: int = 760, height: int = 420, *, labels: bool = True) -> Markup:
    """The chart as an ``svg`` element; ``anchor`` starts the identifiers of its title and description."""
    points = [point for series in chart.series for point in series.points]
    room = 150 if labels and not any(series.line for series in chart.series) and not chart.zero else 16
    lines = all(series.line for series in chart.series)
    x = axis([p[1] for p in points], LEFT, width - room, log=chart.log_x, whole=lines)
    heights = [p[2] for p in points] + ([0.0] if chart.zero else [])
    y = axis(heights, height - BOTTOM, TOP)
    parts = [*_grid(chart, x, y, width - room, height)]
    for series in chart.series:
        parts += _line(series, x, y) if series.line else []
    if labels and not lines:
        parts += _labels(chart, x, y, width, height - BOTTOM - 4)
    for series in chart.series:
        parts += [_point(series, point, x, y, small=series.line) for point in series.points]
    head = (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{anchor}-t {anchor}-d">'
        f'<title id="{anchor}-t">{escape(chart.title)}</title><desc id="{anchor}-d">{escape(chart.description)}</desc>'
    )
    return Markup(head + "".join(parts) + "</svg>")


def _grid(chart: Chart, x: Axis, y: Axis, right: float, height: int) -> list[str]:
    parts = []
    for tick in y.ticks:
        at = y.place(tick)
        kind = "zero" if chart.zero and tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 7}" y="{at + 3.8:.1f}" text-anchor="end">{axis_text(tick, False)}</text>'
        )
    floor = height - BOTTOM
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right:.1f}" y1="{floor}" y2="{floor}"/>')
    for tick in x.ticks:
        at = x.place(tick)
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{floor}" y2="{floor + 4}"/>')
        text = axis_text(tick, chart.log_x)
        parts.append(f'<text class="tick" x="{at:.1f}" y="{floor + 17}" text-anchor="middle">{text}</text>')
    middle, centre = (LEFT + right) / 2, (TOP + floor) / 2
    parts.append(f'<text class="name" x="{middle:.1f}" y="{height - 8}" text-anchor="middle">{escape(chart.x)}</text>')
    turned = f'transform="translate(13 {centre:.1f}) rotate(-90)" text-anchor="middle"'
    return [*parts, f'<text class="name" {turned}>{escape(chart.y)}</text>']


def _classes(series: Series) -> str:
    return f"k{series.style.kind}{' open' if series.style.open else ''}"


def _point(series: Series, point: tuple[str, float, float], x: Axis, y: Axis, *, small: bool) -> str:
    label, across, up = point
    scale = " scale(.62)" if small else ""
    text = escape(f"{series.name}, {label}: {up:.1f}" if small or label != series.name else f"{label}: {up:.1f}")
    place = f"translate({x.place(across):.1f} {y.place(up):.1f}){scale}"
    return (
        f'<g class="mark {_classes(series)}" transform="{place}"><title>{text}</title>{SHAPES[series.style.kind]}</g>'
    )


def _line(series: Series, x: Axis, y: Axis) -> list[str]:
    path = " ".join(f"{x.place(across):.1f},{y.place(up):.1f}" for _, across, up in series.points)
    return [f'<polyline class="line {_classes(series)}" points="{path}"/>']


def _labels(chart: Chart, x: Axis, y: Axis, width: float, floor: float) -> list[str]:
    """Labels beside their points, moved up or down where they would lie on each other, with a thin leader.

    A label is to the right of its point, or to the left where it would leave the chart.
    """
    wanted = sorted((y.place(p[2]), x.place(p[1]), p[0]) for series in chart.series for p in series.points)
    marks = [(across, up) for up, across, _ in wanted]
    placed: list[tuple[float, float, float]] = []  # left, right, middle
    parts = []
    for up, across, text in wanted:
        length = len(text) * LETTER
        turned = across + 10 + length > width
        left = across - 10 - length if turned else across + 10
        at = _free(left, left + length, up, placed, [m for m in marks if m != (across, up)], floor)
        placed.append((left, left + length, at))
        near, anchor = (across - 10, "end") if turned else (left, "start")
        if abs(at - up) > 5:
            parts.append(f'<line class="leader" x1="{across:.1f}" y1="{up:.1f}" x2="{near:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="label" x="{near:.1f}" y="{at + 3.6:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    return parts


def _free(
    left: float,
    right: float,
    wanted: float,
    placed: Sequence[tuple[float, float, float]],
    marks: Sequence[tuple[float, float]],
    floor: float,
) -> float:
    """The height nearest to the wanted one at which a label touches neither another label nor a point."""
    for step in range(0, 400, 3):
        for at in (wanted + step, wanted - step):
            if not TOP <= at <= floor:
                continue
            free = all(abs(at - m) >= 13 or right < lo or left > hi for lo, hi, m in placed)
            if free and all(abs(at - up) >= 10 or not left - 4 < across < right for across, up in marks):
                return at
    return wanted


def interval(low: float, estimate: float, high: float, end: float) -> Markup:
    """A small bar of an effect with its interval, between ``-end`` and ``end``; an arrow where it goes on beyond that."""

    def at(value: float) -> float:
        return 80 + 72 * max(-1.0, min(1.0, value / end))

    kind = "above" if low > 0 else "below" if high < 0 else "around"
    parts = [
        '<svg class="effect" viewBox="0 0 160 20" aria-hidden="true" focusable="false">',
        '<line class="zero" x1="80" x2="80" y1="1" y2="19"/>',
        f'<line class="{kind} span" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="10" y2="10"/>',
    ]
    if abs(estimate) <= end:
        parts.append(f'<circle class="{kind}" cx="{at(estimate):.1f}" cy="10" r="4.2"/>')
    if high > end:
        parts.append(f'<path class="{kind}" d="M152 5 159 10 152 15Z"/>')
    if low < -end:
        parts.append(f'<path class="{kind}" d="M8 5 1 10 8 15Z"/>')
    return Markup("".join([*parts, "</svg>"]))
