"""The results of lexical injections, read and checked: cosines and word retrieval before and after, by language and layer."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from xlt.config.benchmark import parse
from xlt.config.lexical_injection import LexicalRun, read_job
from xlt.errors import InputError
from xlt.files import read_json
from xlt.results.aggregate import BySeed, paired
from xlt.results.run_folders import Loose, Plan

When = Literal["before", "after"]


class LayerFigures(Loose):
    """One layer in one language: mean cosine by kind of pair, and P@1 in percent by kind of pair and direction."""

    cosine: dict[str, float]
    precision: dict[str, dict[str, float]] = Field(alias="p@1")


class Injection(Loose):
    """The part of ``lexical.json`` that tables show; figures are by language and layer, layer 0 the embeddings."""

    layer: int
    layers: int
    chosen_by: str
    pairs: dict[str, dict[str, int]]
    candidates: dict[str, dict[str, int]]
    before: dict[str, list[LayerFigures]]
    after: dict[str, list[LayerFigures]]
    wall_seconds: float

    def figures(self, when: When, language: str, layer: int) -> LayerFigures:
        """The figures of one layer."""
        return (self.before if when == "before" else self.after)[language][layer]


@dataclass(frozen=True)
class WordPairs:
    """All jobs of one lexical config by seed; ``results`` has those that finished."""

    name: str
    jobs: dict[int, LexicalRun]
    results: dict[int, Injection]

    @property
    def languages(self) -> list[str]:
        """The languages with a word list."""
        return list(dict.fromkeys(code for job in self.jobs.values() for code in job.files))

    @property
    def status(self) -> str:
        """``ok``, ``not run`` (no job finished) or ``no data`` (no word list, so no job)."""
        return "ok" if self.results else "not run" if self.jobs else "no data"


Figure = Callable[[LayerFigures], float]
COSINES: dict[str, Figure] = {
    "trained": lambda layer: layer.cosine["trained"],
    "held-out": lambda layer: layer.cosine["held-out"],
    "random": lambda layer: layer.cosine["random held-out"],
    "held-out − random": lambda layer: layer.cosine["held-out"] - layer.cosine["random held-out"],
}
"""Columns of cosines; the random pairs are made of the held-out pairs' words."""
PRECISIONS: dict[str, Figure] = {
    "trained, into en": lambda layer: layer.precision["trained"]["to-en"],
    "trained, from en": lambda layer: layer.precision["trained"]["from-en"],
    "held-out, into en": lambda layer: layer.precision["held-out"]["to-en"],
    "held-out, from en": lambda layer: layer.precision["held-out"]["from-en"],
}
"""Columns of word retrieval."""


def load_word_pairs(root: Path, plan: Plan, name: str) -> WordPairs:
    """Read every planned job of a lexical config.

    Raises:
        InputError: a job's config or result is damaged, or its result has not every planned language.
    """
    jobs, results = {}, {}
    for folder, last in plan.jobs.items():
        if folder.split("/")[:2] != ["lexical", name]:
            continue
        job = read_job(root / folder)
        jobs[job.seed] = job
        path = root / folder / last
        if path.exists():
            found = parse(Injection, read_json(path), path)
            if lost := set(job.files) - set(found.after):
                raise InputError(
                    f"expected figures for {', '.join(sorted(lost))}; delete the file and run the job again", path
                )
            results[job.seed] = found
    return WordPairs(name, jobs, results)


def over_seeds(
    pairs: WordPairs, when: When, figure: Figure, languages: Sequence[str], layer: int | None = None
) -> BySeed:
    """A figure's mean over languages for each seed, at one layer or, with None, at the one each seed injected."""
    return {
        seed: statistics.fmean(
            figure(result.figures(when, code, result.layer if layer is None else layer)) for code in languages
        )
        for seed, result in pairs.results.items()
    }


def change(pairs: WordPairs, figure: Figure) -> BySeed:
    """How far a figure moved at the injected layer, after minus before, averaged over the languages, by seed."""
    before, after = (over_seeds(pairs, when, figure, pairs.languages) for when in ("before", "after"))
    return paired(after, before)


def all_figures(result: Injection) -> Iterator[dict[str, str | int | float | None]]:
    """Every figure of one seed: language, layer, when, measure, kind of pairs, direction, value."""
    for when, by_language in (("before", result.before), ("after", result.after)):
        for code, layers in by_language.items():
            for number, layer in enumerate(layers):
                base: dict[str, str | int | float | None] = {"language": code, "layer": number, "when": when}
                for kind, value in layer.cosine.items():
                    yield {**base, "measure": "cosine", "pairs": kind, "direction": None, "value": value}
                for kind, directions in layer.precision.items():
                    for direction, value in directions.items():
                        yield {**base, "measure": "p@1", "pairs": kind, "direction": direction, "value": value}


def injected_layers(pairs: WordPairs) -> dict[int, list[int]]:
    """The injected layers, lowest first, with the seeds that chose each."""
    chosen: dict[int, list[int]] = {}
    for seed, result in sorted(pairs.results.items()):
        chosen.setdefault(result.layer, []).append(seed)
    return dict(sorted(chosen.items()))


def pair_counts(result: Mapping[str, Mapping[str, int]], code: str) -> str:
    """``1,494 + 373``: trained and held-out pairs."""
    return f"{result[code]['trained']:,} + {result[code]['held-out']:,}"
