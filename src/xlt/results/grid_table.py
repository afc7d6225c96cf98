"""The grid of intermediate and target tasks (Phang et al. 2020, table 2; Poth et al. 2021): what each pair gains over none.

One section per base regime: the row of the base itself ("none"), then one per intermediate task or mixture. A second
section holds the mean gain by family of intermediate and family of target. Differences are taken seed by seed. A target
whose own training set is the intermediate task is shown and marked, and left out of every mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xlt.config.benchmark import Table, Task
from xlt.errors import InputError
from xlt.files import to_json
from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, Stat, TaskResult, summarize, task_result
from xlt.results.render import Document, Grid, Section, Text, rank_column
from xlt.results.run_folders import Plan, Regime

SAME = "same training set"


@dataclass(frozen=True)
class GridTable:
    """Everything the table says, as values. ``bases``: base regime -> its rows, itself first."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    bases: dict[str, list[str]]
    left_out: list[str]

    def base(self, regime: str) -> str:
        """The base that a row belongs to."""
        return next(base for base, rows in self.bases.items() if regime in rows)

    def intermediates(self, regime: str) -> list[str]:
        """The recipes that a row is trained on before the target; empty for a base, and before anything is planned."""
        config = next((run.config for run in self.regimes[regime].runs if run.config is not None), None)
        before = None if config is None else config.regime.get("intermediate")
        return [] if before is None else [str(name) for name in before["recipes"]]

    def same_data(self, regime: str, task: str) -> bool:
        """Whether the target's own training sets are among the row's intermediate tasks."""
        runs = [run for run in self.regimes[regime].runs if task in run.planned.tasks and run.config is not None]
        own = {stage.recipe.name for run in runs if run.config is not None for stage in run.config.stages}
        return bool(own & set(self.intermediates(regime)))

    def gain(self, regime: str, task: str) -> dict[int, float]:
        """Points over the base by seed, on average over the languages that both have; empty for the base itself."""
        base = self.base(regime)
        if regime == base:
            return {}
        own, other = self.results[regime][task], self.results[base][task]
        common = [code for code in own.languages if code in other.languages]
        ours, theirs = own.average(SCORE, common), other.average(SCORE, common)
        return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}

    def mean_gain(self, regime: str) -> tuple[float, int] | None:
        """(mean gain over targets with other training sets, their number), or None without one."""
        found = [gain for task in self.tasks if (gain := self.transfer(regime, task)) is not None]
        return (statistics.fmean(found), len(found)) if found else None

    def transfer(self, regime: str, task: str) -> float | None:
        """The gain of a pair over seeds; None where one side is missing or the training set is the same."""
        stat = None if self.same_data(regime, task) else summarize(self.gain(regime, task))
        return None if stat is None else stat.mean

    def family(self, recipe: str) -> str | None:
        """The task family of a recipe, as planned."""
        planned = self.plan.recipes.get(recipe)
        return None if planned is None else planned.family

    def by_family(self, base: str) -> dict[tuple[str, str], list[float]]:
        """Gains of all pairs, by family of the single intermediate task and family of the target."""
        pairs: dict[tuple[str, str], list[float]] = {}
        for regime in self.bases[base][1:]:
            families = {self.family(name) for name in self.intermediates(regime)}
            family = families.pop() if len(families) == 1 else None
            if family is None or not _single(self, regime):
                continue
            for task in self.tasks.values():
                gain = self.transfer(regime, task.name)
                if gain is not None:
                    pairs.setdefault((family, task.family), []).append(gain)
        return pairs


def _single(table: GridTable, regime: str) -> bool:
    """Whether a row is a cell of the cross: one intermediate task whose weights go on, nothing mixed in."""
    config = next((run.config for run in table.regimes[regime].runs if run.config is not None), None)
    before = {} if config is None else config.regime["intermediate"]
    plain = before.get("transfer") == "continue" and before.get("masked_text") is None
    return plain and len(before["recipes"]) == 1


def base_of(regime: str, bases: Iterable[str]) -> str:
    """The base a row belongs to: the longest whose name it begins with.

    Raises:
        InputError: there is none.
    """
    fitting = [base for base in bases if regime == base or regime.startswith(f"{base}-")]
    if not fitting:
        raise InputError(f"regimes: expected a name that begins with {' or '.join(bases)}, got {regime}")
    return max(fitting, key=len)


