"""Lexical injection as a table: word pairs before and after, layer by layer, and zero-shot scores beside the plain twin.

A rise of the cosine of translations proves nothing by itself: all words may have moved together. So pairs that were not
trained on stand beside random pairs of the same words, and words look their translations up.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from xlt.results import export, formatting
from xlt.results.aggregate import BySeed, MeanStd, paired, summarize
from xlt.results.render import Document, Section, text_grid
from xlt.results.score_table import Inputs, ScoreTable
from xlt.results.word_pairs import (
    COSINES,
    PRECISIONS,
    Figure,
    WordPairs,
    all_figures,
    change,
    injected_layers,
    load_word_pairs,
    over_seeds,
    pair_counts,
)

WORD_COLUMNS = ["lexical", "language", "layer", "when", "measure", "pairs", "direction"]
COLUMNS = ["part", *WORD_COLUMNS, *export.COLUMNS[:2], *export.COLUMNS[3:]]
MEAN = "mean of the languages"


class LexicalTable(ScoreTable):
    """Table 6. ``baselines`` maps an injected regime to the same one without injection.

    Raises:
        InputError: the result of an injection is damaged.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.pairs = [load_word_pairs(self.root, self.plan, name) for name in self.config.lexical]
        self.baselines = self.twins(("lexical",))
        self.reported = [entry for entry in inputs.reported if entry.metric == "cosine"]
        self.injected = list(dict.fromkeys(code for pairs in self.pairs for code in pairs.languages))

    def mean(self, regime: str, task: str, *, injected_only: bool) -> BySeed:
        """A regime's mean score by seed, over the languages with a word list or over all; empty when there is none."""
        known = self.results[regime][task].languages
        return self.average(regime, task, [code for code in known if not injected_only or code in self.injected])

    @cached_property
    def document(self) -> Document:
        """Word pairs of each injection, zero-shot scores, and published cosines."""
        sections = []
        for pairs in self.pairs:
            at = f"{pairs.name}: {{}} at the injected layer"
            sections.append(_word_section(pairs, at.format("mean cosine of word pairs"), COSINES))
            sections.append(_word_section(pairs, at.format("word retrieval") + " (P@1, percent)", PRECISIONS))
            sections += [_layer_section(pairs)] if pairs.status == "ok" else []
        seeds = sorted({seed for pairs in self.pairs for seed in pairs.results})
        return self.page(
            [*sections, self._scores(), *([self._published()] if self.reported else [])],
            [
                f"Word pairs: seeds {', '.join(map(str, seeds)) or 'none'}; each draws its own held-out pairs, which share "
                "no word with the trained ones in any language. Pairs are trained + held-out ones of the first seed.",
                "Random: the held-out pairs' words, each with the translation of another; no pair of them is a translation.",
                "P@1: the nearest word among all of the language's words is a translation. Candidates: into / from en.",
                "vs. plain: difference to the same regime without lexical injection, mean over the seeds that both have.",
                *formatting.too_few_seeds(self.all_results),
                *formatting.unscored(self.regimes.values(), self.tasks),
            ],
        )

    def _scores(self) -> Section:
        headers = ["Regime"]
        for task in self.tasks.values():
            headers += [f"{task.title}, injected", "vs. plain", f"{task.title}, all", "vs. plain"]
        rows = [
            [regime.title, *(cell for task in self.tasks for cell in self._score_cells(name, task))]
            for name, regime in self.regimes.items()
        ]
        foot = [f"Injected: the languages with a word list ({', '.join(self.injected) or 'none'})."]
        return Section("Zero-shot scores (percent)", text_grid(headers, rows), foot)

    def _score_cells(self, regime: str, task: str) -> Iterator[str]:
        """Score over the injected languages and over all, each with its difference to the plain twin."""
        status, twin = self.results[regime][task].status, self.baselines.get(regime)
        for injected_only in (True, False):
            own = self.mean(regime, task, injected_only=injected_only)
            gaps = paired(own, {} if twin is None else self.mean(twin, task, injected_only=injected_only))
            stat = summarize(own)
            yield status if status != "ok" else "no data" if stat is None else formatting.score(stat)
            yield formatting.difference(statistics.fmean(gaps.values())) if gaps else ""

    def _published(self) -> Section:
        rows = []
        for entry in self.reported:
            other = f"another model ({entry.model}), " if entry.model != self.plan.model else ""
            value = "no value reported" if entry.value is None else f"{entry.value:.4f}"
            why = f"no: {other}other word pairs"
            rows.append([entry.method, formatting.language(entry.language), value, why, entry.citation])
        grid = text_grid(["Reported", "Language", "Mean cosine", "Comparable", "Source"], rows, "llrll")
        notes = list(dict.fromkeys(entry.note for entry in self.reported if entry.note is not None))
        return Section("Reported cosines", grid, notes)

    @property
    def csv(self) -> str:
        """Every figure of every seed, then the zero-shot scores, as in the other tables."""
        return export.to_csv(self._records(), COLUMNS)

    def _records(self) -> Iterator[export.Record]:
        for pairs in self.pairs:
            for seed, result in pairs.results.items():
                for record in all_figures(result):
                    yield {"part": "word pairs", "lexical": pairs.name, "seed": seed, "status": "ok", **record}
            if pairs.status != "ok":
                yield {"part": "word pairs", "lexical": pairs.name, "status": pairs.status}
        for name, by_task in self.results.items():
            for found in by_task.values():
                yield from ({"part": "zero-shot", **record} for record in export.task_records(name, found))

    @property
    def content(self) -> dict[str, Any]:
        """Every injection, the zero-shot scores and the published cosines."""
        scores = {
            name: {
                task: {
                    "status": result.status,
                    "injected": self.mean(name, task, injected_only=True),
                    "all": self.mean(name, task, injected_only=False),
                    "values": result.values,
                }
                for task, result in by_task.items()
            }
            for name, by_task in self.results.items()
        }
        return {
            "lexical": {pairs.name: _pairs_json(pairs) for pairs in self.pairs},
            "injected": self.injected,
            "scores": scores,
            "twins": self.baselines,
            "reported": [entry.as_json() for entry in self.reported],
        }


