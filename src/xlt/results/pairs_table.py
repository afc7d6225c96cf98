"""Table 4: language pairs. A matrix of scores per regime and task, and what it says in short: same language or mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xlt import languages
from xlt.config.benchmark import Table, Task
from xlt.files import to_json
from xlt.results import export, formatting, plots
from xlt.results.aggregate import SCORE, Stat, TaskResult, summarize, task_result
from xlt.results.plots import Matrix
from xlt.results.render import Document, Grid, Section, Text, rank_column
from xlt.results.run_folders import Plan, Regime
from xlt.results.typology import Measure, by_family, family_breaks

SOURCE = "en"
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


def split(code: str) -> tuple[str, str]:
    """The languages of a pair, "de-fr"."""
    first, _, second = code.partition("-")
    return first, second


@dataclass(frozen=True)
class PairsTable:
    """Everything table 4 says, as values. ``orders`` are the languages of each task in the order of the matrices."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    orders: dict[str, list[str]]
    left_out: list[str]

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

    def differences(self) -> list[tuple[str, str]]:
        """The pairs of regimes that are compared, of those that are rows here: (regime, what it is compared with)."""
        return [(a, b) for a, b in self.config.differences if a in self.regimes and b in self.regimes]

    def codes(self, task: str, part: str) -> list[str]:
        """The pairs of a group that every regime with a result has, so that all means are over the same pairs."""
        done = [by_task[task] for by_task in self.results.values() if by_task[task].status == "ok"]
        return [
            code
            for code in (done[0].languages if done else ())
            if PARTS[part](*split(code)) and all(code in result.languages for result in done)
        ]

    def mean(self, regime: str, task: str, part: str) -> dict[int, float]:
        """Mean over a group of pairs for each seed; empty without a result or without such a pair."""
        codes = self.codes(task, part)
        return self.results[regime][task].average(SCORE, codes) if codes else {}

    def gain(self, regime: str, task: str, part: str) -> dict[int, float]:
        """The mean minus that of the reference regime, for each seed that both have."""
        if regime == self.config.reference or self.config.reference not in self.regimes:
            return {}
        own, reference = self.mean(regime, task, part), self.mean(self.config.reference, task, part)
        return {seed: own[seed] - reference[seed] for seed in own if seed in reference}

    def mixed_advantage(self, regime: str, task: str) -> dict[int, float]:
        """How much larger the gain is on mixed pairs than on pairs of one language."""
        mixed, same = self.gain(regime, task, "mixed"), self.gain(regime, task, "same language")
        return {seed: mixed[seed] - same[seed] for seed in mixed if seed in same}


def build(
    config: Table,
    plan: Plan,
    tasks: Mapping[str, Task],
    regimes: Mapping[str, Regime],
    left_out: Sequence[str],
    distance: Callable[[Sequence[str]], Measure],
) -> PairsTable:
    """Aggregate the runs of ``regimes`` over pair tasks; ``distance`` gives the distances that order the languages."""
    results = {name: {task: task_result(regime, tasks[task]) for task in tasks} for name, regime in regimes.items()}
    orders = {}
    for task in tasks:
        pairs = [split(code) for by_task in results.values() for code in by_task[task].expected]
        codes = list(dict.fromkeys(code for pair in pairs for code in pair))
        orders[task] = by_family(codes, distance(codes))
    return PairsTable(config, plan, dict(tasks), dict(regimes), results, orders, list(left_out))


_HEADERS = ["Regime", *(name.capitalize() for name in PARTS), "Gain, same", "Gain, mixed", "Mixed over same"]


def _stat(by_seed: Mapping[int, float], form: Callable[[Stat], str]) -> str:
    stat = summarize(by_seed)
    return "" if stat is None else form(stat)


def _signed(stat: Stat) -> str:
    return formatting.difference(stat.mean) + ("" if stat.std is None else f" ± {stat.std:.1f}")


def _rows(table: PairsTable, task: str) -> list[list[Text]]:
    names = list(table.regimes)
    columns = [[Text(table.regimes[name].title) for name in names]]
    for part in PARTS:
        means = [summarize(table.mean(name, task, part)) for name in names]
        cells = [
            Text(table.results[name][task].status if table.results[name][task].status != "ok" else "n/a")
            if mean is None
            else Text(formatting.score(mean))
            for name, mean in zip(names, means, strict=True)
        ]
        columns.append(rank_column(cells, [None if mean is None else mean.mean for mean in means]))
    for part in ("same language", "mixed"):
        columns.append([Text(_stat(table.gain(name, task, part), _signed)) for name in names])
    columns.append([Text(_stat(table.mixed_advantage(name, task), _signed)) for name in names])
    return [list(row) for row in zip(*columns, strict=True)]


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return formatting.count(low) if low == high else f"{formatting.count(low)} to {formatting.count(high)}"


def _foot(table: PairsTable, task: str) -> list[str]:
    done = [by_task[task] for by_task in table.results.values() if by_task[task].status == "ok"]
    if not done:
        return []
    order = table.orders[task]
    named = ", ".join(f"{languages.name(code)} ({code}, {languages.family(code)})" for code in order)
    lines = [f"Languages, by family: {named}."]
    examples = [n for result in done for n in result.n.values()]
    expected = max(len(result.expected) for result in done)
    lines.append(
        f"Examples in each pair: {_span(examples)}; {len(table.codes(task, 'all pairs'))} of {expected} pairs scored."
    )
    unpaired = [n for run in _runs(table, task) for n in run.values()]
    if any(unpaired):
        lines.append(f"Left out because only one of the two languages has them, in each pair: {_span(unpaired)}.")
    gaps = sorted({code for result in done for code in result.missing})
    if gaps:
        lines.append(f"Pairs without a score: {', '.join(gaps)}.")
    lines.append(f"Matrices and heat maps: {table.config.name}/{task}.*.csv, .svg and .pdf.")
    return lines


