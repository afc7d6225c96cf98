"""The headline table: regimes by tasks, the average over tasks, the difference to a reference regime, and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Table, Task
from xlt.results import formatting
from xlt.results.aggregate import SCORE, Stat, TaskResult, average_over_tasks, common_tasks, summarize, task_result
from xlt.results.cost import Cost, cost
from xlt.results.differences import difference
from xlt.results.effects import Effect
from xlt.results.probability_of_improvement import Improvement, improvement, section
from xlt.results.render import Document, Grid, Section, Text, rank_column
from xlt.results.run_folders import Plan, Regime


@dataclass(frozen=True)
class BenchmarkTable:
    """Everything a benchmark table says, as values. ``common`` are the tasks that ``averages`` are taken over."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    common: list[str]
    averages: dict[str, Stat | None]
    costs: dict[str, Cost | None]
    left_out: list[str]
    intervals: dict[str, Effect | None]

    def difference(self, regime: str) -> float | None:
        """Average of a regime minus that of the reference regime, in points; None where one of them is missing."""
        own, reference = self.averages[regime], self.averages.get(self.config.reference)
        return None if own is None or reference is None else own.mean - reference.mean

    def improvement(self, regime: str) -> Improvement | None:
        """How likely a run of a regime scores above one of the reference; None for the reference and for single seeds."""
        if regime == self.config.reference or self.config.reference not in self.results:
            return None
        return improvement(self.results[regime], self.results[self.config.reference], self.common)


def build(
    config: Table,
    plan: Plan,
    tasks: Mapping[str, Task],
    regimes: Mapping[str, Regime],
    left_out: Sequence[str] = (),
    root: Path | None = None,
) -> BenchmarkTable:
    """Aggregate the runs of ``regimes`` (the table's rows, in order) over ``tasks`` (its columns, in order).

    ``left_out`` are rows that the profile does not run; they are named below the table. ``root``: where the runs lie, for
    the confidence intervals of the differences; None for none.
    """
    results = {name: {task: task_result(regime, tasks[task]) for task in tasks} for name, regime in regimes.items()}
    common = common_tasks(results, list(tasks))
    started = {name for name, by_task in results.items() if any(r.status == "ok" for r in by_task.values())}
    return BenchmarkTable(
        config=config,
        plan=plan,
        tasks=dict(tasks),
        regimes=dict(regimes),
        results=results,
        common=common,
        averages={name: average_over_tasks(results[name], common) if name in started else None for name in regimes},
        costs={name: cost(regime.serving(tasks), regimes) for name, regime in regimes.items()},
        left_out=list(left_out),
        intervals={name: _interval(config, root, name, regimes, results, tasks, common) for name in regimes},
    )


def _interval(
    config: Table,
    root: Path | None,
    name: str,
    regimes: Mapping[str, Regime],
    results: Mapping[str, Mapping[str, TaskResult]],
    tasks: Mapping[str, Task],
    common: Sequence[str],
) -> Effect | None:
    """The difference of a regime to the reference over the tasks and languages that both have."""
    if root is None or name == config.reference or config.reference not in regimes or not common:
        return None
    chosen = [(tasks[task], results[name][task].languages) for task in common]
    if any(results[config.reference][task.name].languages != languages for task, languages in chosen):
        return None
    return difference(root, regimes[name], regimes[config.reference], chosen)


def _task_notes(table: BenchmarkTable, regime: str, result: TaskResult) -> list[str]:
    title = table.tasks[result.task].title
    notes = []
    if result.missing:
        counted = f"average over {len(result.languages)} of {len(result.expected)} languages"
        notes.append(f"{title}: {counted}; {formatting.missing(result)}")
    if len(result.seeds) < len(result.planned_seeds):
        notes.append(f"{len(result.seeds)} of {len(result.planned_seeds)} seeds ran ({_numbers(result.seeds)})")
    others = [by_task[result.task] for name, by_task in table.results.items() if name != regime]
    if any(other.status == "ok" and set(other.languages) != set(result.languages) for other in others):
        notes.append(f"{title}: regimes were scored on different languages; run make plan and the older runs again")
    if any(other.split is not None and other.split != result.split for other in others):
        notes.append(f"{title}: regimes were scored on different splits; run make plan and the older runs again")
    return notes


