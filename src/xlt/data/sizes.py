"""Counts of examples on disk: every split of every language of tasks and of their training sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xlt.config.benchmark import Recipe, Source, Task
from xlt.data.dataset import locate, read, truly_labelled
from xlt.data.records import Mining, ParallelText, Passage, Record
from xlt.errors import InputError

Counts = dict[str, dict[str, dict[str, int | None]]]
"""Set, split, language -> number of examples; None: there is no file."""


def counted(records: Sequence[Record] | ParallelText | Mining) -> dict[str, int]:
    """What a split holds, by the ending of the set's name: examples under none, LAReQA's sentences, both sides of BUCC.

    As PAWS-X's owner counts, its untranslated rows are no examples.
    """
    if isinstance(records, ParallelText):
        return {"": len(records.source)}
    if isinstance(records, Mining):
        sides = {" foreign": len(records.source), " English": len(records.target)}
        return sides | {"": len(records.gold)} if records.gold is not None else sides
    passages = [record for record in records if isinstance(record, Passage)]
    if passages:
        return {"": sum(len(p.questions) for p in passages), " sentences": sum(len(p.sentences) for p in passages)}
    return {"": len(truly_labelled(records))}


def count(data: Path, sources: Sequence[Source], language: str, split: str) -> dict[str, int]:
    """The sizes of the files of one split in one language, whole; empty when there is no file."""
    located = locate(data, sources, language=language, split=split)
    return {} if located is None else counted(read(located, language))


def count_all(
    data: Path, tasks: Mapping[str, Task], recipes: Mapping[str, Recipe], languages: Mapping[str, Sequence[str]]
) -> Counts:
    """The sizes of all splits of ``tasks`` in their ``languages``, and of ``recipes`` as sets "training <recipe>".

    A development set that is cut from the training file is not counted.

    Raises:
        InputError: there is no such folder, or a file is not in its format.
    """
    if not data.is_dir():
        raise InputError("expected the folder of data files; give DATA=<folder> (docs/data-layout.md)", data)
    splits: list[tuple[str, str, str, Sequence[Source]]] = [
        (name, split, code, sources)
        for name, task in tasks.items()
        for split, sources in task.sources.items()
        for code in languages[name]
    ]
    splits += [
        (f"training {name}", part, recipe.language, [source for source in sources if not source.skip])
        for name, recipe in recipes.items()
        for part, sources in recipe.sources.items()
    ]
    counts: Counts = {}
    for name, split, code, sources in splits:
        found = count(data, sources, code, split)
        for ending in (found or [""]) if sources else []:
            counts.setdefault(name + ending, {}).setdefault(split, {})[code] = found.get(ending)
    return counts