def _runs(table: PairsTable, task: str) -> Iterator[dict[str, int]]:
    """The unpaired examples of each finished run, by pair."""
    for regime in table.regimes.values():
        for run in regime.finished:
            if run.scores is not None and task in run.scores.tasks:
                yield run.scores.tasks[task].unpaired


def document(table: PairsTable) -> Document:
    """The table as a page."""
    sections = []
    for name, task in table.tasks.items():
        first, second = AXES[task.family]
        metric = formatting.METRIC_TITLES[SCORE if task.family == "span" else task.metrics[0]]
        title = f"{task.title}: {first} in the first language, {second} in the second ({metric}, percent)"
        grid = Grid(_HEADERS, _rows(table, name), "l" + "r" * (len(_HEADERS) - 1))
        sections.append(Section(title, grid, _foot(table, name)))
    reference = table.config.reference
    title = table.regimes[reference].title if reference in table.regimes else reference
    notes = [
        "Each figure is the mean over the pairs of its group; only pairs that every regime has been scored on are counted.",
        f"Gain: difference to {title}, in points, seed by seed. Mixed over same: how much larger it is on mixed pairs.",
        *formatting.too_few_seeds(result for by_task in table.results.values() for result in by_task.values()),
        "Pairs of one language are the task itself; LAReQA's pool holds the sentences of the answers' language only.",
        *formatting.left_out(table.left_out),
        *table.config.notes,
    ]
    results = [result for by_task in table.results.values() for result in by_task.values()]
    header = formatting.header(table.plan, list(table.regimes.values()), results, table.tasks)
    return Document(table.config.title, header, sections, notes)


def matrix_csv(values: Matrix, order: Sequence[str]) -> str:
    """A matrix with the languages as first row and first column; an empty cell has no value."""
    lines = [",".join(["", *order])]
    for code, row in zip(order, values, strict=True):
        lines.append(",".join([code, *("" if np.isnan(value) else repr(float(value)) for value in row)]))
    return "\n".join(lines) + "\n"


def files(table: PairsTable) -> dict[str, bytes]:
    """The matrices and heat maps by file name: one per task and regime, and per task and compared regimes."""
    made: dict[str, bytes] = {}
    for task in table.tasks:
        found = {name: table.matrix(name, task) for name in table.regimes}
        matrices = {name: matrix for name, matrix in found.items() if matrix is not None}
        gaps = {(a, b): matrices[a] - matrices[b] for a, b in table.differences() if a in matrices and b in matrices}
        scale = plots.sequential(list(matrices.values()))
        for name, matrix in matrices.items():
            made |= _drawn(table, task, name, matrix, scale, table.regimes[name].title)
        scale = plots.diverging(list(gaps.values()))
        for (a, b), matrix in gaps.items():
            title = f"{table.regimes[a].title} − {table.regimes[b].title}"
            made |= _drawn(table, task, f"{a}-minus-{b}", matrix, scale, title)
    return made


def _drawn(table: PairsTable, task: str, name: str, matrix: Matrix, scale: plots.Scale, title: str) -> dict[str, bytes]:
    order = table.orders[task]
    first, second = AXES[table.tasks[task].family]
    labels = (f"{table.tasks[task].title}: {title}", f"{first} in", f"{second} in")
    drawn = plots.heatmap(matrix, order, family_breaks(order), scale, labels)
    return {
        f"{task}.{name}.csv": matrix_csv(matrix, order).encode(),
        **{f"{task}.{name}{suffix}": data for suffix, data in drawn.items()},
    }


def to_csv(table: PairsTable) -> str:
    """One line per regime, task, pair, metric and seed, as in the other tables."""
    records = [
        record
        for name, by_task in table.results.items()
        for result in by_task.values()
        for record in export.task_records(name, result)
    ]
    return export.to_csv(records, export.COLUMNS)


def to_document_json(table: PairsTable, page: Document) -> str:
    """The matrices and their means, with the page's header and notes."""
    rows: list[dict[str, Any]] = []
    for name in table.regimes:
        for task in table.tasks:
            matrix = table.matrix(name, task)
            means = {part: summarize(table.mean(name, task, part)) for part in PARTS}
            gains = {part: summarize(table.gain(name, task, part)) for part in PARTS}
            rows.append(
                {
                    "regime": name,
                    "task": task,
                    "status": table.results[name][task].status,
                    "seeds": table.results[name][task].seeds,
                    "matrix": None if matrix is None else [[_number(value) for value in row] for row in matrix],
                    "means": {part: None if stat is None else asdict(stat) for part, stat in means.items()},
                    "gains": {part: None if stat is None else asdict(stat) for part, stat in gains.items()},
                }
            )
    content = {"table": table.config.name, "title": page.title, "header": dict(page.header), "notes": page.notes}
    return to_json(content | {"reference": table.config.reference, "languages": table.orders, "rows": rows})


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
