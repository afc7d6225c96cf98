"""Which files of the manifests a profile reads: the first alternative of each split and language that one of them gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Profile, Recipe, Source, Task
from xlt.data.dataset import expand
from xlt.data.download.manifest import Wanted, matcher
from xlt.data.readers import COMPANIONS


def patterns(
    profile: Profile | None, tasks: Mapping[str, Task], recipes: Mapping[str, Recipe]
) -> Iterator[tuple[str, str, str, list[tuple[str, Source]]]]:
    """Task or training set, split, language, and the alternatives in order, each with its path pattern filled in.

    A profile's own sources replace those of a task or training set; its benchmark says which languages. None: every
    language, and the configs' own sources.
    """
    for name, task in tasks.items():
        for language in languages_of(task, profile):
            others = languages_of(task, profile) if task.pairs else [language]
            for split in task.sources:
                sources = sources_of(profile, name, split, task.sources)
                for question in others:
                    yield name, split, language, list(_filled(sources, language, split, question))
    for name, recipe in recipes.items():
        for part in recipe.sources:
            sources = sources_of(profile, name, part, recipe.sources)
            yield name, part, recipe.language, list(_filled(sources, recipe.language, part, recipe.language))


def languages_of(task: Task, profile: Profile | None) -> list[str]:
    """A task's languages in the profile's benchmark; those of its other benchmark where it is in that one only."""
    if profile is not None and profile.benchmark in task.languages:
        return task.languages[profile.benchmark]
    return list(dict.fromkeys(code for codes in task.languages.values() for code in codes))


def sources_of(profile: Profile | None, name: str, split: str, own: Mapping[Any, Sequence[Source]]) -> Sequence[Source]:
    """The sources of a split of a task or training set: the profile's in place of its ``own``."""
    replaced: Mapping[Any, Sequence[Source]] = {} if profile is None else profile.sources.get(name, {})
    return replaced.get(split, own.get(split, []))


def _filled(sources: Sequence[Source], language: str, split: str, question: str) -> Iterator[tuple[str, Source]]:
    for source in sources:
        if source.languages is None or language in source.languages:
            path = expand(source.path, language=language, split=split, question_language=question)
            yield path, source


def needed(
    files: Sequence[Wanted],
    profile: Profile | None,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
) -> list[Wanted]:
    """The files that a profile reads, with those that are read beside them, in the manifests' order."""
    by_path = {one.path: one for one in files}
    taken: set[str] = set()
    for _, _, _, alternatives in patterns(profile, tasks, recipes):
        for pattern, source in alternatives:
            if found := giving(pattern, by_path):
                taken.update(found)
                taken.update(name for path in found for name in beside(path, source.format) if name in by_path)
                break
    return [one for one in files if one.path in taken]


def giving(pattern: str, paths: Mapping[str, object]) -> list[str]:
    """The paths that a pattern reads: itself, or those it fits."""
    if pattern in paths:
        return [pattern]
    return [path for path in paths if matcher(pattern).fullmatch(path)] if "*" in pattern else []


def beside(path: str, kind: str) -> list[str]:
    """What the reader of format ``kind`` reads beside ``path`` where it is there."""
    return [find(Path(path)).as_posix() for find in COMPANIONS.get(kind, ())]