def _has_no_intermediate(regime: Regime) -> bool:
    """Whether a row is a base of its own, crossed or not: nothing is trained before its target tasks."""
    configs = [run.config for run in regime.runs if run.config is not None]
    return bool(configs) and all(config.regime.get("intermediate") is None for config in configs)


def build(
    config: Table, plan: Plan, tasks: Mapping[str, Task], regimes: Mapping[str, Regime], left_out: Sequence[str] = ()
) -> GridTable:
    """Aggregate the runs of ``regimes`` over ``tasks`` (columns, in order), each base's rows with the base first.

    Raises:
        InputError: the table has no grid, or a row belongs to no base (a regime of the
            grid, or a row without intermediate training).
    """
    if config.grid is None:
        raise InputError(f"{config.name}: expected the key grid in a table of kind grid")
    plain = [name for name in config.regimes if name in regimes and _has_no_intermediate(regimes[name])]
    names = list(dict.fromkeys([*config.grid.regimes, *plain]))
    rows: dict[str, list[str]] = {base: [] for base in names}
    for name in regimes:
        rows[base_of(name, names)].append(name)
    bases = {
        base: sorted(own, key=lambda name: (name != base, name in config.regimes, list(regimes).index(name)))
        for base, own in rows.items()
        if base in own
    }
    if orphans := [name for base, own in rows.items() if base not in bases for name in own]:
        raise InputError(f"{config.name}: expected the row of their base beside {', '.join(orphans)}")
    return GridTable(
        config=config,
        plan=plan,
        tasks=dict(tasks),
        regimes=dict(regimes),
        results={name: {task: task_result(own, tasks[task]) for task in tasks} for name, own in regimes.items()},
        bases=bases,
        left_out=list(left_out),
    )


def _label(table: GridTable, regime: str) -> str:
    if regime in table.bases:
        return "none"
    names = table.intermediates(regime)
    if regime in table.config.regimes or not names:
        return table.regimes[regime].title
    return " + ".join(table.plan.recipes[name].title if name in table.plan.recipes else name for name in names)


def _cell(table: GridTable, regime: str, task: str, notes: formatting.Footnotes) -> tuple[Text, float | None]:
    result = table.results[regime][task]
    stat = summarize(result.average(SCORE))
    if result.status != "ok" or stat is None:
        return Text(result.status if result.status != "ok" else "no data"), None
    gain = summarize(table.gain(regime, task))
    shown = "" if gain is None else f" ({formatting.difference(gain.mean)})"
    return Text(f"{stat.mean:.1f}{shown}", marks=tuple(map(notes.mark, _cell_notes(table, regime, result)))), stat.mean


def _cell_notes(table: GridTable, regime: str, result: TaskResult) -> list[str]:
    found = []
    title = table.tasks[result.task].title
    base = table.results[table.base(regime)][result.task]
    if table.same_data(regime, result.task):
        found.append(f"{SAME} as the intermediate task, so more epochs rather than transfer; in no mean")
    if result.missing:
        counted = f"average over {len(result.languages)} of {len(result.expected)} languages"
        found.append(f"{title}: {counted}; {formatting.missing(result)}")
    if len(result.seeds) < len(result.planned_seeds):
        found.append(f"{len(result.seeds)} of {len(result.planned_seeds)} seeds ran")
    if base.status == "ok" and set(base.languages) != set(result.languages):
        found.append(f"{title}: the difference is over the languages that both rows have")
    return found


def _scores(table: GridTable, base: str, notes: formatting.Footnotes) -> Section:
    rows = table.bases[base]
    columns: list[list[Text]] = [[Text(_label(table, name)) for name in rows]]
    for task in table.tasks:
        cells = [_cell(table, name, task, notes) for name in rows]
        columns.append(rank_column([cell for cell, _ in cells], [value for _, value in cells]))
    means = [table.mean_gain(name) for name in rows]
    shown = [Text("" if found is None else _mean_text(*found, len(table.tasks))) for found in means]
    columns.append(rank_column(shown, [None if found is None else found[0] for found in means]))
    headers = ["Intermediate", *(task.title for task in table.tasks.values()), "Mean difference"]
    title = f"{table.regimes[base].title}: score (difference to no intermediate task)"
    return Section(
        title, Grid(headers, [list(row) for row in zip(*columns, strict=True)], "l" + "r" * len(headers[1:]))
    )


