"""Leaks: how many scored examples have a sentence that a training set has too, for every task and every training set.

A development set trains as well, since it chooses the epoch. What is compared is all of a profile's sources, before its caps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tabulate import tabulate

from xlt.config.benchmark import Profile, Recipe, Source, Task
from xlt.data.dataset import locate, read
from xlt.data.overlap import examples_of, normalised
from xlt.data.profile_files import languages_of, sources_of
from xlt.errors import InputError
from xlt.names import one_of

NAMED = 5
"""Languages that a row of the table names, those with the largest share first."""
Texts = tuple[int, ...]
"""The texts of an example, each as the hash of its normalised form."""


@dataclass(frozen=True)
class Leak:
    """How many ``examples`` of a split in a language share a sentence with a ``part`` (train, dev) of a training set.

    ``own``: that set trains for this task, or before the one that does.
    """

    set: str
    split: str
    language: str
    examples: int
    training: str
    part: str
    shared: int
    own: bool


def hashed(examples: Iterable[tuple[str, ...]]) -> list[Texts]:
    """Examples as hashes of their normalised texts; an empty text is none."""
    found = (tuple(hash(own) for text in texts if (own := normalised(text))) for texts in examples)
    return [texts for texts in found if texts]


def shared(examples: Sequence[Texts], trained: frozenset[int]) -> int:
    """How many examples have a text that was trained on."""
    return sum(not trained.isdisjoint(texts) for texts in examples)


def read_examples(
    data: Path,
    sources: Sequence[Source],
    language: str,
    split: str,
    apart_from: Callable[[str], frozenset[int]] = lambda _: frozenset(),
) -> list[Texts]:
    """The examples of the first source that is there, as the planner takes it; none of a file that cannot be read.

    ``apart_from``: by task, the texts that examples of a source with that ``apart_from`` may not have.
    """
    for source in sources:
        located = locate(data, [source], language=language, split=split)
        if located is None:
            continue
        try:
            records = read(located, language)
        except InputError:  # verify_splits says so
            return []
        if isinstance(records, list):
            records = records[source.skip : None if source.take is None else source.skip + source.take]
        examples = hashed(examples_of(records))
        left_out = apart_from(source.apart_from) if source.apart_from else frozenset()
        return [texts for texts in examples if left_out.isdisjoint(texts)]
    return []


def find_leaks(
    data: Path,
    profile: Profile,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
    world: Sequence[str] | None = None,
) -> list[Leak]:
    """Every scored split of a profile beside every training set, and each development set beside its training set.

    Only what has a sentence in common. ``world``: the languages of a generated world. Sets of language pairs are files of
    other sets.
    """
    found: list[Leak] = []
    trained: dict[tuple[str, str], frozenset[int]] = {}

    def scored(name: str) -> dict[str, list[Texts]]:
        """By language, the examples that a task is scored on."""
        if name not in tasks:
            raise InputError(f"sources: apart_from: {one_of(tasks, name)}")
        split, task = profile.splits.get(name, "test"), tasks[name]
        sources = sources_of(profile, name, split, task.sources)
        return {code: read_examples(data, sources, code, split) for code in world or languages_of(task, profile)}

    def left_out(name: str, dev: Sequence[Texts]) -> frozenset[int]:
        return _all({**scored(name), "dev": dev})

    for name, recipe in recipes.items():
        own = {part: sources_of(profile, name, part, recipe.sources) for part in ("train", "dev")}
        dev = read_examples(data, own["dev"], recipe.language, "dev", partial(left_out, dev=()))
        train = read_examples(data, own["train"], recipe.language, "train", partial(left_out, dev=dev))
        trained[name, "train"], trained[name, "dev"] = _all({"": train}), _all({"": dev})
        if number := shared(dev, trained[name, "train"]):
            found.append(Leak(f"training {name}", "dev", recipe.language, len(dev), name, "train", number, own=True))
    for name, task in tasks.items():
        if task.pairs:
            continue
        split, before = profile.splits.get(name, "test"), chain(task.recipe, recipes)
        for language, examples in scored(name).items():
            found += [
                Leak(name, split, language, len(examples), recipe_name, part, number, recipe_name in before)
                for (recipe_name, part), texts in trained.items()
                if (number := shared(examples, texts))
            ]
    return found


def _all(examples: Mapping[str, Sequence[Texts]]) -> frozenset[int]:
    """Every text of examples by language."""
    return frozenset(text for own in examples.values() for texts in own for text in texts)


def chain(name: str, recipes: Mapping[str, Recipe]) -> list[str]:
    """A recipe and those that are trained before it."""
    after = recipes[name].after if name in recipes else None
    return [name] if after is None else [name, *chain(after, recipes)]


def as_table(leaks: Sequence[Leak], *, own: bool) -> str:
    """Markdown: a row for each split and training set, languages summed, the largest share first; empty without any.

    Args:
        own: the training sets that train for the task, or all others.
    """
    groups: dict[tuple[str, str, str, str], list[Leak]] = {}
    for leak in leaks:
        if leak.own == own:
            groups.setdefault((leak.set, leak.split, leak.training, leak.part), []).append(leak)
    rows = []
    for key, group in groups.items():
        number, examples = sum(leak.shared for leak in group), sum(leak.examples for leak in group)
        worst = sorted(group, key=lambda leak: -leak.shared / leak.examples)
        named = ", ".join(f"{leak.language} {leak.shared} of {leak.examples}" for leak in worst[:NAMED])
        more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
        rows.append((number / examples, (*key, number, examples, named + more)))
    header = ("set", "split", "training set", "part", "shared", "of", "in these languages")
    ordered = [row for _, row in sorted(rows, key=lambda row: -row[0])]
    return tabulate(ordered, header, tablefmt="github") if rows else ""
