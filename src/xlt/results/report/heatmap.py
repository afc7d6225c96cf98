"""Heat maps as tables: real text in every cell, a colour behind it, readable without the colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xlt import languages
from xlt.errors import InputError
from xlt.results import formatting, plots
from xlt.results.aggregate import SCORE, summarize
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.pairs_table import AXES, PairsTable

STEPS = 9
"""Number of colours of a scale of scores; one of differences has as many, none in the middle."""


@dataclass(frozen=True)
class Shade:
    """A cell: its text and the class of its colour (``q0`` to ``q8``, ``d0`` to ``d8``; empty for none)."""

    text: str
    colour: str


@dataclass(frozen=True)
class Heat:
    """A heat map: what its rows and columns are, their names, and its cells."""

    anchor: str
    title: str
    rows_are: str
    columns_are: str
    rows: list[str]
    columns: list[tuple[str, str]]
    """Code, and the full name."""
    cells: list[list[Shade]]
    values: plots.Matrix
    scale: plots.Scale

    @property
    def ends(self) -> tuple[str, str]:
        """The values at the ends of the colours, printed."""
        if self.scale.diverging:
            return formatting.difference(self.scale.low), formatting.difference(self.scale.high)
        return f"{self.scale.low:.1f}", f"{self.scale.high:.1f}"


def shade(value: float, scale: plots.Scale) -> Shade:
    """A value with its colour on a scale."""
    if math.isnan(value):
        return Shade("–", "")
    shown = formatting.difference(value) if scale.diverging else f"{value:.1f}"
    share = (value - scale.low) / (scale.high - scale.low) if scale.high > scale.low else 0.5
    place = min(STEPS - 1, max(0, math.floor(share * STEPS)))
    return Shade(shown, f"{'d' if scale.diverging else 'q'}{place}")


def full_name(code: str) -> str:
    """The language's name; the code itself for what is no single language."""
    try:
        return languages.name(code)
    except InputError:
        return code


def _heat(
    names: tuple[str, str],
    axes: tuple[str, str],
    rows: Sequence[str],
    codes: Sequence[str],
    values: plots.Matrix,
    scale: plots.Scale,
) -> Heat:
    anchor, title = names
    columns = [(code, full_name(code)) for code in codes]
    cells = [[shade(float(value), scale) for value in row] for row in values]
    return Heat(anchor, title, *axes, list(rows), columns, cells, values, scale)


def drawn(heat: Heat) -> dict[str, bytes]:
    """A heat map as a figure, by suffix."""
    codes = [code for code, _ in heat.columns]
    return plots.heatmap(heat.values, heat.rows, codes, heat.scale, (heat.title, heat.rows_are, heat.columns_are))


def by_language(table: BenchmarkTable) -> list[tuple[Heat, Heat | None]]:
    """For each task with results: regimes by languages, the scores and the differences to the reference regime."""
    made: list[tuple[Heat, Heat | None]] = []
    for task in table.tasks:
        results = {name: by_task[task] for name, by_task in table.results.items() if by_task[task].status == "ok"}
        if not results:
            continue
        codes = list(dict.fromkeys(code for result in results.values() for code in result.languages))
        values = np.full((len(results), len(codes)), np.nan)
        for row, result in enumerate(results.values()):
            for column, code in enumerate(codes):
                stat = summarize(result.values[SCORE].get(code, {}))
                values[row, column] = np.nan if stat is None else stat.mean
        rows = [table.regimes[name].title for name in results]
        title, axes = table.tasks[task].title, ("regime", "language")
        scores = _heat((f"heat-{task}", title), axes, rows, codes, values, plots.sequential([values]))
        gaps = None
        reference = table.config.reference
        if reference in results and len(results) > 1:
            place = list(results).index(reference)
            others = [number for number in range(len(results)) if number != place]
            difference = (values - values[place])[others]
            title = f"{title}: difference to {table.regimes[reference].title}"
            names = (f"heat-{task}-difference", title)
            scale = plots.diverging([difference])
            gaps = _heat(names, axes, [rows[number] for number in others], codes, difference, scale)
        made.append((scores, gaps))
    return made


def of_pairs(table: PairsTable) -> list[tuple[str, list[Heat]]]:
    """For each task with results: (its title, a matrix for each regime and for each compared pair of regimes)."""
    made = []
    for task in table.tasks:
        matrices, gaps = table.matrices(task)
        order, own = table.orders[task], f"pairs-{table.config.name}-{task}"
        first, second = AXES[table.tasks[task].family]
        axes, rows = (f"{first} in", f"{second} in"), [formatting.language(code) for code in order]
        scale = plots.sequential(list(matrices.values()))
        heats = [
            _heat((f"{own}-{name}", table.regimes[name].title), axes, rows, order, matrix, scale)
            for name, matrix in matrices.items()
        ]
        scale = plots.diverging(list(gaps.values()))
        for (a, b), matrix in gaps.items():
            heats.append(_heat((f"{own}-{a}-minus-{b}", table.minus(a, b)), axes, rows, order, matrix, scale))
        if heats:
            made.append((table.tasks[task].title, heats))
    return made
