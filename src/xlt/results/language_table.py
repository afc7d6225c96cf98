"""Robust training language by language: each regime's scores, and its gain over the same regime without robustness.

One pair of tables per task. A regime's own baseline is the row that agrees with it on every axis but robustness and
smoothing, and has neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from xlt.config.benchmark import Table, Task, parse
from xlt.files import read_json, to_json
from xlt.layout import CERTIFICATES
from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, Stat, TaskResult, summarize, task_result
from xlt.results.differences import Tested, by_language, difference
from xlt.results.effects import ENOUGH, Effect
from xlt.results.render import Document, Grid, Section, Text, rank_column
from xlt.results.run_folders import Loose, Plan, Regime

SOURCE = "en"
"""The language of the training data, which averages over the others leave out."""
OTHERS, ALL = "others", "all"
ROBUST_AXES = ("robustness", "smoothing")
LEVEL = 0.05
"""A gain in a language is marked when its adjusted p-value is below this."""


class Certificate(Loose):
    """How far smoothed labels of one language are certified; ``certified`` and ``abstained`` in percent."""

    radius: float = Field(ge=0)
    certified: float = Field(ge=0, le=100)
    abstained: float = Field(ge=0, le=100)


class Votes(Loose):
    """The settings of smoothed prediction that a note shows."""

    votes: int
    sigma: float
    alpha: float


class Certificates(Loose):
    """``smoothing.json`` of a run: certificates by task and language."""

    settings: Votes
    tasks: dict[str, dict[str, Certificate]]


@dataclass(frozen=True)
class LanguageTable:
    """Everything the table says, as values.

    ``baselines``: regime -> its own baseline, for those that have one. ``intervals``: by regime and task, of the gain
    averaged over the languages but the source; ``tested``: of the gain in each language.
    """

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    baselines: dict[str, str]
    certificates: dict[str, list[Certificates]]
    intervals: dict[tuple[str, str], Effect | None]
    tested: dict[tuple[str, str], dict[str, Tested]]
    left_out: list[str]

    def languages(self, task: str) -> list[str]:
        """The languages of a task that any regime expects, the source first."""
        found = dict.fromkeys(code for by_task in self.results.values() for code in by_task[task].expected)
        return sorted(found, key=lambda code: code != SOURCE)

    def gain(self, regime: str, task: str, column: str) -> dict[int, float]:
        """Points over the own baseline by seed, in a language or on average over those that both have; empty without."""
        if regime not in self.baselines:
            return {}
        own, base = (self.results[name][task] for name in (regime, self.baselines[regime]))
        common = common_languages(own, base)
        ours, theirs = by_seed(own, column, common), by_seed(base, column, common)
        return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def common_languages(first: TaskResult, second: TaskResult) -> list[str]:
    """The languages that both have scores in, in the order of the first."""
    return [code for code in first.languages if code in second.languages]


def by_seed(result: TaskResult, column: str, languages: Sequence[str]) -> dict[int, float]:
    """Scores by seed of a language, or of the average over ``languages`` (without the source for ``others``)."""
    if column in (OTHERS, ALL):
        return result.average(SCORE, [code for code in languages if column == ALL or code != SOURCE])
    return result.average(SCORE, [column]) if column in languages else {}


def _axes(regime: Regime) -> dict[str, Any] | None:
    """The axes of a regime as its runs' configs have them, or None when none is planned."""
    config = next((run.config for run in regime.runs if run.config is not None), None)
    if config is None:
        return None
    return {key: value for key, value in config.regime.items() if key not in ("name", "title", "description")}


def own_baselines(regimes: Mapping[str, Regime]) -> dict[str, str]:
    """Regime -> the row that is the same but for robust training and smoothed prediction, and has neither."""
    axes = {name: found for name, regime in regimes.items() if (found := _axes(regime)) is not None}
    rest = {name: {key: v for key, v in own.items() if key not in ROBUST_AXES} for name, own in axes.items()}
    plain = [name for name, own in axes.items() if all(own.get(key) is None for key in ROBUST_AXES)]
    pairs = {name: next((base for base in plain if rest[base] == rest[name]), None) for name in axes}
    return {name: base for name, base in pairs.items() if base is not None and name not in plain}


def _certificates(root: Path, regime: Regime) -> list[Certificates]:
    paths = [root / run.planned.dir / CERTIFICATES for run in regime.finished]
    return [parse(Certificates, read_json(path), path) for path in paths if path.exists()]


