"""Table 7: where regimes gain. Gains over the reference regime by groups of languages, and what they go with."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from xlt import languages
from xlt.config.benchmark import Table, Task
from xlt.files import to_json
from xlt.results import export, formatting, plots
from xlt.results.aggregate import SCORE, Stat, TaskResult, common_tasks, summarize, task_result
from xlt.results.correlation import Correlation, correlate
from xlt.results.render import Document, Grid, Section, Text
from xlt.results.run_folders import Plan, Regime
from xlt.results.typology import Measure

SOURCE = "en"
ALL = "all tasks"
CATEGORIES = {
    "classification": "classification",
    "choice": "classification",
    "tagging": "structured prediction",
    "span": "question answering",
    "lareqa": "retrieval",
    "mewslix": "retrieval",
    "tatoeba": "retrieval",
    "bucc": "retrieval",
}
"""XTREME-R's four kinds of tasks (Ruder et al. 2021, table 1), by family of this project."""
BANDS = ("low", "middle", "high")

Cell = tuple[str, str]
"""A task and a language."""


@dataclass(frozen=True)
class Group:
    """Languages that have something in common: what, which, and the languages."""

    by: str
    name: str
    codes: tuple[str, ...]


def grouped(by: str, codes: Iterable[str], name_of: Callable[[str], str]) -> list[Group]:
    """Groups of languages with the same name, larger ones first."""
    found: dict[str, list[str]] = {}
    for code in codes:
        found.setdefault(name_of(code), []).append(code)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Group(by, name, tuple(members)) for name, members in ordered]


def bands(measure: Measure, codes: Iterable[str]) -> list[Group]:
    """Three equally large groups of the languages by a measure, equal values together; none when it hardly varies."""
    known = sorted((measure.values[code], code) for code in codes if code in measure.values)
    if len({value for value, _ in known}) < len(BANDS):
        return []
    cuts = np.quantile([value for value, _ in known], [1 / 3, 2 / 3])
    found: dict[str, list[tuple[float, str]]] = {name: [] for name in BANDS}
    for value, code in known:
        found[BANDS[int(value > cuts[0]) + int(value > cuts[1])]].append((value, code))
    return [
        Group(measure.title, f"{name} ({members[0][0]:g} to {members[-1][0]:g})", tuple(code for _, code in members))
        for name, members in found.items()
        if members
    ]


@dataclass(frozen=True)
class GroupsTable:
    """Everything table 7 says, as values."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    measures: list[Measure]
    left_out: list[str]

    @cached_property
    def started(self) -> list[str]:
        """The regimes that have a result."""
        return [name for name, found in self.results.items() if any(r.status == "ok" for r in found.values())]

    @cached_property
    def cells(self) -> list[Cell]:
        """The tasks and languages, English left out, that every regime which has a result was scored on."""
        common = common_tasks(self.results, list(self.tasks))
        return [
            (task, code)
            for task in common
            for code in self.results[self.started[0]][task].languages
            if code != SOURCE and all(code in self.results[name][task].languages for name in self.started)
        ]

    @property
    def codes(self) -> list[str]:
        """The languages of the cells."""
        return list(dict.fromkeys(code for _, code in self.cells))

    @property
    def categories(self) -> list[str]:
        """All tasks together, then the kinds of tasks that have cells."""
        return [ALL, *dict.fromkeys(CATEGORIES[self.tasks[task].family] for task, _ in self.cells)]

    @property
    def compared(self) -> list[str]:
        """The regimes with a result that are held against the reference, when that has one."""
        if self.config.reference not in self.started:
            return []
        return [name for name in self.started if name != self.config.reference]

    def groups(self) -> list[Group]:
        """All groups: the whole, by family, by script, and by thirds of each measure."""
        codes = self.codes
        found = [Group("all", "all languages but English", tuple(codes))] if codes else []
        found += grouped("family", codes, languages.family) + grouped("script", codes, languages.script)
        return found + [group for measure in self.measures for group in bands(measure, codes)]

    def chosen(self, category: str, codes: Iterable[str]) -> list[Cell]:
        """The cells of a kind of task in some languages."""
        wanted = set(codes)
        return [
            (task, code)
            for task, code in self.cells
            if code in wanted and category in (ALL, CATEGORIES[self.tasks[task].family])
        ]

    def score(self, regime: str, cells: Sequence[Cell]) -> dict[int, float]:
        """Mean over cells for each seed that every task of them has."""
        values = [self.results[regime][task].values[SCORE][code] for task, code in cells]
        seeds = set.intersection(*(set(by_seed) for by_seed in values)) if values else set()
        return {seed: statistics.fmean(by_seed[seed] for by_seed in values) for seed in sorted(seeds)}

    def gain(self, regime: str, cells: Sequence[Cell]) -> dict[int, float]:
        """Mean over cells of the difference to the reference regime, for each seed that both have."""
        own, reference = self.score(regime, cells), self.score(self.config.reference, cells)
        return {seed: own[seed] - reference[seed] for seed in own if seed in reference}

    def points(self, regime: str, category: str, measure: Measure) -> list[tuple[str, float, float]]:
        """(language, value of the measure, mean gain) of each language with both."""
        found = []
        for code in self.codes:
            stat = summarize(self.gain(regime, self.chosen(category, [code])))
            if stat is not None and code in measure.values:
                found.append((code, measure.values[code], stat.mean))
        return found

    def correlation(self, regime: str, category: str, measure: Measure) -> Correlation | None:
        """Spearman's rho between a measure of the languages and the gain in them."""
        points = self.points(regime, category, measure)
        return correlate([x for _, x, _ in points], [y for _, _, y in points])


