"""Robust training language by language: each regime's scores, and its gain over the same regime without robustness.

One pair of tables per task. A regime's own baseline is the row that agrees with it on every axis but robustness and
smoothing, and has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, SOURCE, BySeed, TaskResult, paired, summarize
from xlt.results.certificates import certificate_notes, certificates_of
from xlt.results.differences import Tested, by_language, difference
from xlt.results.effects import ENOUGH, Effect
from xlt.results.render import Document, Ranked, Section, Text, TextGrid, ranked_grid
from xlt.results.score_table import Inputs, ScoreTable

OTHERS, ALL = "others", "all"
LEVEL = 0.05
"""A gain in a language is marked when its adjusted p-value is below this."""


class LanguageTable(ScoreTable):
    """Table 3.

    ``baselines``: regime -> its own baseline, for those that have one. ``intervals``: by regime and task, of the gain
    averaged over the languages but the source; ``tested``: of the gain in each language.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.baselines = self.twins(("robustness", "smoothing"))
        self.intervals: dict[tuple[str, str], Effect | None] = {}
        self.tested: dict[tuple[str, str], dict[str, Tested]] = {}
        self.certificates = {name: certificates_of(self.root, regime) for name, regime in self.regimes.items()}
        for name, base in self.baselines.items():
            own, other = self.regimes[name], self.regimes[base]
            for task, config in self.tasks.items():
                common = self.both(name, base, task)
                others = [code for code in common if code != SOURCE]
                self.intervals[name, task] = difference(self.root, own, other, [(config, others)])
                self.tested[name, task] = by_language(self.root, own, other, config, common)

    def languages(self, task: str) -> list[str]:
        """The languages of a task that any regime expects, the source first."""
        found = dict.fromkeys(code for by_task in self.results.values() for code in by_task[task].expected)
        return sorted(found, key=lambda code: code != SOURCE)

    def column(self, regime: str, task: str, column: str, languages: Sequence[str] | None = None) -> BySeed:
        """Scores by seed of a language, or of the average over ``languages`` (without the source for ``others``)."""
        known = self.results[regime][task].languages if languages is None else languages
        if column in (OTHERS, ALL):
            return self.average(regime, task, [code for code in known if column == ALL or code != SOURCE])
        return self.average(regime, task, [column]) if column in known else {}

    def gain(self, regime: str, task: str, column: str) -> BySeed:
        """Points over the own baseline by seed, in a language or on average over those that both have; empty without."""
        if regime not in self.baselines:
            return {}
        base = self.baselines[regime]
        common = self.both(regime, base, task)
        return paired(self.column(regime, task, column, common), self.column(base, task, column, common))

    @cached_property
    def document(self) -> Document:
        """Scores and gains of each task."""
        notes = formatting.Footnotes()
        sections = [section for task in self.tasks for section in self._sections(task, notes)]
        codes = dict.fromkeys(code for task in self.tasks for code in self.languages(task))
        return self.page(
            sections,
            [
                *notes.lines(),
                f"Languages: {', '.join(formatting.language(code) for code in codes) or 'none planned'}. Others: average "
                "over all but English, which is trained on; all: average with English.",
                "Differences are taken seed by seed. Bold: best of the column; underlined: second best; figures that print "
                "alike are tied.",
                *self._interval_notes(),
                *formatting.too_few_seeds(self.all_results),
                *formatting.unscored(self.regimes.values(), self.tasks),
                *self._certificate_notes(),
            ],
        )

    def _sections(self, task: str, notes: formatting.Footnotes) -> list[Section]:
        title = self.tasks[task].title
        scores = self._grid(task, list(self.regimes), lambda name, column: self._score_cell(name, task, column, notes))
        sections = [Section(f"{title} (percent)", scores)]
        if self.baselines:
            gains = self._grid(task, list(self.baselines), lambda name, column: self._gain_cell(name, task, column))
            sections.append(Section(f"{title}: difference to the same tuning without robust training (points)", gains))
        return sections

    def _grid(self, task: str, names: Sequence[str], cell: Callable[[str, str], Ranked]) -> TextGrid:
        columns = [*self.languages(task), OTHERS, ALL]
        cells = [[cell(name, column) for name in names] for column in columns]
        return ranked_grid(["Regime", *columns], [self.regimes[name].title for name in names], cells)

    def _score_cell(self, regime: str, task: str, column: str, notes: formatting.Footnotes) -> Ranked:
        result, scores = self.results[regime][task], self.column(regime, task, column)
        partial = formatting.part_of_languages(self.tasks[task].title, result) + formatting.part_of_seeds(result)
        marks = notes.marks(partial) if column == ALL and scores else ()
        return self.cell(regime, task, scores, marks)

    def _gain_cell(self, regime: str, task: str, column: str) -> Ranked:
        stat = summarize(self.gain(regime, task, column))
        if stat is None:
            statuses = {self.results[name][task].status for name in (regime, self.baselines[regime])}
            return Text("not run" if "not run" in statuses else "no data"), None
        interval = self.intervals.get((regime, task)) if column == OTHERS else None
        if interval is not None:
            return Text(formatting.with_interval(stat.mean, interval)), stat.mean
        found = self.tested.get((regime, task), {}).get(column)
        sure = "*" if found is not None and found.adjusted < LEVEL and found.interval.seeds >= ENOUGH else ""
        return Text(formatting.signed(stat) + sure), stat.mean

    def _interval_notes(self) -> list[str]:
        notes = formatting.interval_note(self.intervals.values())
        star = (
            f"With a star: other than 0, p below {LEVEL:.0%} after Holm's correction over the languages "
            f"of the row; only with {ENOUGH} seeds or more."
        )
        return [*notes, star] if notes else []

    def _certificate_notes(self) -> list[str]:
        pairs = self.certificates.items()
        notes = [note for n, found in pairs for note in certificate_notes(self.regimes[n].title, self.tasks, found)]
        meaning = (
            "Certified radius: L2 length of a shift of all word embeddings of an example that cannot change its smoothed "
            "label, in mean lengths of a word embedding, 0 without a certificate (Cohen et al. 2019, section 3.2). Where "
            "the vote is too close to be sure (abstained), the majority label is scored all the same."
        )
        return [*notes, meaning] if notes else []

    def further_records(self, regime: str, result: TaskResult) -> list[export.Record]:
        """The language ``others``, and the metric ``difference``, which is to the baseline."""
        if result.status != "ok":
            return []
        task, count = result.task, len([code for code in result.languages if code != SOURCE])
        records = export.seed_records(result, regime, OTHERS, SCORE, self.column(regime, task, OTHERS), count)
        counts = {**{code: result.n[code] for code in result.languages}, OTHERS: count, ALL: len(result.languages)}
        for column, number in counts.items():
            gain = self.gain(regime, task, column)
            records += export.seed_records(result, regime, column, "difference", gain, number)
        return records

    @property
    def content(self) -> dict[str, Any]:
        """Every row with its baseline, gains and certificates."""
        return {"rows": [self._row(name) for name in self.regimes]}

    def _row(self, name: str) -> dict[str, Any]:
        tasks = {}
        for task, result in self.results[name].items():
            columns = [*result.languages, OTHERS, ALL]
            tasks[task] = export.result_json(result) | {
                OTHERS: export.stat_json(self.column(name, task, OTHERS)),
                "difference": {column: export.stat_json(self.gain(name, task, column)) for column in columns},
                "tested": {code: export.as_json(own) for code, own in self.tested.get((name, task), {}).items()},
                "interval": export.as_json(self.intervals.get((name, task))),
            }
        return {
            "regime": name,
            "title": self.regimes[name].title,
            "baseline": self.baselines.get(name),
            "tasks": tasks,
            "smoothing": [found.model_dump() for found in self.certificates[name]],
        }