def _numbers(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _task_cell(table: BenchmarkTable, regime: str, task: str, notes: formatting.Footnotes) -> tuple[Text, float | None]:
    result = table.results[regime][task]
    stat = summarize(result.average(SCORE))
    if result.status != "ok" or stat is None:
        return Text(result.status), None
    marks = tuple(notes.mark(note) for note in _task_notes(table, regime, result))
    return Text(formatting.score(stat), marks=marks), stat.mean


def _average_cell(table: BenchmarkTable, regime: str, notes: formatting.Footnotes) -> tuple[Text, float | None]:
    stat = table.averages[regime]
    if stat is None:
        statuses = {result.status for result in table.results[regime].values()}
        if "ok" not in statuses:
            return Text("no data" if statuses == {"no data"} else "not run"), None
        return Text("n/a", marks=(notes.mark("no task or no seed is common to what ran so far"),)), None
    partial = "" if len(table.common) == len(table.tasks) else f" ({len(table.common)} of {len(table.tasks)})"
    ran = {seed for result in table.results[regime].values() for seed in result.seeds}
    marks = () if ran == set(stat.seeds) else (notes.mark(f"seeds with every task: {_numbers(stat.seeds)}"),)
    return Text(formatting.score(stat) + partial, marks=marks), stat.mean


def _why_missing(table: BenchmarkTable, task: str) -> str:
    """Why a task is not averaged over: ``no data`` everywhere, or the regimes that started but lack it."""
    started = [name for name, by_task in table.results.items() if any(r.status == "ok" for r in by_task.values())]
    statuses = {name: table.results[name][task].status for name in started}
    if set(statuses.values()) == {"no data"}:
        return "no data"
    lacking = [table.regimes[name].title for name, status in statuses.items() if status != "ok"]
    return f"not scored for {', '.join(lacking)}"


def _average_note(table: BenchmarkTable) -> list[str]:
    missing = [task for task in table.tasks if task not in table.common]
    if not missing or not table.common:
        return []
    shown = "; ".join(f"{table.tasks[task].title} ({_why_missing(table, task)})" for task in missing)
    count = f"{len(table.common)} of {len(table.tasks)} tasks"
    return [f"Average: over {count}, the same for every regime that has run; missing: {shown}."]


def _score_section(table: BenchmarkTable, notes: formatting.Footnotes) -> Section:
    names = list(table.regimes)
    columns: list[list[Text]] = [[Text(table.regimes[name].title) for name in names]]
    for task in table.tasks:
        cells = [_task_cell(table, name, task, notes) for name in names]
        columns.append(rank_column([cell for cell, _ in cells], [value for _, value in cells]))
    averages = [_average_cell(table, name, notes) for name in names]
    columns.append(rank_column([cell for cell, _ in averages], [value for _, value in averages]))
    reference = table.config.reference
    gaps = [table.difference(name) for name in names]
    shown = [
        "" if gap is None or name == reference else formatting.with_interval(gap, table.intervals[name])
        for name, gap in zip(names, gaps, strict=True)
    ]
    columns.append([Text(text) for text in shown])
    reference_title = table.regimes[reference].title if reference in table.regimes else reference
    headers = ["Regime", *(task.title for task in table.tasks.values()), "Average", f"vs. {reference_title}"]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Section("Scores (percent)", Grid(headers, rows, "l" + "r" * (len(headers) - 1)))


def _cost_row(regime: Regime, found: Cost | None, notes: formatting.Footnotes) -> list[Text]:
    if found is None:
        return [Text(regime.title), *[Text("not run")] * 6]
    marks: tuple[str, ...] = ()
    if found.runs[0] < found.runs[1]:
        marks = (notes.mark(f"{found.runs[0]} of {found.runs[1]} runs finished; times so far"),)
    shared: tuple[str, ...] = ()
    if found.shared:
        shared = (
            notes.mark(f"the same intermediate run also serves {', '.join(found.shared)}; counted whole in each row"),
        )
    intermediate = "none"
    if regime.upstream:
        intermediate = "not run" if found.intermediate is None else formatting.duration(found.intermediate)
    peak = "not recorded" if found.peak_memory is None else formatting.memory(found.peak_memory)
    return [
        Text(regime.title),
        Text(formatting.parameters(found.trained)),
        Text(f"{100 * found.share:.2f} %"),
        Text(formatting.duration(found.train), marks=marks),
        Text(formatting.duration(found.predict), marks=marks),
        Text(intermediate, marks=shared),
        Text(peak),
    ]


def _cost_section(table: BenchmarkTable, notes: formatting.Footnotes) -> Section:
    headers = ["Regime", "Trained parameters", "of all", "Train", "Predict", "Intermediate training", "Peak memory"]
    rows = [_cost_row(regime, table.costs[name], notes) for name, regime in table.regimes.items()]
    return Section("Cost (wall time per seed)", Grid(headers, rows, "l" + "r" * 6))


def document(table: BenchmarkTable) -> Document:
    """The table as a page."""
    notes = formatting.Footnotes()
    titles = {name: regime.title for name, regime in table.regimes.items()}
    improved = {name: table.improvement(name) for name in table.regimes}
    sections = [
        _score_section(table, notes),
        _cost_section(table, notes),
        *section(improved, titles, titles.get(table.config.reference, table.config.reference)),
    ]
    results = [result for by_task in table.results.values() for result in by_task.values()]
    general = [
        "Each task is the average over its languages with data; question answering: the mean of F1 and exact match.",
        *formatting.interval_note(table.intervals.values()),
        *formatting.too_few_seeds(results),
        *formatting.fallbacks(table.regimes.values()),
        *formatting.unscored(table.regimes.values(), table.tasks),
        "Bold: best of the column; underlined: second best; figures that print alike are tied.",
        "Trained parameters are those of the largest run, head included; times are summed over the tasks of one seed.",
    ]
    return Document(
        title=table.config.title,
        header=formatting.header(table.plan, list(table.regimes.values()), results, table.tasks),
        sections=sections,
        notes=[
            *notes.lines(),
            *_average_note(table),
            *general,
            *formatting.left_out(table.left_out),
            *table.config.notes,
        ],
    )
