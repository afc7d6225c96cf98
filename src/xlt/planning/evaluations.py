"""The files a task is scored on: of each language, and of each pair of languages where a task has pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xlt.config.benchmark import Source, Task
from xlt.config.run_config import Evaluation, FileSet
from xlt.data.language_pairs import pairs_of, split_pair
from xlt.errors import InputError

if TYPE_CHECKING:
    from xlt.planning.planner import Planner


def evaluation_of(planner: Planner, task: Task) -> Evaluation:
    """One task with its files in every language (or pair of languages) that has some."""
    split = planner.profile.splits.get(task.name, "test")
    sources = planner.sources(task.name, split, task.sources)
    if any(source.apart_from is not None for source in sources):
        raise InputError(
            f"sources.{task.name}.{split}: expected apart_from in what trains, not in what is scored; remove it"
        )
    listed = planner.languages(task)
    found = {code: planner.find(sources, code, split) for code in listed}
    present = {code: files for code, files in found.items() if files is not None}
    if planner.world is not None:  # a generated world has no official list; what it wrote is what there is
        listed = list(present)
    tuning: dict[str, FileSet | None] = {}
    if task.family == "bucc" and split == "test":  # the threshold is tuned on the training split
        dev = planner.sources(task.name, "dev", task.sources)
        tuning = {code: planner.find(dev, code, "dev") for code in listed}
    own = pair_files(planner, sources, pairs_of(listed), split) if task.pairs else {}
    pairs = [code for code in pairs_of(listed) if code in own or all(c in present for c in split_pair(code))]
    expected = pairs_of(listed) if task.pairs else listed
    return Evaluation(
        task=task,
        split=split,
        caps=planner.profile.cap(task.name),
        files=present | own,
        tuning_files={code: files for code, files in tuning.items() if files is not None},
        pairs=pairs if task.pairs else [],
        no_data=[code for code in expected if code not in (pairs if task.pairs else present)],
    )


def pair_files(planner: Planner, sources: Sequence[Source], pairs: Sequence[str], split: str) -> dict[str, FileSet]:
    """The files of those pairs whose owner publishes one for each: MLQA's, the passage's language first."""
    own = [source for source in sources if "{question_lang}" in source.path]
    found = {}
    for code in pairs:
        passage, question = split_pair(code)
        files = planner.find(own, passage, split, question) if passage != question else None
        if files is not None:
            found[code] = files
    return found


def apart_too(train: FileSet, dev: FileSet | None, language: str) -> FileSet:
    """Training files that are kept apart from scored ones, with those of development among them; others as they are."""
    if not train.apart or dev is None:
        return train
    beside = [*train.apart.get(language, []), dev.model_copy(update={"apart": {}})]
    return train.model_copy(update={"apart": train.apart | {language: beside}})
