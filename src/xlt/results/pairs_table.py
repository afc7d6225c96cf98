"""Table 4: language pairs. A matrix of scores per regime and task, and what it says in short: same language or mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from xlt import languages
from xlt.results import export, formatting, plots
from xlt.results.aggregate import SCORE, SOURCE, BySeed, paired, summarize
from xlt.results.plots import Matrix
from xlt.results.render import Document, Ranked, Section, Text, ranked_grid
from xlt.results.score_table import Inputs, ScoreTable
from xlt.results.typology import by_family, distance, family_breaks, load_facts

AXES = {
    "classification": ("sentence 1", "sentence 2"),
    "span": ("passage", "question"),
    "lareqa": ("answers", "question"),
}
"""What is in the first and in the second language of a pair, by family."""
PARTS: dict[str, Callable[[str, str], bool]] = {
    "all pairs": lambda first, second: True,
    "same language": lambda first, second: first == second,
    "mixed": lambda first, second: first != second,
    "English first": lambda first, second: first == SOURCE != second,
    "English second": lambda first, second: second == SOURCE != first,
}
"""Groups of pairs that are averaged."""
_HEADERS = ["Regime", *(name.capitalize() for name in PARTS), "Gain, same", "Gain, mixed", "Mixed over same"]


def split(code: str) -> tuple[str, str]:
    """The languages of a pair, "de-fr"."""
    first, _, second = code.partition("-")
    return first, second


class PairsTable(ScoreTable):
    """Table 4. ``orders`` are the languages of each task in the order of the matrices."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        facts = load_facts(inputs.configs / "languages.yaml")
        self.orders = {}
        for task in self.tasks:
            pairs = [split(code) for by_task in self.results.values() for code in by_task[task].expected]
            codes = list(dict.fromkeys(code for pair in pairs for code in pair))
            self.orders[task] = by_family(codes, distance(facts, codes))

    def matrix(self, regime: str, task: str) -> Matrix | None:
        """Mean scores over seeds, [first language, second language], nan where there is none; None before any run."""
        result = self.results[regime][task]
        if result.status != "ok":
            return None
        order = self.orders[task]
        values = np.full((len(order), len(order)), np.nan)
        for code, by_seed in result.values[SCORE].items():
            first, second = split(code)
            values[order.index(first), order.index(second)] = np.mean(list(by_seed.values()))
        return values

    def matrices(self, task: str) -> tuple[dict[str, Matrix], dict[tuple[str, str], Matrix]]:
        """The matrix of each regime, and the difference of each compared pair of regimes (first, second)."""
        found = {name: matrix for name in self.regimes if (matrix := self.matrix(name, task)) is not None}
        gaps = {(a, b): found[a] - found[b] for a, b in self.config.differences if a in found and b in found}
        return found, gaps

    def codes(self, task: str, part: str) -> list[str]:
        """The pairs of a group that every regime with a result has, so that all means are over the same pairs."""
        done = self.done(task)
        return [
            code
            for code in (done[0].languages if done else ())
            if PARTS[part](*split(code)) and all(code in result.languages for result in done)
        ]

    def mean(self, regime: str, task: str, part: str) -> BySeed:
        """Mean over a group of pairs for each seed; empty without a result or without such a pair."""
        return self.average(regime, task, self.codes(task, part))

    def gain(self, regime: str, task: str, part: str) -> BySeed:
        """The mean minus that of the reference regime, for each seed that both have."""
        reference = self.config.reference
        if regime == reference or reference not in self.regimes:
            return {}
        return self.gap(regime, reference, task, self.codes(task, part))

    def mixed_advantage(self, regime: str, task: str) -> BySeed:
        """How much larger the gain is on mixed pairs than on pairs of one language."""
        return paired(self.gain(regime, task, "mixed"), self.gain(regime, task, "same language"))

    @cached_property
    def document(self) -> Document:
        """A section for each task."""
        sections = []
        for name, task in self.tasks.items():
            first, second = AXES[task.family]
            metric = formatting.METRIC_TITLES[SCORE if task.family == "span" else task.metrics[0]]
            title = f"{task.title}: {first} in the first language, {second} in the second ({metric}, percent)"
            sections.append(Section(title, ranked_grid(_HEADERS, self.labels, self._columns(name)), self._foot(name)))
        reference = self.title_of(self.config.reference)
        return self.page(
            sections,
            [
                "Each figure is the mean over the pairs of its group; only pairs that every regime has been scored on are "
                "counted.",
                f"Gain: difference to {reference}, in points, seed by seed. Mixed over same: how much larger it is on mixed "
                "pairs.",
                *formatting.too_few_seeds(self.all_results),
                "Pairs of one language are the task itself; LAReQA's pool holds the sentences of the answers' language only.",
            ],
        )

    def _columns(self, task: str) -> list[list[Ranked]]:
        columns = [
            [self.cell(name, task, self.mean(name, task, part), empty="n/a") for name in self.regimes] for part in PARTS
        ]
        gains: list[Callable[[str], BySeed]] = [
            lambda name: self.gain(name, task, "same language"),
            lambda name: self.gain(name, task, "mixed"),
            lambda name: self.mixed_advantage(name, task),
        ]
        for gain in gains:
            stats = [summarize(gain(name)) for name in self.regimes]
            columns.append([(Text("" if stat is None else formatting.signed(stat)), None) for stat in stats])
        return columns

    def _foot(self, task: str) -> list[str]:
        done = self.done(task)
        if not done:
            return []
        named = ", ".join(f"{languages.name(c)} ({c}, {languages.family(c)})" for c in self.orders[task])
        examples = [n for result in done for n in result.n.values()]
        expected = max(len(result.expected) for result in done)
        lines = [
            f"Languages, by family: {named}.",
            f"Examples in each pair: {_span(examples)}; {len(self.codes(task, 'all pairs'))} of {expected} pairs scored.",
        ]
        unpaired = list(self._unpaired(task))
        if any(unpaired):
            lines.append(f"Left out because only one of the two languages has them, in each pair: {_span(unpaired)}.")
        if gaps := sorted({code for result in done for code in result.missing}):
            lines.append(f"Pairs without a score: {', '.join(gaps)}.")
        return [*lines, f"Matrices and heat maps: {self.config.name}/{task}.*.csv, .svg and .pdf."]

    def _unpaired(self, task: str) -> Iterator[int]:
        """The unpaired examples of each pair in each finished run."""
        for regime in self.regimes.values():
            for run in regime.finished:
                if task in run.scores.tasks:
                    yield from run.scores.tasks[task].unpaired.values()

    @property
    def files(self) -> dict[str, bytes]:
        """The matrices and heat maps by file name: one per task and regime, and per task and compared regimes."""
        made: dict[str, bytes] = {}
        for task in self.tasks:
            found, gaps = self.matrices(task)
            scale = plots.sequential(list(found.values()))
            for name, matrix in found.items():
                made |= self._drawn(task, name, matrix, scale, self.regimes[name].title)
            scale = plots.diverging(list(gaps.values()))
            for (a, b), matrix in gaps.items():
                made |= self._drawn(task, f"{a}-minus-{b}", matrix, scale, self.minus(a, b))
        return made

    def minus(self, first: str, second: str) -> str:
        """What a difference of regimes is called."""
        return f"{self.regimes[first].title} − {self.regimes[second].title}"

    def _drawn(self, task: str, name: str, matrix: Matrix, scale: plots.Scale, title: str) -> dict[str, bytes]:
        order = self.orders[task]
        first, second = AXES[self.tasks[task].family]
        labels = (f"{self.tasks[task].title}: {title}", f"{first} in", f"{second} in")
        drawn = plots.heatmap(matrix, order, order, scale, labels, family_breaks(order))
        return {
            f"{task}.{name}.csv": matrix_csv(matrix, order).encode(),
            **{f"{task}.{name}{suffix}": data for suffix, data in drawn.items()},
        }

    @property
    def content(self) -> dict[str, Any]:
        """The matrices and their means."""
        rows = [self._row(name, task) for name in self.regimes for task in self.tasks]
        return {"reference": self.config.reference, "languages": self.orders, "rows": rows}

    def _row(self, name: str, task: str) -> dict[str, Any]:
        matrix, result = self.matrix(name, task), self.results[name][task]
        return {
            "regime": name,
            "task": task,
            "status": result.status,
            "seeds": result.seeds,
            "matrix": None if matrix is None else [[None if np.isnan(v) else float(v) for v in row] for row in matrix],
            "means": {part: export.stat_json(self.mean(name, task, part)) for part in PARTS},
            "gains": {part: export.stat_json(self.gain(name, task, part)) for part in PARTS},
        }


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return formatting.count(low) if low == high else f"{formatting.count(low)} to {formatting.count(high)}"


def matrix_csv(values: Matrix, order: Sequence[str]) -> str:
    """A matrix with the languages as first row and first column; an empty cell has no value."""
    lines = [",".join(["", *order])]
    for code, row in zip(order, values, strict=True):
        lines.append(",".join([code, *("" if np.isnan(value) else repr(float(value)) for value in row)]))
    return "\n".join(lines) + "\n"
