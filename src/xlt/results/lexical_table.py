"""Lexical injection as a table: word pairs before and after, layer by layer, and zero-shot scores beside the plain twin.

A rise of the cosine of translations proves nothing by itself: all words may have moved together. So pairs that were not
trained on stand beside random pairs of the same words, and words look their translations up.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Table, Task
from xlt.files import to_json
from xlt.results import export, formatting
from xlt.results.aggregate import SCORE, Stat, TaskResult, summarize, task_result
from xlt.results.render import Document, Grid, Section, Text
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, Regime
from xlt.results.word_pairs import (
    COSINES,
    PRECISIONS,
    Figure,
    WordPairs,
    all_figures,
    injected_layers,
    load_word_pairs,
    over_seeds,
    pair_counts,
)

WORD_COLUMNS = ["lexical", "language", "layer", "when", "measure", "pairs", "direction"]
COLUMNS = ["part", *WORD_COLUMNS, *export.COLUMNS[:2], *export.COLUMNS[3:]]
MEAN = "mean of the languages"


@dataclass(frozen=True)
class LexicalTable:
    """Everything the table says, as values. ``twins`` maps an injected regime to the same one without injection."""

    config: Table
    plan: Plan
    tasks: dict[str, Task]
    regimes: dict[str, Regime]
    results: dict[str, dict[str, TaskResult]]
    pairs: list[WordPairs]
    twins: dict[str, str]
    reported: list[Reported]
    left_out: list[str]

    @property
    def injected(self) -> list[str]:
        """The languages that have a word list."""
        return list(dict.fromkeys(code for pairs in self.pairs for code in pairs.languages))

    def average(self, regime: str, task: str, *, injected_only: bool) -> dict[int, float]:
        """A regime's mean score by seed, over the injected languages or over all; empty when there is none."""
        result = self.results[regime][task]
        chosen = [code for code in result.languages if code in self.injected] if injected_only else result.languages
        return result.average(SCORE, chosen)


def build(
    config: Table,
    plan: Plan,
    root: Path,
    tasks: Mapping[str, Task],
    regimes: Mapping[str, Regime],
    left_out: Sequence[str],
    reported: Sequence[Reported],
) -> LexicalTable:
    """Read the injections behind a table and aggregate the runs of its regimes."""
    return LexicalTable(
        config=config,
        plan=plan,
        tasks=dict(tasks),
        regimes=dict(regimes),
        results={name: {task: task_result(r, tasks[task]) for task in tasks} for name, r in regimes.items()},
        pairs=[load_word_pairs(root, plan, name) for name in config.lexical],
        twins=find_twins(regimes),
        reported=[entry for entry in reported if entry.metric == "cosine"],
        left_out=list(left_out),
    )


def find_twins(regimes: Mapping[str, Regime]) -> dict[str, str]:
    """For each regime with lexical injection, the one that is the same but for it."""
    axes: dict[str, dict[str, Any]] = {}
    for name, regime in regimes.items():
        config = next((run.config for run in regime.runs if run.config is not None), None)
        if config is not None:
            axes[name] = {k: v for k, v in config.regime.items() if k not in ("name", "title", "description")}
    plain = {name: own for name, own in axes.items() if own.get("lexical") is None}
    found = {}
    for name, own in axes.items():
        twin = next((other for other, its in plain.items() if its == {**own, "lexical": None}), None)
        if own.get("lexical") is not None and twin is not None:
            found[name] = twin
    return found


def _cosine(stat: Stat | None, sign: str = "") -> str:
    if stat is None:
        return "not run"
    text = f"{stat.mean:{sign}.3f}" + ("" if stat.std is None else f" ± {stat.std:.3f}")
    return text.replace("-", "−")


def _percent(stat: Stat | None) -> str:
    return "not run" if stat is None else formatting.score(stat)


def _figure_cells(
    pairs: WordPairs, columns: Mapping[str, Figure], languages: Sequence[str], layer: int | None = None
) -> list[Text]:
    """Before and after of each column."""
    shown = _cosine if columns is COSINES else _percent
    return [
        Text(shown(summarize(over_seeds(pairs, when, figure, languages, layer))))
        for figure in columns.values()
        for when in ("before", "after")
    ]


def _headers(columns: Mapping[str, Figure]) -> list[str]:
    return [f"{name}, {when}" for name in columns for when in ("before", "after")]


