"""What a run scores beyond XTREME: Tatoeba in its other direction, LAReQA without a cut-off, and LAReQA's language bias."""

from __future__ import annotations

from pathlib import Path

from xlt.errors import InputError
from xlt.evaluation import metrics
from xlt.evaluation.scoring import Rules, Score, score_file
from xlt.evaluation.submission import FURTHER, read_submission, submission_file


def score_with_further(predictions: Path, labels: Path, task: str, language: str, rules: Rules | None = None) -> Score:
    """A run's score of a task in a language: its own file's, and what the ``FURTHER`` folders beside it add.

    Tatoeba: ``accuracy_into_english``. LAReQA: ``map``, without the cut-off at 20 (Roy et al. 2020).

    Args:
        predictions: the run's folder of predictions.
        labels: the same for gold labels.
    """
    own = score_file(
        task, submission_file(predictions, task, language), submission_file(labels, task, language), language, rules
    )
    more: dict[str, float] = {}
    for name in FURTHER.get(task, ()):
        path = submission_file(predictions, name, language)
        if name == "tatoeba_into_english":
            other = score_file(name, path, submission_file(labels, name, language), language)
            more["accuracy_into_english"] = other.metrics["accuracy"]
        else:
            found = _ranks_of_all(path, submission_file(labels, task, language))
            values = [metrics.full_average_precision(list(places.values())) for places in found.values()]
            more["map"] = sum(values) / len(values) * 100
    return Score(own.metrics | more, own.examples, own.unanswered)


def _ranks_of_all(path: Path, label_file: Path) -> dict[str, dict[str, int]]:
    """The ranks of LAReQA's right candidates, which must be those of the label file."""
    gold, found = read_submission(label_file, "lareqa"), read_submission(path, "lareqa_ranks")
    for query, right in gold.items():
        if set(found.get(query, {})) != set(right):
            raise InputError(f"expected the ranks of {', '.join(right)} for {query}; predict again", path)
    return {query: found[query] for query in gold}


def language_bias(predictions: Path, labels: Path, language: str) -> dict[str, float]:
    """How far LAReQA's questions in one language prefer answers in it, in per cent (``metrics.language_bias``)."""
    given = read_submission(submission_file(predictions, "lareqa", language), "lareqa")
    label_file = submission_file(labels, "lareqa", language)
    placed = _ranks_of_all(submission_file(predictions, "lareqa_ranks", language), label_file)
    return metrics.language_bias(language, given, placed)
