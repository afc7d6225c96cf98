"""Table 7: where regimes gain. Gains over the reference regime by groups of languages, and what they go with."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xlt import languages
from xlt.results import export, formatting, plots, typology
from xlt.results.aggregate import SCORE, SOURCE, BySeed, MeanStd, paired, summarize
from xlt.results.render import Document, Section, text_grid
from xlt.results.score_table import Inputs, ScoreTable
from xlt.results.statistics import Correlation, correlate
from xlt.results.typology import Measure, load_facts

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
COLUMNS = ["regime", "tasks", "by", "group", "languages", "cells", "seed", "score", "gain"]

TaskLanguage = tuple[str, str]


@dataclass(frozen=True)
class LanguageGroup:
    """Languages that have something in common: what, which, and the languages."""

    by: str
    name: str
    codes: tuple[str, ...]


def grouped(by: str, codes: Iterable[str], name_of: Callable[[str], str]) -> list[LanguageGroup]:
    """Groups of languages with the same name, larger ones first."""
    found: dict[str, list[str]] = {}
    for code in codes:
        found.setdefault(name_of(code), []).append(code)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [LanguageGroup(by, name, tuple(members)) for name, members in ordered]


def bands(measure: Measure, codes: Iterable[str]) -> list[LanguageGroup]:
    """Three equally large groups of the languages by a measure, equal values together; none when it hardly varies."""
    known = sorted((measure.values[code], code) for code in codes if code in measure.values)
    if len({value for value, _ in known}) < len(BANDS):
        return []
    cuts = np.quantile([value for value, _ in known], [1 / 3, 2 / 3])
    found: dict[str, list[tuple[float, str]]] = {name: [] for name in BANDS}
    for value, code in known:
        found[BANDS[int(value > cuts[0]) + int(value > cuts[1])]].append((value, code))
    return [
        LanguageGroup(measure.title, f"{name} ({own[0][0]:g} to {own[-1][0]:g})", tuple(code for _, code in own))
        for name, own in found.items()
        if own
    ]


class GroupsTable(ScoreTable):
    """Table 7. ``measures``: what is known of the languages."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        codes = list(dict.fromkeys(code for result in self.all_results for code in result.languages))
        facts = load_facts(inputs.configs / "languages.yaml")
        size = typology.pretraining(facts, self.plan.model, codes)
        self.measures = [typology.distance(facts, codes), *([] if size is None else [size])]

    @cached_property
    def cells(self) -> list[TaskLanguage]:
        """The tasks and languages, English left out, that every regime which has a result was scored on."""
        return [
            (task, code)
            for task in self.common
            for code in self.results[self.started[0]][task].languages
            if code != SOURCE and all(code in self.results[name][task].languages for name in self.started)
        ]

    @property
    def codes(self) -> list[str]:
        """The languages of the cells."""
        return list(dict.fromkeys(code for _, code in self.cells))

    @property
    def categories(self) -> list[str]:
        """All tasks together, then the kinds of tasks that have cells; none without a cell."""
        kinds = dict.fromkeys(CATEGORIES[self.tasks[task].family] for task, _ in self.cells)
        return [ALL, *kinds] if kinds else []

    @property
    def compared(self) -> list[str]:
        """The regimes with a result that are held against the reference, when that has one."""
        reference = self.config.reference
        return [name for name in self.started if name != reference] if reference in self.started else []

    @cached_property
    def groups(self) -> list[LanguageGroup]:
        """All groups: the whole, by family, by script, and by thirds of each measure."""
        codes = self.codes
        found = [LanguageGroup("all", "all languages but English", tuple(codes))] if codes else []
        found += grouped("family", codes, languages.family) + grouped("script", codes, languages.script)
        return found + [group for measure in self.measures for group in bands(measure, codes)]

    def chosen(self, category: str, codes: Iterable[str]) -> list[TaskLanguage]:
        """The cells of a kind of task in some languages."""
        wanted = set(codes)
        return [
            (task, code)
            for task, code in self.cells
            if code in wanted and category in (ALL, CATEGORIES[self.tasks[task].family])
        ]

    def score(self, regime: str, cells: Sequence[TaskLanguage]) -> BySeed:
        """Mean over cells for each seed that every task of them has."""
        values = [self.results[regime][task].values[SCORE][code] for task, code in cells]
        seeds = set.intersection(*(set(by_seed) for by_seed in values)) if values else set()
        return {seed: statistics.fmean(by_seed[seed] for by_seed in values) for seed in sorted(seeds)}

    def gain(self, regime: str, cells: Sequence[TaskLanguage]) -> BySeed:
        """Mean over cells of the difference to the reference regime, for each seed that both have."""
        return paired(self.score(regime, cells), self.score(self.config.reference, cells))

    def points(self, regime: str, category: str, measure: Measure) -> list[tuple[str, float, float]]:
        """(language, value of the measure, mean gain) of each language with both."""
        stats = {code: summarize(self.gain(regime, self.chosen(category, [code]))) for code in self.codes}
        return [
            (code, measure.values[code], stat.mean)
            for code, stat in stats.items()
            if stat is not None and code in measure.values
        ]

    def correlation(self, regime: str, category: str, measure: Measure) -> Correlation | None:
        """Spearman's rho between a measure of the languages and the gain in them."""
        points = self.points(regime, category, measure)
        return correlate([x for _, x, _ in points], [y for _, _, y in points])

    @cached_property
    def document(self) -> Document:
        """A section for each kind of task, and the correlations; what has run, where there is no gain."""
        if not self.compared or not self.cells:
            rows = [[r.title, "ok" if name in self.started else "not run"] for name, r in self.regimes.items()]
            note = "Gains need the reference regime and another one with results on a common task outside English."
            page = self.page([Section("Runs", text_grid(["Regime", "Results"], rows, "ll"))], [])
            return Document(page.title, page.header, page.sections, [note])
        sections = [self._section(category) for category in self.categories] + [self._correlations()]
        absent = [self.tasks[task].title for task in self.tasks if task not in {each for each, _ in self.cells}]
        return self.page(
            sections,
            [
                f"Gain: difference to {self.title_of(self.config.reference)}, in points, over the same tasks and languages.",
                "English, which everything is trained on, is left out. Question answering: the mean of F1 and exact match.",
                *(
                    [f"Not counted, because not every regime here has results for it: {', '.join(absent)}."]
                    if absent
                    else []
                ),
                "Low, middle, high: thirds of the languages. In brackets: 95 % bootstrap interval, languages resampled; with "
                "fewer than 5 languages there is none. Languages of one family are not independent of each other.",
                *formatting.too_few_seeds(self.all_results),
                *formatting.unscored(self.regimes.values(), self.tasks),
                f"Scatter plots: {self.config.name}/*.svg and .pdf.",
            ],
        )

    def _section(self, category: str) -> Section:
        reference, rows = self.config.reference, []
        for group in self.groups:
            if cells := self.chosen(category, group.codes):
                gains = [_shown(summarize(self.gain(name, cells)), formatting.signed) for name in self.compared]
                score = _shown(summarize(self.score(reference, cells)), formatting.score)
                rows.append([group.by, group.name, str(_languages(cells)), score, *gains])
        gains = [f"Gain of {self.regimes[name].title}" for name in self.compared]
        headers = ["By", "Group", "Languages", self.regimes[reference].title, *gains]
        tasks = dict.fromkeys(self.tasks[task].title for task, _ in self.chosen(category, self.codes))
        grid = text_grid(headers, rows, "ll" + "r" * (len(headers) - 2))
        return Section(category.capitalize(), grid, [f"Tasks: {', '.join(tasks)}."])

    def _correlations(self) -> Section:
        rows = []
        for measure in self.measures:
            for category in self.categories:
                found = [correlation_text(self.correlation(name, category, measure)) for name in self.compared]
                count = max((len(self.points(name, category, measure)) for name in self.compared), default=0)
                rows.append([measure.title, category, formatting.count(count), *found])
        headers = ["Gain against", "Tasks", "Languages", *(self.regimes[name].title for name in self.compared)]
        foot = [f"{measure.title}: {measure.source}." for measure in self.measures]
        grid = text_grid(headers, rows, "llr" + "r" * len(self.compared))
        return Section("Correlation of gains with the languages (Spearman)", grid, foot)

    @property
    def files(self) -> dict[str, bytes]:
        """Scatter plots of gains against each measure by file name, for each regime and kind of task."""
        made: dict[str, bytes] = {}
        for kind, measure in zip(("distance", "pretraining"), self.measures, strict=False):
            for name in self.compared:
                for category in self.categories:
                    points = self.points(name, category, measure)
                    title, stem = (
                        f"{self.regimes[name].title}: {category}",
                        f"{category.replace(' ', '-')}.{name}.{kind}",
                    )
                    series = [plots.Series(title, points)]
                    chart = plots.Chart(stem, title, "", measure.title, "gain (points)", series, zero=True)
                    if len(points) > 1:
                        made |= {f"{stem}{suffix}": data for suffix, data in plots.panels([chart]).items()}
        return made

    @property
    def csv(self) -> str:
        """One line per regime, kind of task, group and seed: mean score and gain."""
        return export.to_csv(self._records(), COLUMNS)

    def _records(self) -> Iterator[export.Record]:
        for name in self.started:
            for category in self.categories:
                for group in self.groups:
                    cells = self.chosen(category, group.codes)
                    gains = self.gain(name, cells) if name in self.compared else {}
                    for seed, value in self.score(name, cells).items():
                        of: export.Record = {
                            "by": group.by,
                            "group": group.name,
                            "languages": _languages(cells),
                            "cells": len(cells),
                        }
                        scores = {"score": value, "gain": gains.get(seed)}
                        yield {"regime": name, "tasks": category, **of, "seed": seed, **scores}

    @property
    def content(self) -> dict[str, Any]:
        """Groups, gains of every language, and correlations."""
        correlations = [
            {
                "regime": name,
                "tasks": category,
                "measure": measure.title,
                "source": measure.source,
                "correlation": export.as_json(self.correlation(name, category, measure)),
                "points": [
                    {"language": code, "value": x, "gain": y} for code, x, y in self.points(name, category, measure)
                ],
            }
            for measure in self.measures
            for name in self.compared
            for category in self.categories
        ]
        groups = [asdict(group) for group in self.groups]
        return {"reference": self.config.reference, "groups": groups, "correlations": correlations}


def _languages(cells: Sequence[TaskLanguage]) -> int:
    return len({code for _, code in cells})


def _shown(stat: MeanStd | None, form: Callable[[MeanStd], str]) -> str:
    return "n/a" if stat is None else form(stat)


def correlation_text(found: Correlation | None) -> str:
    """Spearman's rho with its interval where there is one: ``−0.77 [−0.95, −0.10]``."""
    if found is None:
        return "n/a"
    interval = "" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.rho:.2f}{interval}".replace("-", "−")