def _word_section(pairs: WordPairs, title: str, columns: Mapping[str, Figure]) -> Section:
    """One row per language, and their mean, at the injected layer."""
    headers = ["Language", "Pairs" if columns is COSINES else "Candidates", *_headers(columns)]
    align = "l" + "r" * (len(headers) - 1)
    if pairs.status != "ok":
        return Section(title, Grid(headers, [[Text(pairs.status)] + [Text("")] * (len(headers) - 1)], align))
    first = next(iter(pairs.results.values()))
    rows = []
    for code in pairs.languages:
        asked = first.candidates[code]
        size = pair_counts(first.pairs, code) if columns is COSINES else f"{asked['to-en']:,} / {asked['from-en']:,}"
        rows.append([Text(formatting.language(code)), Text(size), *_figure_cells(pairs, columns, [code])])
    if len(pairs.languages) > 1:
        rows.append([Text(MEAN), Text(""), *_figure_cells(pairs, columns, pairs.languages)])
    return Section(
        title, Grid(headers, rows, align), [_moved_cosines(pairs) if columns is COSINES else _moved_precisions(pairs)]
    )


def change(pairs: WordPairs, figure: Figure) -> Stat | None:
    """How far a figure moved at the injected layer, after minus before, averaged over the languages."""
    before = over_seeds(pairs, "before", figure, pairs.languages)
    after = over_seeds(pairs, "after", figure, pairs.languages)
    return summarize({seed: after[seed] - before[seed] for seed in after})


def _moved_cosines(pairs: WordPairs) -> str:
    """The sentence that tells alignment from a shift."""
    moved = {name: _cosine(change(pairs, figure), sign="+") for name, figure in COSINES.items()}
    parts = [f"{name} pairs by {moved[name]}" for name in ("trained", "held-out", "random")]
    gap = moved["held-out − random"]
    return f"Mean cosines moved: {', '.join(parts)}; the distance between held-out and random pairs by {gap}."


def _moved_precisions(pairs: WordPairs) -> str:
    """The sentence that tells alignment from spread: words that move apart widen every distance, and no rank changes."""
    stats = {name: change(pairs, figure) for name, figure in PRECISIONS.items()}
    shown = [f"{name} by {formatting.difference(stat.mean)}" for name, stat in stats.items() if stat is not None]
    return f"P@1 moved, in points: {'; '.join(shown)}."


def _layer_section(pairs: WordPairs) -> Section:
    """One row per layer, averaged over the languages: the pilot, and what became of it."""
    both: dict[str, Figure] = {
        f"P@1 {kind}": lambda layer, kind=kind: statistics.fmean(layer.precision[kind].values())  # type: ignore[misc]
        for kind in ("trained", "held-out")
    }
    headers = ["Layer", *_headers(COSINES), *_headers(both)]
    chosen = injected_layers(pairs)
    rows = []
    for number in range(next(iter(pairs.results.values())).layers + 1):
        seeds = len(chosen.get(number, []))
        mark = "" if not seeds else " (injected)" if len(chosen) == 1 else f" (injected with {seeds} seeds)"
        cells = [
            *_figure_cells(pairs, COSINES, pairs.languages, number),
            *_figure_cells(pairs, both, pairs.languages, number),
        ]
        rows.append([Text(f"{number}{mark}"), *cells])
    title = f"{pairs.name}: layer by layer (mean of the languages; layer 0 are the embeddings)"
    return Section(title, Grid(headers, rows, "l" + "r" * (len(headers) - 1)))


def _score_cells(table: LexicalTable, regime: str, task: str) -> list[Text]:
    """Score over the injected languages and over all, each with its difference to the plain twin."""
    status, cells, twin = table.results[regime][task].status, [], table.twins.get(regime)
    for injected_only in (True, False):
        own = table.average(regime, task, injected_only=injected_only)
        plain = {} if twin is None else table.average(twin, task, injected_only=injected_only)
        gaps = [own[seed] - plain[seed] for seed in own if seed in plain]
        stat = summarize(own)
        cells.append(Text(status if status != "ok" else "no data" if stat is None else formatting.score(stat)))
        cells.append(Text(formatting.difference(statistics.fmean(gaps)) if gaps else ""))
    return cells


def _score_section(table: LexicalTable) -> Section:
    headers = ["Regime"]
    for task in table.tasks.values():
        headers += [f"{task.title}, injected", "vs. plain", f"{task.title}, all", "vs. plain"]
    rows = [
        [Text(table.regimes[name].title), *(cell for task in table.tasks for cell in _score_cells(table, name, task))]
        for name in table.regimes
    ]
    foot = [f"Injected: the languages with a word list ({', '.join(table.injected) or 'none'})."]
    return Section("Zero-shot scores (percent)", Grid(headers, rows, "l" + "r" * (len(headers) - 1)), foot)


