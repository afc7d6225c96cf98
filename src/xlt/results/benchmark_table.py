"""The headline table: regimes by tasks, the average over tasks, the difference to a reference regime, and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, MeanStd, TaskResult, average_over_tasks
from xlt.results.cost import Cost, cost
from xlt.results.differences import difference
from xlt.results.effects import Effect
from xlt.results.probability_of_improvement import Improvement, improvement, section
from xlt.results.render import Document, Ranked, Section, Text, ranked_grid, text_grid
from xlt.results.reported import AVERAGE, Reported, matches
from xlt.results.score_table import Inputs, ScoreTable


class BenchmarkTable(ScoreTable):
    """Table 2. ``averages`` are taken over the ``common`` tasks."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.reported = inputs.reported
        self.reference = self.config.reference

    @cached_property
    def averages(self) -> dict[str, MeanStd | None]:
        """By regime, the average over the common tasks; None where none has run."""
        started = set(self.started)
        return {
            name: average_over_tasks(by_task, self.common) if name in started else None
            for name, by_task in self.results.items()
        }

    @cached_property
    def costs(self) -> dict[str, Cost | None]:
        """By regime, what its runs for these tasks cost."""
        return {name: cost(regime.serving(self.tasks), self.regimes) for name, regime in self.regimes.items()}

    @cached_property
    def intervals(self) -> dict[str, Effect | None]:
        """By regime, the difference to the reference over the tasks and languages that both have."""
        return {name: self._interval(name) for name in self.regimes}

    def _interval(self, name: str) -> Effect | None:
        if name == self.reference or self.reference not in self.regimes or not self.common:
            return None
        own, other = self.results[name], self.results[self.reference]
        if any(own[task].languages != other[task].languages for task in self.common):
            return None
        chosen = [(self.tasks[task], own[task].languages) for task in self.common]
        return difference(self.root, self.regimes[name], self.regimes[self.reference], chosen)

    def difference(self, regime: str) -> float | None:
        """Average of a regime minus that of the reference regime, in points; None where one of them is missing."""
        own, reference = self.averages[regime], self.averages.get(self.reference)
        return None if own is None or reference is None else own.mean - reference.mean

    def difference_text(self, regime: str) -> str:
        """The difference with its interval, printed; empty for the reference and where there is none."""
        gap = self.difference(regime)
        shown = gap is not None and regime != self.reference
        return formatting.with_interval(gap, self.intervals[regime]) if shown and gap is not None else ""

    def improvement(self, regime: str) -> Improvement | None:
        """How likely a run of a regime scores above one of the reference; None for the reference and for single seeds."""
        if regime == self.reference or self.reference not in self.results:
            return None
        return improvement(self.results[regime], self.results[self.reference], self.common)

    @cached_property
    def document(self) -> Document:
        """Scores, cost and improvements."""
        notes = formatting.Footnotes()
        titles = {name: regime.title for name, regime in self.regimes.items()}
        improved = {name: self.improvement(name) for name in self.regimes}
        sections = [
            self._scores(notes),
            self._costs(notes),
            *section(improved, titles, self.title_of(self.reference)),
        ]
        general = [
            "Each task is the average over its languages with data; question answering: the mean of F1 and exact match.",
            *formatting.interval_note(self.intervals.values()),
            *formatting.too_few_seeds(self.all_results),
            *formatting.fallbacks(self.regimes.values()),
            *formatting.unscored(self.regimes.values(), self.tasks),
            "Bold: best of the column; underlined: second best; figures that print alike are tied.",
            "Trained parameters are those of the largest run, head included; times are summed over the tasks of one seed.",
        ]
        return self.page(sections, [*notes.lines(), *self._average_note(), *general])

    def _scores(self, notes: formatting.Footnotes) -> Section:
        columns = [[self._task_cell(name, task, notes) for name in self.regimes] for task in self.tasks]
        columns.append([self._average_cell(name, notes) for name in self.regimes])
        columns.append([(Text(self.difference_text(name)), None) for name in self.regimes])
        titles = [task.title for task in self.tasks.values()]
        headers = ["Regime", *titles, "Average", f"vs. {self.title_of(self.reference)}"]
        return Section("Scores (percent)", ranked_grid(headers, self.labels, columns))

    def _task_cell(self, regime: str, task: str, notes: formatting.Footnotes) -> Ranked:
        result = self.results[regime][task]
        marks = notes.marks(self._task_notes(regime, result)) if result.status == "ok" else ()
        return self.cell(regime, task, result.average(SCORE), marks)

    def _task_notes(self, regime: str, result: TaskResult) -> list[str]:
        title = self.tasks[result.task].title
        notes = formatting.part_of_languages(title, result)
        notes += [f"{note} ({_numbers(result.seeds)})" for note in formatting.part_of_seeds(result)]
        others = [by_task[result.task] for name, by_task in self.results.items() if name != regime]
        differ = {
            "languages": any(o.status == "ok" and set(o.languages) != set(result.languages) for o in others),
            "splits": any(other.split not in (None, result.split) for other in others),
        }
        return notes + [
            f"{title}: regimes were scored on different {what}; run make plan and the older runs again"
            for what, found in differ.items()
            if found
        ]

    def _average_cell(self, regime: str, notes: formatting.Footnotes) -> Ranked:
        stat = self.averages[regime]
        if stat is None:
            statuses = {result.status for result in self.results[regime].values()}
            if "ok" not in statuses:
                return Text("no data" if statuses == {"no data"} else "not run"), None
            return Text("n/a", marks=(notes.mark("no task or no seed is common to what ran so far"),)), None
        partial = "" if len(self.common) == len(self.tasks) else f" ({len(self.common)} of {len(self.tasks)})"
        ran = {seed for result in self.results[regime].values() for seed in result.seeds}
        marks = () if ran == set(stat.seeds) else (notes.mark(f"seeds with every task: {_numbers(stat.seeds)}"),)
        return Text(formatting.score(stat) + partial, marks=marks), stat.mean

    def _average_note(self) -> list[str]:
        missing = [task for task in self.tasks if task not in self.common]
        if not missing or not self.common:
            return []
        shown = "; ".join(f"{self.tasks[task].title} ({self._why_missing(task)})" for task in missing)
        count = f"{len(self.common)} of {len(self.tasks)} tasks"
        return [f"Average: over {count}, the same for every regime that has run; missing: {shown}."]

    def _why_missing(self, task: str) -> str:
        """Why a task is not averaged over: ``no data`` everywhere, or the regimes that started but lack it."""
        statuses = {name: self.results[name][task].status for name in self.started}
        if set(statuses.values()) == {"no data"}:
            return "no data"
        return f"not scored for {', '.join(self.title_of(n) for n, status in statuses.items() if status != 'ok')}"

    def _costs(self, notes: formatting.Footnotes) -> Section:
        headers = ["Regime", "Trained parameters", "of all", "Train", "Predict", "Intermediate training", "Peak memory"]
        rows = [[regime.title, *self._cost_row(name, notes)] for name, regime in self.regimes.items()]
        return Section("Cost (wall time per seed)", text_grid(headers, rows))

    def _cost_row(self, name: str, notes: formatting.Footnotes) -> list[str | Text]:
        found, upstream = self.costs[name], self.regimes[name].upstream
        if found is None:
            return ["not run"] * 6
        done, planned = found.runs
        marks = (notes.mark(f"{done} of {planned} runs finished; times so far"),) if done < planned else ()
        same = f"the same intermediate run also serves {', '.join(found.shared)}; counted whole in each row"
        shared = (notes.mark(same),) if found.shared else ()
        untimed = "not run" if upstream and found.intermediate is None else None
        return [
            formatting.parameters(found.trained),
            f"{100 * found.share:.2f} %",
            Text(formatting.duration(found.train), marks=marks),
            Text(formatting.duration(found.predict), marks=marks),
            Text(untimed or formatting.duration(found.intermediate if upstream else None), marks=shared),
            "not recorded" if found.peak_memory is None else formatting.memory(found.peak_memory),
        ]

    def closing_records(self, regime: str) -> list[export.Record]:
        """The lines of its average over tasks."""
        stat = self.averages[regime]
        base: export.Record = {"regime": regime, "task": "average", "language": AVERAGE, "metric": SCORE}
        if stat is None:
            return [base | {"status": "not run"}]
        values = {"mean": stat.mean, "std": stat.std}
        base |= {"n": len(self.common), "status": "ok"}
        return [base | {"seed": seed, "value": value} for seed, value in values.items() if value is not None]

    @property
    def content(self) -> dict[str, Any]:
        """All values, costs, and the reported averages."""
        rows = [self._row(name) for name in self.regimes]
        return {"reference": self.reference, "common_tasks": self.common, "rows": rows}

    def _row(self, name: str) -> dict[str, Any]:
        reported = {
            task: [entry.as_json() for metric in config.metrics for entry in self._published(name, metric, task)]
            for task, config in self.tasks.items()
        }
        return {
            "regime": name,
            "title": self.regimes[name].title,
            "tasks": {task: export.result_json(result) for task, result in self.results[name].items()},
            "average": export.as_json(self.averages[name]),
            "difference": self.difference(name),
            "improvement": export.as_json(self.improvement(name)),
            "cost": export.as_json(self.costs[name]),
            "reported": {task: entries for task, entries in reported.items() if entries},
        }

    def _published(self, regime: str, metric: str, task: str) -> list[Reported]:
        """The published averages; the artifact's own expectations are for make verify."""
        found = matches(self.reported, self.plan.model, regime, task, AVERAGE, metric)
        return [entry for entry in found if entry.world is None]


def _numbers(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