def build(
    config: Table,
    plan: Plan,
    tasks: Mapping[str, Task],
    regimes: Mapping[str, Regime],
    left_out: Sequence[str],
    measures: Callable[[Sequence[str]], list[Measure]],
) -> GroupsTable:
    """Aggregate the runs of ``regimes`` over ``tasks``; ``measures`` gives what is known of some languages."""
    results = {name: {task: task_result(regime, tasks[task]) for task in tasks} for name, regime in regimes.items()}
    codes = list(dict.fromkeys(c for by_task in results.values() for r in by_task.values() for c in r.languages))
    return GroupsTable(config, plan, dict(tasks), dict(regimes), results, measures(codes), list(left_out))


def _text(stat: Stat | None, form: Callable[[float], str]) -> Text:
    return Text("n/a" if stat is None else form(stat.mean) + ("" if stat.std is None else f" ± {stat.std:.1f}"))


def _section(table: GroupsTable, category: str) -> Section:
    reference, rows = table.config.reference, []
    for group in table.groups():
        cells = table.chosen(category, group.codes)
        if not cells:
            continue
        count = len({code for _, code in cells})
        row = [Text(group.by), Text(group.name), Text(str(count))]
        row.append(_text(summarize(table.score(reference, cells)), lambda value: f"{value:.1f}"))
        row += [_text(summarize(table.gain(name, cells)), formatting.difference) for name in table.compared]
        rows.append(row)
    gains = [f"Gain of {table.regimes[name].title}" for name in table.compared]
    headers = ["By", "Group", "Languages", table.regimes[reference].title, *gains]
    tasks = dict.fromkeys(table.tasks[task].title for task, _ in table.chosen(category, table.codes))
    foot = [f"Tasks: {', '.join(tasks)}."]
    return Section(category.capitalize(), Grid(headers, rows, "ll" + "r" * (len(headers) - 2)), foot)


def _shown(found: Correlation | None) -> str:
    if found is None:
        return "n/a"
    interval = "" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.rho:.2f}{interval}".replace("-", "−")


def _correlations(table: GroupsTable) -> Section:
    rows = []
    for measure in table.measures:
        for category in table.categories:
            found = [table.correlation(name, category, measure) for name in table.compared]
            known = {len(table.points(name, category, measure)) for name in table.compared}
            count = formatting.count(max(known, default=0))
            rows.append([Text(measure.title), Text(category), Text(count), *(Text(_shown(each)) for each in found)])
    headers = ["Gain against", "Tasks", "Languages", *(table.regimes[name].title for name in table.compared)]
    foot = [f"{measure.title}: {measure.source}." for measure in table.measures]
    return Section(
        "Correlation of gains with the languages (Spearman)",
        Grid(headers, rows, "llr" + "r" * len(table.compared)),
        foot,
    )


