"""Scores of single examples, kept beside a run's scores so that differences can be tested over examples.

With each goes which item it is: translations of each other are one item, and are drawn together in a test.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import Task
from xlt.errors import InputError
from xlt.families import FAMILIES
from xlt.files import read_json, to_json, write_atomic
from xlt.layout import EXAMPLES

ITEM = "item"


def items_file(folder: Path, task: str) -> Path:
    """Where a run keeps the names of a task's examples by language, in the order of the label files without names."""
    return folder / "items" / f"{task}.json"


def write_items(folder: Path, task: Task, records: Mapping[str, Any]) -> None:
    """Keep the names of the examples of each language, where the label files do not."""
    family = FAMILIES[task.family]
    if not family.kind.named:
        names = {language: family.names(own) for language, own in records.items()}
        write_atomic(items_file(folder, task.name), to_json(names))


def example_items(task: Task, folder: Path, language: str) -> NDArray[np.uint64]:
    """[examples]: a number for the item of each example, the same in every language, run and task that has the item.

    Languages whose ids are row numbers of unrelated files share numbers, too. A test over items stays right then: it draws
    together what it might have drawn apart.

    Raises:
        InputError: the run does not have the names.
    """
    family = FAMILIES[task.family]
    if family.kind.named:
        names = family.names_in(task, family.files(task).path(folder / "labels", language))
    else:
        path = items_file(folder, task.name)
        names = read_json(path).get(language)
        if names is None:
            raise InputError(f"expected the examples' names in {language}; delete predicted.json and run again", path)
    digests = (hashlib.sha256(f"{family.items_of(task)}\t{name}".encode()).digest()[:8] for name in names)
    return np.array([int.from_bytes(own, "little") for own in digests], dtype=np.uint64)


def write_examples(folder: Path, scored: Sequence[tuple[Task, Sequence[str]]]) -> None:
    """Write ``examples.npz`` of a run: an array per task, metric and scored language, named ``task/metric/language``.

    ``task/item/language`` says which item each example is. Scores are from 0 to 1, [examples], or [examples, 3] span counts
    for tagging; none for mined pairs (BUCC).

    Raises:
        InputError: there are not as many names as examples.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for task, languages in scored:
        name, family = task.name, FAMILIES[task.family]
        for language in languages:
            files = [family.files(task).path(folder / kind, language) for kind in ("predictions", "labels")]
            scores = family.example_arrays(task, files[0], files[1], language)
            arrays |= {f"{name}/{metric}/{language}": values for metric, values in scores.items()}
            if scores:
                items, count = example_items(task, folder, language), len(next(iter(scores.values())))
                if len(items) != count:
                    message = f"{language}: expected {count} names, as many as there are labels, got {len(items)}"
                    raise InputError(f"{message}; delete predicted.json and run again", items_file(folder, name))
                arrays[f"{name}/{ITEM}/{language}"] = items
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / EXAMPLES, buffer.getvalue())
