"""One regime's own table: every task and language, measured beside reported, with the source of the reported number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from xlt.config.benchmark import Strict, Task, load_yaml, parse
from xlt.results import formatting
from xlt.results.aggregate import TaskResult, task_result
from xlt.results.comparability import Comparer, Comparison
from xlt.results.cost import Cost, cost
from xlt.results.render import Document, Grid, Section, Text
from xlt.results.reported import AVERAGE, Reported
from xlt.results.run_folders import Plan, Regime, RunProfile, merged_profile


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


@dataclass(frozen=True)
class RegimeTable:
    """Everything a regime's table says, as values. ``lines`` hold the languages of each task."""

    plan: Plan
    regime: Regime
    tasks: dict[str, Task]
    results: dict[str, TaskResult]
    lines: list[Comparison]
    averages: list[Comparison]
    explanations: Explanations
    cost: Cost | None


def build(
    plan: Plan,
    regime: Regime,
    others: Mapping[str, Regime],
    tasks: Mapping[str, Task],
    reported: list[Reported],
    explanations: Explanations,
) -> RegimeTable:
    """Compare every score of a regime with what was reported for it, task by task in the order of ``tasks``.

    ``others`` are all planned regimes, by name; their runs may share the intermediate runs of this one.
    """
    results = {name: task_result(regime, task) for name, task in tasks.items()}
    profile = merged_profile(regime.runs)
    comparer = Comparer(reported, plan.model, regime, profile or RunProfile(name=plan.profile, title=plan.profile))
    pairs = [(results[name], metric) for name in results for metric in tasks[name].metrics]
    return RegimeTable(
        plan=plan,
        regime=regime,
        tasks=dict(tasks),
        results=results,
        lines=[line for result, metric in pairs for line in comparer.languages(result, metric)],
        averages=[line for result, metric in pairs for line in comparer.averages(result, metric)],
        explanations=explanations,
        cost=cost(regime, others),
    )


class _Sources:
    """The numbered list of sources, in the order of their first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, entry: Reported) -> str:
        seen = f"read in: {entry.source} ({entry.confidence})"
        text = f"{entry.citation.rstrip('.')}. {entry.table}, row {entry.method!r}; {seen}."
        if entry.note:
            text += f" {entry.note.rstrip('.')}."
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {text}" for number, text in enumerate(self.texts, start=1)]


def _reported_cells(line: Comparison, sources: _Sources) -> list[Text]:
    entry = line.reported
    if entry is None:
        return [Text("no value reported"), Text(""), Text("")]
    if entry.value is None:
        return [Text("no value reported"), Text(""), Text(sources.number(entry))]
    value = f"{entry.value:.1f}" + ("" if entry.std is None else f" ± {entry.std:.1f}")
    gap = line.difference
    shown = f"not comparable: {line.reason}" if gap is None else formatting.difference(gap)
    return [Text(value), Text(shown), Text(sources.number(entry))]


def _average_label(line: Comparison, result: TaskResult) -> str:
    if set(line.languages) == set(result.languages):
        return f"average over {len(line.languages)}"
    if set(result.languages) - set(line.languages) == {"en"}:
        return f"average over {len(line.languages)}, without English"
    return f"average over {len(line.languages)}: {' '.join(line.languages)}"


_HEADERS = ["Score", "Reported", "Difference", "Source"]


def _summary(table: RegimeTable, sources: _Sources) -> Section:
    rows = []
    for name, result in table.results.items():
        title = table.tasks[name].title
        if result.status != "ok":
            rows.append([Text(title), Text(""), Text(""), Text(result.status), Text(""), Text(""), Text("")])
            continue
        for line in (line for line in table.averages if line.task == name):
            metric = formatting.METRIC_TITLES.get(line.metric, line.metric)
            languages = Text(f"{len(line.languages)} of {len(result.expected)}")
            score = Text(formatting.score(line.measured))
            rows.append([Text(title), Text(metric), languages, score, *_reported_cells(line, sources)])
    return Section(
        "Averages over languages (percent)", Grid(["Task", "Metric", "Languages", *_HEADERS], rows, "llrrrll")
    )


def _detail(table: RegimeTable, task: str, metric: str, sources: _Sources) -> Section:
    result = table.results[task]
    languages = [line for line in table.lines if (line.task, line.metric) == (task, metric)]
    averages = [line for line in table.averages if (line.task, line.metric) == (task, metric)]
    rows = []
    for line in (*languages, *averages):
        is_average = line.language == AVERAGE
        label = _average_label(line, result) if is_average else formatting.language(line.language)
        count = "" if is_average else formatting.count(line.n)
        rows.append([Text(label), Text(count), Text(formatting.score(line.measured)), *_reported_cells(line, sources)])
    title = f"{table.tasks[task].title}, {formatting.METRIC_TITLES.get(metric, metric)} (percent, {result.split} split)"
    foot = _completeness(result) + _distance(table, task, languages)
    return Section(title, Grid(["Language", "Examples", *_HEADERS], rows, "lrrrll"), foot)


def _completeness(result: TaskResult) -> list[str]:
    lines = []
    if result.missing:
        lines.append(f"Without a score: {formatting.missing(result)}.")
    if len(result.seeds) < len(result.planned_seeds):
        ran = ", ".join(str(seed) for seed in result.seeds)
        lines.append(f"{len(result.seeds)} of {len(result.planned_seeds)} seeds ran ({ran}).")
    return lines


def _distance(table: RegimeTable, task: str, lines: list[Comparison]) -> list[str]:
    """The foot line: how far the measured scores are from the reported ones, and the languages that are far off."""
    gaps = {line.language: line.difference for line in lines if line.difference is not None}
    if not gaps:
        return []
    mean = statistics.fmean(abs(gap) for gap in gaps.values())
    threshold = table.explanations.threshold
    far = {code: gap for code, gap in gaps.items() if abs(gap) > threshold}
    plural = "language" if len(gaps) == 1 else "languages"
    summary = (
        f"Mean absolute difference over {len(gaps)} {plural} with a comparable reported value: {mean:.2f} points; "
        f"mean difference: {formatting.difference(statistics.fmean(gaps.values()))}; "
        f"beyond {threshold:g} points: {len(far)} of {len(gaps)}."
    )
    foot = [summary]
    for code, gap in sorted(far.items(), key=lambda item: -abs(item[1])):
        reason = table.explanations.of(table.plan.model, task, code)
        foot.append(f"{formatting.language(code)} {formatting.difference(gap)}: {reason}")
    return foot


def _cost_note(table: RegimeTable) -> list[str]:
    found = table.cost
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


def document(table: RegimeTable) -> Document:
    """The table as a page."""
    sources = _Sources()
    sections = [_summary(table, sources)]
    for task, result in table.results.items():
        if result.status == "ok":
            sections.extend(_detail(table, task, metric, sources) for metric in table.tasks[task].metrics)
    unscored = formatting.unscored([table.regime], table.tasks)
    notes = ["Difference: measured minus reported, in points.", *unscored, *_cost_note(table), *sources.lines()]
    header = formatting.header(table.plan, [table.regime], list(table.results.values()), table.tasks)
    return Document(f"Regime {table.regime.name}: {table.regime.title}", header, sections, notes)