def build(
    config: Table,
    plan: Plan,
    root: Path,
    tasks: Mapping[str, Task],
    regimes: Mapping[str, Regime],
    left_out: Sequence[str] = (),
) -> LanguageTable:
    """Aggregate the runs of ``regimes`` (rows, in order) over ``tasks`` (one pair of tables each)."""
    results = {name: {task: task_result(own, tasks[task]) for task in tasks} for name, own in regimes.items()}
    baselines = own_baselines(regimes)
    intervals: dict[tuple[str, str], Effect | None] = {}
    tested: dict[tuple[str, str], dict[str, Tested]] = {}
    for name, base in baselines.items():
        for task in tasks:
            common = common_languages(results[name][task], results[base][task])
            chosen = [(tasks[task], [code for code in common if code != SOURCE])]
            intervals[name, task] = difference(root, regimes[name], regimes[base], chosen)
            tested[name, task] = by_language(root, regimes[name], regimes[base], tasks[task], common)
    return LanguageTable(
        config=config,
        plan=plan,
        tasks=dict(tasks),
        regimes=dict(regimes),
        results=results,
        baselines=baselines,
        certificates={name: _certificates(root, regime) for name, regime in regimes.items()},
        intervals=intervals,
        tested=tested,
        left_out=list(left_out),
    )


def _notes_on_average(table: LanguageTable, task: str, result: TaskResult) -> list[str]:
    notes = []
    if result.missing:
        counted = f"average over {len(result.languages)} of {len(result.expected)} languages"
        notes.append(f"{table.tasks[task].title}: {counted}; {formatting.missing(result)}")
    if len(result.seeds) < len(result.planned_seeds):
        notes.append(f"{len(result.seeds)} of {len(result.planned_seeds)} seeds ran")
    return notes


def _score_cell(
    table: LanguageTable, regime: str, task: str, column: str, notes: formatting.Footnotes
) -> tuple[Text, float | None]:
    result = table.results[regime][task]
    stat = summarize(by_seed(result, column, result.languages))
    if result.status != "ok":
        return Text(result.status), None
    if stat is None:  # the language has no data here, or English is the only one that has some
        return Text("no data"), None
    marks = tuple(notes.mark(note) for note in _notes_on_average(table, task, result)) if column == ALL else ()
    return Text(formatting.score(stat), marks=marks), stat.mean


def _gain_cell(table: LanguageTable, regime: str, task: str, column: str) -> tuple[Text, float | None]:
    stat = summarize(table.gain(regime, task, column))
    if stat is None:
        statuses = {table.results[name][task].status for name in (regime, table.baselines.get(regime, regime))}
        return Text(next((s for s in ("not run", "no data") if s in statuses), "no data")), None
    interval = table.intervals[regime, task] if column == OTHERS else None
    if interval is not None:
        return Text(formatting.with_interval(stat.mean, interval)), stat.mean
    spread = "" if stat.std is None else f" ± {stat.std:.1f}"
    found = table.tested.get((regime, task), {}).get(column)
    sure = "*" if found is not None and found.adjusted < LEVEL and found.interval.seeds >= ENOUGH else ""
    return Text(formatting.difference(stat.mean) + spread + sure), stat.mean


def _grid(table: LanguageTable, first: str, names: Sequence[str], task: str, cells: Any) -> Grid:
    columns = [*table.languages(task), OTHERS, ALL]
    filled = [[Text(table.regimes[name].title) for name in names]]
    for column in columns:
        found = [cells(name, column) for name in names]
        filled.append(rank_column([cell for cell, _ in found], [value for _, value in found]))
    return Grid([first, *columns], [list(row) for row in zip(*filled, strict=True)], "l" + "r" * len(columns))


def _sections(table: LanguageTable, task: str, notes: formatting.Footnotes) -> list[Section]:
    title = table.tasks[task].title
    scores = _grid(
        table, "Regime", list(table.regimes), task, lambda name, column: _score_cell(table, name, task, column, notes)
    )
    sections = [Section(f"{title} (percent)", scores)]
    if table.baselines:
        gains = _grid(
            table, "Regime", list(table.baselines), task, lambda name, column: _gain_cell(table, name, task, column)
        )
        sections.append(Section(f"{title}: difference to the same tuning without robust training (points)", gains))
    return sections


def _pooled(found: Sequence[Certificates], task: str, source: bool) -> Certificate | None:
    """The mean certificate of a task over runs and languages: English, or the others."""
    chosen = [
        certificate
        for run in found
        for code, certificate in run.tasks.get(task, {}).items()
        if (code == SOURCE) == source
    ]
    if not chosen:
        return None
    mean = {key: sum(getattr(c, key) for c in chosen) / len(chosen) for key in ("radius", "certified", "abstained")}
    return Certificate(**mean)