def _pairs_json(pairs: WordPairs) -> dict[str, Any]:
    return {
        "status": pairs.status,
        "languages": pairs.languages,
        "layer": {seed: result.layer for seed, result in pairs.results.items()},
        "chosen_by": {seed: result.chosen_by for seed, result in pairs.results.items()},
        "change": {name: export.stat_json(change(pairs, figure)) for name, figure in {**COSINES, **PRECISIONS}.items()},
        "seeds": {seed: result.model_dump(by_alias=True) for seed, result in pairs.results.items()},
    }


def _cosine(stat: MeanStd | None, sign: str = "") -> str:
    if stat is None:
        return "not run"
    text = f"{stat.mean:{sign}.3f}" + ("" if stat.std is None else f" ± {stat.std:.3f}")
    return text.replace("-", "−")


def _percent(stat: MeanStd | None) -> str:
    return "not run" if stat is None else formatting.score(stat)


def _figure_cells(
    pairs: WordPairs, columns: Mapping[str, Figure], languages: Sequence[str], layer: int | None = None
) -> list[str]:
    """Before and after of each column."""
    shown = _cosine if columns is COSINES else _percent
    return [
        shown(summarize(over_seeds(pairs, when, figure, languages, layer)))
        for figure in columns.values()
        for when in ("before", "after")
    ]


def _headers(columns: Mapping[str, Figure]) -> list[str]:
    return [f"{name}, {when}" for name in columns for when in ("before", "after")]


def _word_section(pairs: WordPairs, title: str, columns: Mapping[str, Figure]) -> Section:
    """One row per language, and their mean, at the injected layer."""
    headers = ["Language", "Pairs" if columns is COSINES else "Candidates", *_headers(columns)]
    if pairs.status != "ok":
        return Section(title, text_grid(headers, [[pairs.status] + [""] * (len(headers) - 1)]))
    first = next(iter(pairs.results.values()))
    rows = []
    for code in pairs.languages:
        asked = first.candidates[code]
        size = pair_counts(first.pairs, code) if columns is COSINES else f"{asked['to-en']:,} / {asked['from-en']:,}"
        rows.append([formatting.language(code), size, *_figure_cells(pairs, columns, [code])])
    if len(pairs.languages) > 1:
        rows.append([MEAN, "", *_figure_cells(pairs, columns, pairs.languages)])
    foot = _moved_cosines(pairs) if columns is COSINES else _moved_precisions(pairs)
    return Section(title, text_grid(headers, rows), [foot])


def _moved_cosines(pairs: WordPairs) -> str:
    """The sentence that tells alignment from a shift."""
    moved = {name: _cosine(summarize(change(pairs, figure)), sign="+") for name, figure in COSINES.items()}
    parts = [f"{name} pairs by {moved[name]}" for name in ("trained", "held-out", "random")]
    gap = moved["held-out − random"]
    return f"Mean cosines moved: {', '.join(parts)}; the distance between held-out and random pairs by {gap}."


def _moved_precisions(pairs: WordPairs) -> str:
    """The sentence that tells alignment from spread: words that move apart widen every distance, and no rank changes."""
    stats = {name: summarize(change(pairs, figure)) for name, figure in PRECISIONS.items()}
    shown = [f"{name} by {formatting.difference(stat.mean)}" for name, stat in stats.items() if stat is not None]
    return f"P@1 moved, in points: {'; '.join(shown)}."


def _layer_section(pairs: WordPairs) -> Section:
    """One row per layer, averaged over the languages: the pilot, and what became of it."""
    both: dict[str, Figure] = {
        f"P@1 {kind}": lambda layer, kind=kind: statistics.fmean(layer.precision[kind].values())  # type: ignore[misc]
        for kind in ("trained", "held-out")
    }
    chosen = injected_layers(pairs)
    rows = []
    for number in range(next(iter(pairs.results.values())).layers + 1):
        seeds = len(chosen.get(number, []))
        mark = "" if not seeds else " (injected)" if len(chosen) == 1 else f" (injected with {seeds} seeds)"
        cells = [cell for columns in (COSINES, both) for cell in _figure_cells(pairs, columns, pairs.languages, number)]
        rows.append([f"{number}{mark}", *cells])
    title = f"{pairs.name}: layer by layer (mean of the languages; layer 0 are the embeddings)"
    return Section(title, text_grid(["Layer", *_headers(COSINES), *_headers(both)], rows))