def document(table: GroupsTable) -> Document:
    """The table as a page."""
    header = formatting.header(
        table.plan,
        list(table.regimes.values()),
        [r for found in table.results.values() for r in found.values()],
        table.tasks,
    )
    if not table.compared or not table.cells:
        rows = [
            [Text(regime.title), Text("not run" if name not in table.started else "ok")]
            for name, regime in table.regimes.items()
        ]
        note = "Gains need the reference regime and another one with results on a common task outside English."
        return Document(table.config.title, header, [Section("Runs", Grid(["Regime", "Results"], rows, "ll"))], [note])
    sections = [_section(table, category) for category in table.categories] + [_correlations(table)]
    absent = [table.tasks[task].title for task in table.tasks if task not in {each for each, _ in table.cells}]
    notes = [
        f"Gain: difference to {table.regimes[table.config.reference].title}, in points, over the same tasks and languages.",
        "English, which everything is trained on, is left out. Question answering: the mean of F1 and exact match.",
        *([f"Not counted, because not every regime here has results for it: {', '.join(absent)}."] if absent else []),
        "Low, middle, high: thirds of the languages. In brackets: 95 % bootstrap interval, languages resampled; with fewer "
        "than 5 languages there is none. Languages of one family are not independent of each other.",
        *formatting.too_few_seeds(r for found in table.results.values() for r in found.values()),
        *formatting.unscored(table.regimes.values(), table.tasks),
        f"Scatter plots: {table.config.name}/*.svg and .pdf.",
        *formatting.left_out(table.left_out),
        *table.config.notes,
    ]
    return Document(table.config.title, header, sections, notes)


def files(table: GroupsTable) -> dict[str, bytes]:
    """Scatter plots of gains against each measure by file name, for each regime and kind of task."""
    made: dict[str, bytes] = {}
    for measure_number, measure in enumerate(table.measures):
        kind = ("distance", "pretraining")[measure_number]
        for name in table.compared:
            for category in table.categories:
                points = table.points(name, category, measure)
                labels = (f"{table.regimes[name].title}: {category}", measure.title, "gain (points)")
                stem = f"{category.replace(' ', '-')}.{name}.{kind}"
                if len(points) > 1:
                    made |= {f"{stem}{suffix}": data for suffix, data in plots.scatter(points, labels).items()}
    return made


COLUMNS = ["regime", "tasks", "by", "group", "languages", "cells", "seed", "score", "gain"]


def to_csv(table: GroupsTable) -> str:
    """One line per regime, kind of task, group and seed: mean score and gain."""
    records: list[export.Record] = []
    for name in table.started:
        for category in table.categories if table.cells else []:
            for group in table.groups():
                cells = table.chosen(category, group.codes)
                gains = table.gain(name, cells) if name in table.compared else {}
                for seed, value in table.score(name, cells).items():
                    count = len({code for _, code in cells})
                    base: export.Record = {"regime": name, "tasks": category, "by": group.by, "group": group.name}
                    base |= {
                        "languages": count,
                        "cells": len(cells),
                        "seed": seed,
                        "score": value,
                        "gain": gains.get(seed),
                    }
                    records.append(base)
    return export.to_csv(records, COLUMNS)


def to_document_json(table: GroupsTable, page: Document) -> str:
    """Groups, gains of every language, and correlations, with the page's header and notes."""
    content = {"table": table.config.name, "title": page.title, "header": dict(page.header), "notes": page.notes}
    pairs = [(name, category) for name in table.compared for category in (table.categories if table.cells else [])]
    correlations = []
    for measure in table.measures:
        for name, category in pairs:
            found = table.correlation(name, category, measure)
            points = [{"language": code, "value": x, "gain": y} for code, x, y in table.points(name, category, measure)]
            entry = {"regime": name, "tasks": category, "measure": measure.title, "source": measure.source}
            correlations.append(entry | {"correlation": None if found is None else asdict(found), "points": points})
    groups = [asdict(group) for group in table.groups()]
    return to_json(content | {"reference": table.config.reference, "groups": groups, "correlations": correlations})