def _certificate_notes(table: LanguageTable) -> list[str]:
    notes = []
    for name, found in table.certificates.items():
        for task in table.tasks:
            parts = []
            for side, source in (("English", True), ("the other languages", False)):
                pooled = _pooled(found, task, source)
                if pooled is not None:
                    parts.append(
                        f"{side}: mean certified radius {pooled.radius:.4f}, {pooled.certified:.0f} % certified, "
                        f"{pooled.abstained:.0f} % abstained"
                    )
            if parts:
                votes = found[0].settings
                how = f"majority of {votes.votes} copies, sigma {votes.sigma:g}, alpha {votes.alpha:g}"
                notes.append(f"{table.regimes[name].title}, {table.tasks[task].title}: {how}; {'; '.join(parts)}.")
    if notes:
        notes.append(
            "Certified radius: L2 length of a shift of all word embeddings of an example that cannot change its smoothed "
            "label, in mean lengths of a word embedding, 0 without a certificate (Cohen et al. 2019, section 3.2). Where "
            "the vote is too close to be sure (abstained), the majority label is scored all the same."
        )
    return notes


def _interval_notes(table: LanguageTable) -> list[str]:
    notes = formatting.interval_note(table.intervals.values())
    if notes:
        notes.append(
            f"With a star: other than 0, p below {LEVEL:.0%} after Holm's correction over the languages "
            f"of the row; only with {ENOUGH} seeds or more."
        )
    return notes


def document(table: LanguageTable) -> Document:
    """The table as a page."""
    notes = formatting.Footnotes()
    sections = [section for task in table.tasks for section in _sections(table, task, notes)]
    codes = dict.fromkeys(code for task in table.tasks for code in table.languages(task))
    results = [result for by_task in table.results.values() for result in by_task.values()]
    general = [
        f"Languages: {', '.join(formatting.language(code) for code in codes) or 'none planned'}. Others: average over all "
        "but English, which is trained on; all: average with English.",
        "Differences are taken seed by seed. Bold: best of the column; underlined: second best; figures that print alike "
        "are tied.",
    ]
    return Document(
        title=table.config.title,
        header=formatting.header(table.plan, list(table.regimes.values()), results, table.tasks),
        sections=sections,
        notes=[
            *notes.lines(),
            *general,
            *_interval_notes(table),
            *formatting.too_few_seeds(results),
            *formatting.unscored(table.regimes.values(), table.tasks),
            *_certificate_notes(table),
            *formatting.left_out(table.left_out),
            *table.config.notes,
        ],
    )


def to_csv(table: LanguageTable) -> str:
    """One line per regime, task, language (or ``others``), metric and seed; the metric ``difference`` is to the baseline."""
    records: list[export.Record] = []
    for name, by_task in table.results.items():
        for task, result in by_task.items():
            records.extend(export.task_records(name, result))
            if result.status != "ok":
                continue
            others = by_seed(result, OTHERS, result.languages)
            count = len([code for code in result.languages if code != SOURCE])
            records.extend(export.seed_records(result, name, OTHERS, SCORE, others, count))
            for column in [*result.languages, OTHERS, ALL]:
                counted = result.n.get(column, count if column == OTHERS else len(result.languages))
                gain = table.gain(name, task, column)
                records.extend(export.seed_records(result, name, column, "difference", gain, counted))
    return export.to_csv(records, export.COLUMNS)


def _stat(values: Mapping[int, float]) -> dict[str, Any] | None:
    stat: Stat | None = summarize(values)
    return None if stat is None else asdict(stat)


def to_document_json(table: LanguageTable, page: Document) -> str:
    """The table with everything it was made from."""
    rows = []
    for name, by_task in table.results.items():
        tasks = {}
        for task, result in by_task.items():
            columns = [*result.languages, OTHERS, ALL]
            tasks[task] = export.result_json(result) | {
                OTHERS: _stat(by_seed(result, OTHERS, result.languages)),
                "difference": {column: _stat(table.gain(name, task, column)) for column in columns},
                "tested": {code: asdict(own) for code, own in table.tested.get((name, task), {}).items()},
                "interval": None if (found := table.intervals.get((name, task))) is None else asdict(found),
            }
        certificates = [found.model_dump() for found in table.certificates[name]]
        row = {
            "regime": name,
            "title": table.regimes[name].title,
            "baseline": table.baselines.get(name),
            "tasks": tasks,
        }
        rows.append(row | {"smoothing": certificates})
    return to_json(export.page_json(table.config.name, page) | {"rows": rows})
