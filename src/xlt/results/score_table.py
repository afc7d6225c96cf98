"""The scores of regimes on tasks, read once, and what every table of them has in common.

A table is a class that says what its sections, lines and notes are. The regime that another is compared with (``twins``),
the header and the notes of all tables stand here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Table, Task
from xlt.files import to_json
from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, BySeed, TaskResult, common_tasks, paired, summarize, task_result
from xlt.results.citations import Cited, note
from xlt.results.render import Document, Ranked, Section, Text
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, RegimeRuns


@dataclass(frozen=True)
class Inputs:
    """What a table is made from.

    ``regimes`` are its rows in order, with their runs; ``left_out`` the rows that the profile does not run; ``tasks`` its
    columns in order; ``root`` the folder of profile and model, below which ``plan.jobs`` lie; ``configs`` the folder of all
    configs.
    """

    config: Table
    plan: Plan
    root: Path
    tasks: Mapping[str, Task]
    regimes: Mapping[str, RegimeRuns]
    left_out: Sequence[str] = ()
    reported: Sequence[Reported] = ()
    configs: Path = Path("configs")
    sizes: Mapping[str, Mapping[str, Mapping[str, int | None]]] | None = None
    """Examples found on disk by set, split and language; counted for kind sizes only."""
    world: bool = False
    cited: Cited | None = None
    """Whom to cite (``to_cite``)."""


class ResultTable(ABC):
    """A table as values; ``document`` is what Markdown and LaTeX are rendered from."""

    name: str
    cited: Cited | None = None

    @property
    def cite_note(self) -> list[str]:
        """The last note, whom to cite."""
        return [] if self.cited is None else [note(self.cited, self.name.removeprefix("regime-"))]

    @cached_property
    @abstractmethod
    def document(self) -> Document:
        """The table as a page."""

    @property
    @abstractmethod
    def csv(self) -> str:
        """The table as lines of data."""

    @property
    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What the table's JSON says besides title, header and notes."""

    @property
    def json(self) -> str:
        """The table with everything it was made from."""
        return to_json(export.page_json(self.name, self.document) | self.content)

    @property
    def files(self) -> dict[str, bytes]:
        """Further files by name, such as figures."""
        return {}


class ConfiguredTable(ResultTable):
    """A table of ``configs/tables``."""

    def __init__(self, inputs: Inputs) -> None:
        self.config, self.plan, self.root = inputs.config, inputs.plan, inputs.root
        self.name = self.config.name
        self.cited = inputs.cited
        self.tasks, self.regimes, self.left_out = dict(inputs.tasks), dict(inputs.regimes), list(inputs.left_out)


class ScoreTable(ConfiguredTable):
    """A table of scores: a result for each regime (rows) and task (columns), in order."""

    @cached_property
    def results(self) -> dict[str, dict[str, TaskResult]]:
        """By regime and task."""
        return {
            name: {t: task_result(own, task) for t, task in self.tasks.items()} for name, own in self.regimes.items()
        }

    @property
    def all_results(self) -> list[TaskResult]:
        """Every result, row by row."""
        return [result for by_task in self.results.values() for result in by_task.values()]

    @cached_property
    def started(self) -> list[str]:
        """The regimes that have a result."""
        return [name for name, found in self.results.items() if any(r.status == "ok" for r in found.values())]

    @cached_property
    def common(self) -> list[str]:
        """The tasks that every regime with a result has one for: what regimes are averaged over and compared on."""
        return common_tasks(self.results, list(self.tasks))

    def done(self, task: str) -> list[TaskResult]:
        """The results of a task that there are, over the regimes."""
        return [by_task[task] for by_task in self.results.values() if by_task[task].status == "ok"]

    def title_of(self, regime: str) -> str:
        """A regime's title; its name when it is no row."""
        return self.regimes[regime].title if regime in self.regimes else regime

    def average(self, regime: str, task: str, languages: Sequence[str] | None = None) -> BySeed:
        """A regime's mean score by seed over some languages of a task, or over all it has."""
        return self.results[regime][task].average(SCORE, languages)

    @property
    def labels(self) -> list[str]:
        """The titles of the rows."""
        return [regime.title for regime in self.regimes.values()]

    def gap(self, first: str, second: str, task: str, languages: Sequence[str] | None = None) -> BySeed:
        """Mean score of a regime minus that of another by seed, over some languages, or over all that both have."""
        over = self.both(first, second, task) if languages is None else languages
        return paired(self.average(first, task, over), self.average(second, task, over))

    def cell(
        self, regime: str, task: str, by_seed: BySeed, marks: tuple[str, ...] = (), empty: str = "no data"
    ) -> Ranked:
        """A score as printed; why there is none where the task has none, and ``empty`` where only this figure is lacking."""
        status, stat = self.results[regime][task].status, summarize(by_seed)
        if status != "ok" or stat is None:
            return Text(status if status != "ok" else empty), None
        return Text(formatting.score(stat), marks=marks), stat.mean

    def both(self, first: str, second: str, task: str) -> list[str]:
        """The languages of a task in which both regimes have scores, in the order of the first."""
        return [c for c in self.results[first][task].languages if c in self.results[second][task].languages]

    def twins(self, axes: Sequence[str]) -> dict[str, str]:
        """Regime -> its baseline: the first row that agrees with it but for ``axes``, of which the baseline has no value.

        A regime without a value on these axes has no baseline.
        """
        known = {name: own.config.regime.axes() for name, own in self.regimes.items() if own.config is not None}
        rest = {name: {key: value for key, value in own.items() if key not in axes} for name, own in known.items()}
        plain = [name for name, own in known.items() if all(own[key] is None for key in axes)]
        pairs = {name: next((base for base in plain if rest[base] == rest[name]), None) for name in known}
        return {name: base for name, base in pairs.items() if base is not None and name not in plain}

    def page(self, sections: list[Section], notes: Iterable[str]) -> Document:
        """A page with the header, the rows that are left out and the configured notes."""
        header = formatting.header(self.plan, list(self.regimes.values()), self.all_results, self.tasks)
        last = [*formatting.left_out(self.left_out), *self.config.notes, *self.cite_note]
        return Document(self.config.title, header, sections, [*notes, *last])

    @property
    def csv(self) -> str:
        """One line per regime, task, language, metric and seed; then what the table adds to a task's lines."""
        records: list[export.Record] = []
        for name, by_task in self.results.items():
            for result in by_task.values():
                records += export.task_records(name, result)
                records += self.further_records(name, result)
            records += self.closing_records(name)
        return export.to_csv(records, export.COLUMNS)

    def further_records(self, regime: str, result: TaskResult) -> list[export.Record]:
        """Lines of the CSV beside the scores, such as differences."""
        return []

    def closing_records(self, regime: str) -> list[export.Record]:
        """Lines of the CSV after all tasks of a regime, such as averages over tasks."""
        return []
