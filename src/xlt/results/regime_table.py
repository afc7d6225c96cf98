"""One regime's own table: every task and language, measured beside reported, with the source of the reported number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from xlt.config.benchmark import Strict, Task, load_yaml, parse
from xlt.results import export, formatting
from xlt.results.aggregate import SOURCE, TaskResult, task_result
from xlt.results.citations import Cited
from xlt.results.comparability import Comparer, Comparison
from xlt.results.cost import cost
from xlt.results.render import Document, Section, text_grid
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, RegimeRuns
from xlt.results.score_table import ResultTable

REPORTED_COLUMNS = ["reported", "reported_std", "difference", "comparison", "reported_paper", "reported_source"]
_HEADERS = ["Score", "Reported", "Difference", "Source"]


class Explanations(Strict):
    """``configs/tables/notes/differences.yaml``: why a language is over ``threshold`` points off its report."""

    threshold: float = Field(gt=0)
    explanations: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)

    def of(self, model: str, task: str, language: str) -> str:
        """The recorded explanation, or a statement that there is none."""
        text = self.explanations.get(model, {}).get(task, {}).get(language)
        return text or "no explanation recorded"


def load_explanations(path: Path) -> Explanations:
    """Read the explanations. Raises InputError when the file is absent or malformed."""
    return parse(Explanations, load_yaml(path), path)


class RegimeTable(ResultTable):
    """Every score of a regime beside what was reported for it, task by task in the order of ``tasks``.

    Args:
        others: all planned regimes, by name; their runs may share the intermediate runs of this one.
        cited: whom to cite (``to_cite``).
    """

    def __init__(
        self,
        plan: Plan,
        regime: RegimeRuns,
        others: Mapping[str, RegimeRuns],
        tasks: Mapping[str, Task],
        reported: list[Reported],
        explanations: Explanations,
        cited: Cited | None = None,
    ) -> None:
        self.plan, self.regime, self.tasks, self.explanations = plan, regime, dict(tasks), explanations
        self.name, self.cited = f"regime-{regime.name}", cited
        self.results = {name: task_result(regime, task) for name, task in tasks.items()}
        self.cost = cost(regime, others)
        comparer = Comparer(reported, plan.model, regime)
        pairs = [(self.results[name], metric) for name in tasks for metric in tasks[name].metrics]
        self.lines = [line for result, metric in pairs for line in comparer.languages(result, metric)]
        self.averages = [line for result, metric in pairs for line in comparer.averages(result, metric)]

    @cached_property
    def document(self) -> Document:
        """Averages, then a section for each task and metric."""
        sources = _Sources()
        sections = [self._summary(sources)]
        for task, result in self.results.items():
            if result.status == "ok":
                sections += [self._detail(result, metric, sources) for metric in self.tasks[task].metrics]
        notes = ["Difference: measured minus reported, in points.", *formatting.unscored([self.regime], self.tasks)]
        notes += [*self._cost_note(), *sources.lines(), *self.cite_note]
        header = formatting.header(self.plan, [self.regime], list(self.results.values()), self.tasks)
        return Document(f"Regime {self.regime.name}: {self.regime.title}", header, sections, notes)

    def _summary(self, sources: _Sources) -> Section:
        rows = []
        for name, result in self.results.items():
            title = self.tasks[name].title
            if result.status != "ok":
                rows.append([title, "", "", result.status, "", "", ""])
            for line in (line for line in self.averages if line.task == name and result.status == "ok"):
                metric = formatting.METRIC_TITLES.get(line.metric, line.metric)
                languages = f"{len(line.languages)} of {len(result.expected)}"
                rows.append([title, metric, languages, formatting.score(line.measured), *_reported(line, sources)])
        grid = text_grid(["Task", "Metric", "Languages", *_HEADERS], rows, "llrrrll")
        return Section("Averages over languages (percent)", grid)

    def _detail(self, result: TaskResult, metric: str, sources: _Sources) -> Section:
        languages, averages = (
            [line for line in lines if (line.task, line.metric) == (result.task, metric)]
            for lines in (self.lines, self.averages)
        )
        rows = [
            [formatting.language(line.language), formatting.count(line.n), *_cells(line, sources)] for line in languages
        ]
        rows += [[_average_label(line, result), "", *_cells(line, sources)] for line in averages]
        shown = formatting.METRIC_TITLES.get(metric, metric)
        title = f"{self.tasks[result.task].title}, {shown} (percent, {result.split} split)"
        foot = _completeness(result) + self._distance(result.task, languages)
        return Section(title, text_grid(["Language", "Examples", *_HEADERS], rows, "lrrrll"), foot)

    def _distance(self, task: str, lines: list[Comparison]) -> list[str]:
        """How far the measured scores are from the reported ones, and the languages that are far off."""
        gaps = {line.language: line.difference for line in lines if line.difference is not None}
        if not gaps:
            return []
        mean, threshold = statistics.fmean(abs(gap) for gap in gaps.values()), self.explanations.threshold
        far = {code: gap for code, gap in gaps.items() if abs(gap) > threshold}
        plural = "language" if len(gaps) == 1 else "languages"
        summary = (
            f"Mean absolute difference over {len(gaps)} {plural} with a comparable reported value: {mean:.2f} points; "
            f"mean difference: {formatting.difference(statistics.fmean(gaps.values()))}; "
            f"beyond {threshold:g} points: {len(far)} of {len(gaps)}."
        )
        why = {code: self.explanations.of(self.plan.model, task, code) for code in far}
        worst = sorted(far.items(), key=lambda item: -abs(item[1]))
        return [
            summary,
            *(f"{formatting.language(code)} {formatting.difference(gap)}: {why[code]}" for code, gap in worst),
        ]

    def _cost_note(self) -> list[str]:
        found = self.cost
        if found is None:
            return []
        parts = [
            f"trained parameters {formatting.count(found.trained)} ({100 * found.share:.2f} % of all; largest run)",
            f"train {formatting.duration(found.train)} and predict {formatting.duration(found.predict)} per seed",
        ]
        if found.intermediate is not None:
            parts.append(f"intermediate training {formatting.duration(found.intermediate)} per seed")
        if found.peak_memory is not None:
            parts.append(f"peak memory {formatting.memory(found.peak_memory)}")
        return [f"Cost ({found.runs[0]} of {found.runs[1]} runs finished): {'; '.join(parts)}."]

    @property
    def csv(self) -> str:
        """The lines of the tasks; the reported number stands on the ``mean`` line of its cell."""
        whole = {(task, frozenset(result.languages)) for task, result in self.results.items()}
        averages = [line for line in self.averages if (line.task, frozenset(line.languages)) in whole]
        cells = {(line.task, line.language, line.metric): _record(line) for line in (*self.lines, *averages)}
        records: list[export.Record] = []
        for result in self.results.values():
            for record in export.task_records(self.regime.name, result):
                key = (str(record["task"]), str(record["language"]), str(record.get("metric")))
                records.append(record | (cells.get(key, {}) if record.get("seed") == "mean" else {}))
        return export.to_csv(records, export.COLUMNS + REPORTED_COLUMNS)

    @property
    def content(self) -> dict[str, Any]:
        """All values, and each score beside what was reported for it."""
        return {
            "regime": self.regime.name,
            "tasks": {task: export.result_json(result) for task, result in self.results.items()},
            "lines": [_line_json(line) for line in self.lines],
            "averages": [_line_json(line) for line in self.averages],
            "cost": export.as_json(self.cost),
        }


class _Sources(formatting.Footnotes):
    """The numbered list of sources, in the order of their first use."""

    def number(self, entry: Reported) -> str:
        seen = f"read in: {entry.source} ({entry.confidence})"
        text = f"{entry.citation.rstrip('.')}. {entry.table}, row {entry.method!r}; {seen}."
        text += f" {entry.note.rstrip('.')}." if entry.note else ""
        return f"[{self.place(text) + 1}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {text}" for number, text in enumerate(self.texts, start=1)]


def _cells(line: Comparison, sources: _Sources) -> list[str]:
    return [formatting.score(line.measured), *_reported(line, sources)]


def _reported(line: Comparison, sources: _Sources) -> list[str]:
    """The reported number, the difference to it (or why there is none), and its source."""
    entry = line.reported
    if entry is None or entry.value is None:
        return ["no value reported", "", "" if entry is None else sources.number(entry)]
    value = f"{entry.value:.1f}" + ("" if entry.std is None else f" ± {entry.std:.1f}")
    gap = line.difference
    shown = f"not comparable: {line.reason}" if gap is None else formatting.difference(gap)
    return [value, shown, sources.number(entry)]


def _average_label(line: Comparison, result: TaskResult) -> str:
    label, left_out = f"average over {len(line.languages)}", set(result.languages) - set(line.languages)
    if not left_out:
        return label
    return f"{label}, without English" if left_out == {SOURCE} else f"{label}: {' '.join(line.languages)}"


def _completeness(result: TaskResult) -> list[str]:
    lines = [f"Without a score: {formatting.missing(result)}."] if result.missing else []
    ran = ", ".join(str(seed) for seed in result.seeds)
    return lines + [f"{note} ({ran})." for note in formatting.part_of_seeds(result)]


def _record(line: Comparison) -> export.Record:
    entry = line.reported
    comparison = "compared" if line.reason is None else f"not comparable: {line.reason}"
    if entry is None:
        return {"comparison": "no value reported"}
    return {
        "reported": entry.value,
        "reported_std": entry.std,
        "difference": line.difference,
        "comparison": "no value reported" if entry.value is None else comparison,
        "reported_paper": entry.paper,
        "reported_source": entry.source,
    }


def _line_json(line: Comparison) -> dict[str, Any]:
    return {
        "task": line.task,
        "metric": line.metric,
        "language": line.language,
        "languages": line.languages,
        "measured": asdict(line.measured),
        "n": line.n,
        "reported": None if line.reported is None else line.reported.as_json(),
        "not_comparable": line.reason,
        "difference": line.difference,
    }
