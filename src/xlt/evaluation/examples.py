"""Scores of single examples, kept beside a run's scores so that differences can be tested over examples."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlt.artifacts import write_atomic
from xlt.evaluation.scoring import per_example
from xlt.evaluation.submission import KIND, read_submission, submission_file

EXAMPLES = "examples.npz"


def span_counts(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Right, predicted and gold spans of each sentence, [sentences, 3]: F1 is 2 * right / (predicted + gold), summed.

    Spans are those of ``metrics.tag_f1`` (seqeval's default mode), sentence by sentence.
    """
    from seqeval.metrics.sequence_labeling import get_entities  # scikit-learn: slow import

    counts = np.zeros((len(gold), 3), dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* seems not to be NE tag")
        for number, (right, given) in enumerate(zip(gold, predicted, strict=True)):
            wanted, found = set(get_entities([list(right)])), set(get_entities([list(given)]))
            counts[number] = len(wanted & found), len(found), len(wanted)
    return counts


def example_scores(task: str, folder: Path, language: str) -> dict[str, NDArray[np.float32]]:
    """By metric: [examples] scores from 0 to 1, or [examples, 3] span counts for tagging; none for mined pairs (BUCC)."""
    predictions, labels = (submission_file(folder / kind, task, language) for kind in ("predictions", "labels"))
    if KIND[task] == "pairs":
        return {}
    if KIND[task] == "tags":
        return {"f1": span_counts(read_submission(labels, task), read_submission(predictions, task))}
    found = per_example(task, predictions, labels, language)
    return {metric: np.asarray(values, dtype=np.float32) for metric, values in found.items()}


def write_examples(folder: Path, languages: Mapping[str, Sequence[str]]) -> None:
    """Write ``examples.npz`` of a run: one array per task, metric and language, named ``task/metric/language``."""
    arrays = {
        f"{task}/{metric}/{language}": values
        for task, codes in languages.items()
        for language in codes
        for metric, values in example_scores(task, folder, language).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / EXAMPLES, buffer.getvalue())
