"""LAReQA: questions against the sentences of all languages' passages.

Trained as XTREME-R does (Ruder et al. 2021, section 3.1, and ``processors/lareqa.py``: question against sentence in its
context). A task of language pairs searches the sentences of one language at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xlt.config.benchmark import QUERY_TOKENS, Recipe, Task
from xlt.config.run_config import Evaluation
from xlt.data.language_pairs import Search, split_pair
from xlt.data.records import Passage
from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.nearest_neighbors import ranks
from xlt.evaluation.submission import RANKS, FileKind, TaskFiles
from xlt.families.base import Floats, Score
from xlt.families.retrieval import DualEncoder, Embed, Predictions, Rankings, Text, best_of, mean_map20


class Lareqa(DualEncoder):
    """Questions against the sentences of all languages' passages (Roy et al. 2020)."""

    name = "lareqa"
    further: ClassVar[Mapping[str, FileKind]] = {"ranks": RANKS}

    def metrics_of(self, task: Task) -> tuple[str, ...]:
        """mAP@20, and in the pool of all languages mAP without a cut-off."""
        return self.metrics if task.pairs else (*self.metrics, "map")

    def pairs(self, records: Sequence[Passage], recipe: Recipe) -> tuple[list[tuple[str, Text]], int, int]:
        """Question, and (answer sentence, passage)."""
        pairs: list[tuple[str, Text]] = [
            (text, (p.sentences[index], p.context)) for p in records for _, text, index in p.questions
        ]
        return pairs, QUERY_TOKENS, recipe.max_length - QUERY_TOKENS

    def development_score(self, records: Sequence[Passage], embed: Embed, max_length: int) -> float:
        """mAP@20 of English questions over the sentences of all development passages."""
        passages = {"en": records}
        return mean_map20(lareqa_gold(passages)["en"], rank_answers(embed, passages, max_length)[0]["en"])

    def further_files(self, task: Task) -> tuple[TaskFiles, ...]:
        """The ranks from which mAP without a cut-off follows; they hold the right candidates, so they need no labels."""
        return () if task.pairs else super().further_files(task)

    def retrieve(self, evaluation: Evaluation, records: Mapping[str, Any], embed: Embed, data: Path) -> Predictions:
        """Rankings in the pool of all languages' sentences and ranks there, or of language pairs in one language's pool."""
        task = evaluation.task
        if task.pairs:
            return {task.name: rank_by_answer_language(embed, records, task.max_length)}
        rankings, placed = rank_answers(embed, records, task.max_length)
        return {task.name: rankings, self.further_files(task)[0].name: placed}

    def write_gold(self, folder: Path, task: Task, records: Mapping[str, Any]) -> None:
        """Write the label files; a question's right candidates are in every language of the pool."""
        gold = {code: own.gold for code, own in records.items()} if task.pairs else lareqa_gold(records)
        for language, right in gold.items():
            self.files(task).write(folder, language, right)

    def items_of(self, task: Task) -> str:
        """Its questions are XQuAD's."""
        return "xquad"

    def names_in(self, task: Task, label_file: Path) -> list[str]:
        """The questions; a query is "<question>_<language>"."""
        return [name.rpartition("_")[0] for name in super().names_in(task, label_file)]

    def score_run(self, task: Task, predictions: Path, labels: Path, language: str) -> Score:
        """With ``map``, without the cut-off at 20 (Roy et al. 2020)."""
        score = super().score_run(task, predictions, labels, language)
        if task.pairs:
            return score
        placed = self._ranks(task, predictions, labels, language)
        values = [metrics.full_average_precision(list(places.values())) for places in placed.values()]
        return replace(score, metrics=score.metrics | {"map": sum(values) / len(values) * 100})

    def further_figures(
        self, task: Task, predictions: Path, labels: Path, languages: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """How far questions in a language prefer answers in it, in per cent (``metrics.language_bias``)."""
        if task.pairs or not languages:
            return {}
        bias = {}
        for language in languages:
            given = self.files(task).read(self.files(task).path(predictions, language))
            placed = self._ranks(task, predictions, labels, language)
            bias[language] = metrics.language_bias(language, given, placed)
        return {"language_bias": bias}

    def _ranks(self, task: Task, predictions: Path, labels: Path, language: str) -> dict[str, dict[str, int]]:
        """The ranks of the right candidates, which must be those of the label file."""
        (files,) = self.further_files(task)
        path = files.path(predictions, language)
        gold, placed = self.files(task).read(self.files(task).path(labels, language)), files.read(path)
        for query, right in gold.items():
            if set(placed.get(query, {})) != set(right):
                raise InputError(f"expected the ranks of {', '.join(right)} for {query}; predict again", path)
        return {query: placed[query] for query in gold}


def lareqa_candidates(passages: Sequence[Passage]) -> dict[str, tuple[str, str]]:
    """Candidate id "<passage>_<sentence>" -> (sentence, its passage)."""
    return {f"{p.id}_{i}": (sentence, p.context) for p in passages for i, sentence in enumerate(p.sentences)}


def lareqa_gold(passages: Mapping[str, Sequence[Passage]]) -> dict[str, Rankings]:
    """The right candidates of every question, for each question language, from the passages of each language.

    A candidate is the sentence at a position of a passage, "<passage id>_<position from 0>"; it is right for a question
    "<question id>_<language>" when that question, asked in the candidate's language, is answered there (Roy et al.
    2020): one right candidate per language, in the order of ``passages``.
    """
    right: Rankings = {}
    for own in passages.values():
        for passage in own:
            for question, _, sentence in passage.questions:
                right.setdefault(question, []).append(f"{passage.id}_{sentence}")
    return {
        language: {f"{question}_{language}": right[question] for passage in own for question, _, _ in passage.questions}
        for language, own in passages.items()
    }


def rank_answers(
    embed: Embed, passages: Mapping[str, Sequence[Passage]], max_length: int
) -> tuple[dict[str, Rankings], dict[str, dict[str, dict[str, int]]]]:
    """LAReQA in the pool of all languages' sentences, by language and question.

    Returns:
        The ``DEPTH`` best candidates, and the rank of every right candidate in the whole pool.
    """
    candidates = lareqa_candidates([passage for own in passages.values() for passage in own])
    names = list(candidates)
    place = {name: index for index, name in enumerate(names)}
    spoken = [language for language, own in passages.items() for _ in lareqa_candidates(own)]
    pool = embed(list(candidates.values()), max_length - QUERY_TOKENS, "LAReQA candidates", spoken)
    gold = lareqa_gold(passages)
    rankings, placed = {}, {}
    for language, own in passages.items():
        texts = {f"{name}_{language}": text for p in own for name, text, _ in p.questions}
        vectors = embed(list(texts.values()), QUERY_TOKENS, f"LAReQA {language}", [language] * len(texts))
        rankings[language] = best_of(list(texts), vectors, names, pool)
        right = [gold[language][name] for name in texts]
        rows = ranks(vectors, pool, [[place[name] for name in row] for row in right])
        placed[language] = {
            name: dict(zip(row, row_ranks, strict=True))
            for name, row, row_ranks in zip(texts, right, rows, strict=True)
        }
    return rankings, placed


def rank_by_answer_language(embed: Embed, searches: Mapping[str, Search], max_length: int) -> dict[str, Rankings]:
    """For each pair (answers' language first) and query the ``DEPTH`` best sentences of that language.

    Roy et al. 2020 look at LAReQA by the language of the question and of the answer. How their figures are defined could not
    be read; chosen here: the pool is cut down to the answers' language, so a cell says how well the two languages are
    aligned, whatever else is in the pool. (How far a question prefers its own language when all are in the pool is
    ``metrics.language_bias``.) Every text is embedded once, although it is in as many pairs as there are languages.
    """
    pools: dict[str, tuple[list[str], Floats]] = {}
    asked: dict[str, Floats] = {}
    for code, search in searches.items():
        answers, questions = split_pair(code)
        if answers not in pools:
            candidates = lareqa_candidates(search.passages)
            title, spoken = f"LAReQA answers {answers}", [answers] * len(candidates)
            vectors = embed(list(candidates.values()), max_length - QUERY_TOKENS, title, spoken)
            pools[answers] = (list(candidates), vectors)
        new = {name: text for name, text, _ in search.queries if name not in asked}
        if new:
            vectors = embed(list(new.values()), QUERY_TOKENS, f"LAReQA {code}", [questions] * len(new))
            asked.update(zip(new, vectors, strict=True))
    rankings = {}
    for code, search in searches.items():
        queries = [name for name, _, _ in search.queries]
        rankings[code] = best_of(queries, np.stack([asked[name] for name in queries]), *pools[split_pair(code)[0]])
    return rankings
