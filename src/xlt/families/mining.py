"""Translations found by sentence embeddings, without training: Tatoeba (aligned sentences) and BUCC (mined pairs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xlt.config.benchmark import MiningRule, Task
from xlt.config.run_config import Evaluation
from xlt.data.dataset import first, load_split
from xlt.data.records import Mining, ParallelText
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.nearest_neighbors import best_threshold, distinct_sentences, keep, mine, nearest, scored_pairs
from xlt.evaluation.submission import INDICES, PAIRS, FileKind
from xlt.families.base import Floats, Score, Values, present
from xlt.families.retrieval import Embed, Predictions, Retrieval


class Tatoeba(Retrieval):
    """The nearest sentence of the other side of the same file."""

    name = "tatoeba"
    kind = INDICES
    further: ClassVar[Mapping[str, FileKind]] = {
        "into_english": INDICES
    }  # from the foreign sentence to the English one
    metrics = ("accuracy",)
    middle_layer = True

    def metrics_of(self, task: Task) -> tuple[str, ...]:
        """Accuracy in both directions."""
        return (*self.metrics, "accuracy_into_english")

    def retrieve(self, evaluation: Evaluation, records: Mapping[str, Any], embed: Embed, data: Path) -> Predictions:
        """Indices in both directions."""
        task = evaluation.task
        official, into_english = align(embed, records, task.max_length)
        return {task.name: official, self.further_files(task)[0].name: into_english}

    def write_gold(self, folder: Path, task: Task, records: Mapping[str, ParallelText]) -> None:
        """Write the label files of both directions."""
        for language, bitext in records.items():
            self.files(task).write(folder, language, bitext.gold_source)
            self.further_files(task)[0].write(folder, language, bitext.gold)

    def names(self, records: ParallelText) -> list[str]:
        """The English sentences themselves."""
        return list(records.target)

    def score_run(self, task: Task, predictions: Path, labels: Path, language: str) -> Score:
        """With ``accuracy_into_english``."""
        score = super().score_run(task, predictions, labels, language)
        (files,) = self.further_files(task)
        into_english = task.model_copy(update={"name": files.name})
        other = self.score(into_english, files.path(predictions, language), files.path(labels, language), language)
        return replace(score, metrics=score.metrics | {"accuracy_into_english": other.metrics["accuracy"]})


def align(
    embed: Embed, bitexts: Mapping[str, ParallelText], max_length: int
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The nearest sentence of the other side of the same file, by language and direction.

    Returns:
        For each English sentence the index of the nearest foreign one, the direction XTREME scores
        (``evaluate_retrieval.py``: the foreign sentences are the index, the English ones are looked up); and for each
        foreign sentence the index of the nearest English one. Sentences that several languages share are embedded once.
    """
    sides = [(language, text) for language, b in bitexts.items() for text in b.source]
    sides = list(dict.fromkeys([*sides, *(("en", text) for b in bitexts.values() for text in b.target)]))
    found = embed([text for _, text in sides], max_length, "Tatoeba", [language for language, _ in sides])
    vectors = dict(zip(sides, found, strict=True))
    official, into_english = {}, {}
    for language, bitext in bitexts.items():
        source = np.stack([vectors[language, text] for text in bitext.source])
        target = np.stack([vectors["en", text] for text in bitext.target])
        official[language] = nearest(target, source, 1)[0][:, 0].tolist()
        into_english[language] = nearest(source, target, 1)[0][:, 0].tolist()
    return official, into_english


class Bucc(Retrieval):
    """Pairs of translations mined from two comparable collections (Zweigenbaum et al. 2018)."""

    name = "bucc"
    kind = PAIRS
    metrics = ("f1", "precision", "recall")
    middle_layer = True

    def retrieve(self, evaluation: Evaluation, records: Mapping[str, Any], embed: Embed, data: Path) -> Predictions:
        """Pairs above the threshold that is best on the task's own tuning split, or on the test split without one."""
        task, pairs = evaluation.task, {}
        for language, own in records.items():
            files = evaluation.tuning_files.get(language)
            tuning = first(load_split(data, files, language, None), evaluation.caps.dev) if files else None
            pairs[language] = mine_pairs(embed, own, tuning, task.max_length, language, task.mining or MiningRule())
        return {task.name: pairs}

    def gold(self, records: Mining) -> frozenset[tuple[str, str]]:
        """The pairs of the collection."""
        gold: frozenset[tuple[str, str]] = present(records.gold, "the BUCC collection")
        return gold

    def score(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> Score:
        """F1, precision and recall over pairs."""
        gold = self.read_gold(task, label_file)
        if not gold:
            raise InputError("expected at least one gold pair, got an empty file", label_file)
        return Score(metrics.pair_f1(gold, self.files(task).read(prediction_file)), len(gold))

    def per_example(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> tuple[Values, int]:
        """There is no such score."""
        raise ValueError(f"{task.name} is scored by an F1 over the whole file, not by a mean over examples")

    def example_arrays(self, task: Task, prediction_file: Path, label_file: Path, language: str) -> dict[str, Floats]:
        """Nothing: there is no example of what is mined."""
        return {}


def mine_pairs(
    embed: Embed, test: Mining, tuning: Mining | None, max_length: int, language: str, rule: MiningRule
) -> set[tuple[str, str]]:
    """The pairs of one BUCC collection above the threshold that is best on the training split (or on itself).

    ``language`` is that of the foreign side; the other one is English.
    """
    chosen = tuning if tuning is not None else test
    if chosen.gold is None:
        raise ValueError("the threshold needs a split with gold pairs")
    scored = _scored(embed, test, max_length, language, rule)
    tuned = scored if chosen is test else _scored(embed, chosen, max_length, language, rule)
    return keep(scored, best_threshold(tuned, chosen.gold)) if tuned else set()


def _scored(
    embed: Embed, collection: Mining, max_length: int, language: str, rule: MiningRule
) -> dict[tuple[str, str], float]:
    source, source_ids = distinct_sentences(collection.source)
    target, target_ids = distinct_sentences(collection.target)
    foreign = embed(source, max_length, f"BUCC {language}", [language] * len(source))
    english = embed(target, max_length, f"BUCC {language}, English side", ["en"] * len(target))
    mined = mine(foreign, english, rule.score, rule.neighbours)
    return scored_pairs(mined, source_ids, target_ids)