def _reported_section(table: LexicalTable) -> Section:
    rows = []
    for entry in table.reported:
        other = f"another model ({entry.model}), " if entry.model != table.plan.model else ""
        value = "no value reported" if entry.value is None else f"{entry.value:.4f}"
        cells = [
            entry.method,
            formatting.language(entry.language),
            value,
            f"no: {other}other word pairs",
            entry.citation,
        ]
        rows.append([Text(cell) for cell in cells])
    grid = Grid(["Reported", "Language", "Mean cosine", "Comparable", "Source"], rows, "llrll")
    notes = list(dict.fromkeys(entry.note for entry in table.reported if entry.note is not None))
    return Section("Reported cosines", grid, notes)


def document(table: LexicalTable) -> Document:
    """The table as a page."""
    sections = []
    for pairs in table.pairs:
        sections.append(_word_section(pairs, f"{pairs.name}: mean cosine of word pairs at the injected layer", COSINES))
        sections.append(
            _word_section(pairs, f"{pairs.name}: word retrieval at the injected layer (P@1, percent)", PRECISIONS)
        )
        if pairs.status == "ok":
            sections.append(_layer_section(pairs))
    sections.append(_score_section(table))
    if table.reported:
        sections.append(_reported_section(table))
    results = [result for by_task in table.results.values() for result in by_task.values()]
    seeds = sorted({seed for pairs in table.pairs for seed in pairs.results})
    general = [
        f"Word pairs: seeds {', '.join(map(str, seeds)) or 'none'}; each draws its own held-out pairs, which share no word "
        "with the trained ones in any language. Pairs are trained + held-out ones of the first seed.",
        "Random: the held-out pairs' words, each with the translation of another; no pair of them is a translation.",
        "P@1: the nearest word among all of the language's words is a translation. Candidates: into / from en.",
        "vs. plain: difference to the same regime without lexical injection, mean over the seeds that both have.",
        *formatting.too_few_seeds(results),
        *formatting.unscored(table.regimes.values(), table.tasks),
    ]
    return Document(
        title=table.config.title,
        header=formatting.header(table.plan, list(table.regimes.values()), results, table.tasks),
        sections=sections,
        notes=[*general, *formatting.left_out(table.left_out), *table.config.notes],
    )


def table_csv(table: LexicalTable) -> str:
    """Every figure of every seed, then the zero-shot scores, as in the other tables."""
    records: list[export.Record] = []
    for pairs in table.pairs:
        for seed, result in pairs.results.items():
            for record in all_figures(result):
                records.append({"part": "word pairs", "lexical": pairs.name, "seed": seed, "status": "ok", **record})
        if pairs.status != "ok":
            records.append({"part": "word pairs", "lexical": pairs.name, "status": pairs.status})
    for name, by_task in table.results.items():
        for found in by_task.values():
            records.extend({"part": "zero-shot", **record} for record in export.task_records(name, found))
    return export.to_csv(records, COLUMNS)


def table_json(table: LexicalTable, page: Document) -> str:
    """The table with everything it was made from."""
    lexical = {
        pairs.name: {
            "status": pairs.status,
            "languages": pairs.languages,
            "layer": {seed: result.layer for seed, result in pairs.results.items()},
            "chosen_by": {seed: result.chosen_by for seed, result in pairs.results.items()},
            "change": {
                name: None if (stat := change(pairs, figure)) is None else asdict(stat)
                for name, figure in {**COSINES, **PRECISIONS}.items()
            },
            "seeds": {seed: result.model_dump(by_alias=True) for seed, result in pairs.results.items()},
        }
        for pairs in table.pairs
    }
    scores = {
        name: {
            task: {
                "status": result.status,
                "injected": table.average(name, task, injected_only=True),
                "all": table.average(name, task, injected_only=False),
                "values": result.values,
            }
            for task, result in by_task.items()
        }
        for name, by_task in table.results.items()
    }
    head = {"table": table.config.name, "title": page.title, "header": dict(page.header), "notes": page.notes}
    reported = [entry.as_json() for entry in table.reported]
    return to_json(
        head
        | {"lexical": lexical, "injected": table.injected, "scores": scores, "twins": table.twins, "reported": reported}
    )
