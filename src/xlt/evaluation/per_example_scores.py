"""Scores of single examples, kept beside a run's scores so that differences can be tested over examples.

With each goes which item it is: translations of each other are one item, and are drawn together in a test.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlt.data.records import ParallelText
from xlt.errors import InputError
from xlt.evaluation.scoring import per_example
from xlt.evaluation.submission import KIND, read_answers_gold, read_submission, submission_file
from xlt.files import read_json, to_json, write_atomic
from xlt.layout import EXAMPLES

ITEM = "item"
WITHOUT_NAMES = ("labels", "options", "tags", "indices")
"""Kinds of label files that do not name their examples."""
ITEMS_OF = {
    "xnli-pairs": "xnli",
    "pawsx-pairs": "pawsx",
    "mlqa-pairs": "mlqa",
    "xquad-pairs": "xquad",
    "lareqa": "xquad",
    "lareqa-pairs": "xquad",
}
"""Tasks whose examples are another task's, with the same ids; the others' are their own."""
_TREEBANK = re.compile(r"^\d+\.")
"""The number of its file before the id of a sentence where a language has several: parallel treebanks have any number."""


def items_file(folder: Path, task: str) -> Path:
    """Where a run keeps the names of a task's examples by language, in the order of the label files without names."""
    return folder / "items" / f"{task}.json"


def write_items(folder: Path, task: str, records: Mapping[str, Any]) -> None:
    """Keep the names of the examples of each language, where the label files do not."""
    if KIND[task] in WITHOUT_NAMES:
        write_atomic(items_file(folder, task), to_json({code: names_of(own) for code, own in records.items()}))


def names_of(records: Any) -> list[str]:
    """What tells the items of one language apart: their ids; of aligned sentences the English ones themselves."""
    if isinstance(records, ParallelText):
        return list(records.target)
    return [_TREEBANK.sub("", record.id) for record in records]


def example_items(task: str, folder: Path, language: str) -> NDArray[np.uint64]:
    """[examples]: a number for the item of each example, the same in every language, run and task that has the item.

    Languages whose ids are row numbers of unrelated files share numbers, too. A test over items stays right then: it draws
    together what it might have drawn apart.

    Raises:
        InputError: the run does not have the names.
    """
    labels = submission_file(folder / "labels", task, language)
    if KIND[task] in WITHOUT_NAMES:
        path = items_file(folder, task)
        names = read_json(path).get(language)
        if names is None:
            raise InputError(f"expected the examples' names in {language}; delete predicted.json and run again", path)
    elif KIND[task] == "answers":
        names = list(read_answers_gold(labels))
    else:
        names = list(read_submission(labels, task))
    if task in ("lareqa", "lareqa-pairs"):  # a query is "<question>_<language>"
        names = [name.rpartition("_")[0] for name in names]
    owner = ITEMS_OF.get(task, task)
    digests = (hashlib.sha256(f"{owner}\t{name}".encode()).digest()[:8] for name in names)
    return np.array([int.from_bytes(own, "little") for own in digests], dtype=np.uint64)


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
    """Write ``examples.npz`` of a run: an array per task, metric and language, named ``task/metric/language``.

    ``task/item/language`` says which item each example is.

    Raises:
        InputError: there are not as many names as examples.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for task, codes in languages.items():
        for language in codes:
            scores = example_scores(task, folder, language)
            arrays |= {f"{task}/{metric}/{language}": values for metric, values in scores.items()}
            if scores:
                items, count = example_items(task, folder, language), len(next(iter(scores.values())))
                if len(items) != count:
                    message = f"{language}: expected {count} names, as many as there are labels, got {len(items)}"
                    raise InputError(f"{message}; delete predicted.json and run again", items_file(folder, task))
                arrays[f"{task}/{ITEM}/{language}"] = items
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / EXAMPLES, buffer.getvalue())