def _mean_text(mean: float, counted: int, tasks: int) -> str:
    return formatting.difference(mean) + ("" if counted == tasks else f" ({counted} of {tasks})")


def _families(table: GridTable, base: str) -> Section | None:
    pairs = table.by_family(base)
    if not pairs:
        return None
    targets = list(dict.fromkeys(task.family for task in table.tasks.values()))
    rows = []
    for family in dict.fromkeys(own for own, _ in pairs):
        cells = [pairs.get((family, target), []) for target in targets]
        rows.append([Text(family), *(Text(_mean(gains)) for gains in cells)])
    title = f"{table.regimes[base].title}: mean difference by family of intermediate and target task (pairs)"
    grid = Grid(["Intermediate", *targets], rows, "l" + "r" * len(targets))
    related, other = split_by_relation(pairs)
    foot = f"Same family: {_mean(related)}. Other families: {_mean(other)}."
    return Section(title, grid, [foot])


def split_by_relation(pairs: Mapping[tuple[str, str], Sequence[float]]) -> tuple[list[float], list[float]]:
    """The gains of pairs of one family, and those of pairs of two."""
    related = [gain for (own, target), gains in pairs.items() if own == target for gain in gains]
    return related, [gain for (own, target), gains in pairs.items() if own != target for gain in gains]


def _mean(gains: Sequence[float]) -> str:
    return f"{formatting.difference(statistics.fmean(gains))} ({len(gains)})" if gains else "none"


def document(table: GridTable) -> Document:
    """The table as a page."""
    notes = formatting.Footnotes()
    sections = [_scores(table, base, notes) for base in table.bases]
    sections += [section for base in table.bases if (section := _families(table, base)) is not None]
    results = [result for by_task in table.results.values() for result in by_task.values()]
    general = [
        "Scores: average over the languages with data, percent; question answering: the mean of F1 and exact match. "
        "Differences in points, seed by seed, over the languages that both rows have.",
        *formatting.too_few_seeds(results),
        *formatting.unscored(table.regimes.values(), table.tasks),
        "Families: rows with several intermediate tasks, with masked text, stacked or fused adapters are not counted.",
        "Bold: best of the column; underlined: second best; figures that print alike are tied.",
    ]
    return Document(
        title=table.config.title,
        header=formatting.header(table.plan, list(table.regimes.values()), results, table.tasks),
        sections=sections,
        notes=[*notes.lines(), *general, *formatting.left_out(table.left_out), *table.config.notes],
    )


def to_csv(table: GridTable) -> str:
    """One line per regime, task, language, metric and seed; the metric ``difference`` is to the base regime."""
    records: list[export.Record] = []
    for name, by_task in table.results.items():
        for task, result in by_task.items():
            records.extend(export.task_records(name, result))
            gain = table.gain(name, task)
            records.extend(export.seed_records(result, name, export.AVERAGE, "difference", gain, len(result.languages)))
    return export.to_csv(records, export.COLUMNS)


def to_document_json(table: GridTable, page: Document) -> str:
    """The table with everything it was made from."""
    rows = [_row(table, base, name) for base, names in table.bases.items() for name in names]
    families = {}
    for base in table.bases:
        pairs = table.by_family(base)
        related, other = split_by_relation(pairs)
        families[base] = {
            "pairs": [{"intermediate": own, "target": target, "gains": g} for (own, target), g in pairs.items()],
            "same_family": statistics.fmean(related) if related else None,
            "other_families": statistics.fmean(other) if other else None,
        }
    return to_json(export.page_json(table.config.name, page) | {"rows": rows, "families": families})


def _row(table: GridTable, base: str, name: str) -> dict[str, Any]:
    mean = table.mean_gain(name)
    tasks = {
        task: export.result_json(result)
        | {"difference": _stat(table.gain(name, task)), "same_training_set": table.same_data(name, task)}
        for task, result in table.results[name].items()
    }
    return {
        "regime": name,
        "title": table.regimes[name].title,
        "base": base,
        "intermediate": table.intermediates(name),
        "tasks": tasks,
        "mean_difference": None if mean is None else {"mean": mean[0], "tasks": mean[1]},
    }


def _stat(values: Mapping[int, float]) -> dict[str, Any] | None:
    stat: Stat | None = summarize(values)
    return None if stat is None else asdict(stat)
