"""Is a data folder what it should be? Hashes, sizes against published ones, labels, duplicate ids, train/test overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Input, Profile, Recipe, Source, Task
from xlt.data.dataset import Located, locate, read, read_candidates, truly_labelled
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.downloader import published
from xlt.data.download.lockfile import Lock
from xlt.data.download.manifest import Wanted
from xlt.data.leaks import Leak
from xlt.data.overlap import SPECIAL, examples_of
from xlt.data.profile_files import languages_of, sources_of
from xlt.data.readers.faults import collected, left_out, notes
from xlt.data.records import Choice, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged
from xlt.data.sizes import counted
from xlt.errors import InputError
from xlt.files import sha256_file

Sizes = Mapping[str, Mapping[str, Any]]


@dataclass
class File:
    """A file and what its hash says: published, recorded (as when it came), unknown, or changed."""

    path: str
    size: int
    sha256: str
    verdict: str
    expected: str | None = None


@dataclass
class Split:
    """One split in one language; ``overlap`` counts examples that the training set has too.

    It is wrong where it is ``unreadable`` (why), its labels or ids have ``problems``, or its size is ``not_as_published``.
    """

    set: str
    split: str
    language: str
    examples: int | None = None
    published: int | None = None
    labels: dict[str, int] = field(default_factory=dict)
    duplicate_ids: int = 0
    overlap: int | None = None
    unreadable: str | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def not_as_published(self) -> bool:
        """Whether it was read, and has another number of examples than was published."""
        read = self.unreadable is None and self.examples is not None
        return read and self.published not in (None, self.examples)

    @property
    def verdict(self) -> str:
        """wrong, missing, as published, or present (no size is published, or none could be verified)."""
        if self.unreadable is not None or self.problems or self.not_as_published:
            return "wrong"
        if self.examples is None:
            return "missing"
        return "present" if self.published is None else "as published"


@dataclass
class Verified:
    """The whole report."""

    files: list[File]
    splits: list[Split]
    problems: list[str]
    leaks: list[Leak] = field(default_factory=list)
    """Sentences in common are a warning: the sets are what their owners made them."""

    @property
    def status(self) -> int:
        """0: everything is there and right; 1: something is wrong; 2: nothing is wrong, something is missing."""
        if (
            self.problems
            or any(f.verdict == "changed" for f in self.files)
            or any(s.verdict == "wrong" for s in self.splits)
        ):
            return 1
        return 2 if any(split.examples is None for split in self.splits) else 0

    def as_json(self) -> dict[str, Any]:
        """For ``to_json``."""
        splits = [{**asdict(split), "verdict": split.verdict} for split in self.splits]
        return {
            "status": self.status,
            "problems": self.problems,
            "splits": splits,
            "leaks": [asdict(leak) for leak in self.leaks],
            "files": [asdict(file) for file in self.files],
        }


def verify_files(data: Path, wanted: Sequence[Wanted], lock: Lock) -> tuple[list[File], list[str]]:
    """Hash every file of a data folder, and what an interrupted download left."""
    folder = DataFolder(data)
    record = folder.record()
    by_path = {one.path: one for one in wanted}
    files = []
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            files.append(_judged(name, path, record["files"].get(name), by_path.get(name), lock))
    gone = [name for name in record["files"] if not (data / name).is_file()]
    problems = [f"{name}: came by make data and is gone; run make data again" for name in gone]
    problems += [f"{name}: an interrupted download; run make data again" for name in record["unfinished"]]
    return files, problems


def _judged(name: str, path: Path, recorded: dict[str, Any] | None, one: Wanted | None, lock: Lock) -> File:
    got = sha256_file(path)
    values, complete = (set(), False) if one is None else published(one, lock)
    verdict, expected = "unknown", None
    if recorded is not None and recorded["sha256"] != got:
        verdict, expected = "changed", recorded["sha256"]
    elif got in values:
        verdict = "published"
    elif complete:
        verdict, expected = "changed", " or ".join(sorted(values))
    elif recorded is not None:
        verdict = "recorded"
    return File(name, path.stat().st_size, got, verdict, expected)


def verify_splits(
    data: Path,
    profile: Profile,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
    sizes: Sizes,
    world: Sequence[str] | None = None,
) -> list[Split]:
    """Read every split that a profile reads, and judge it. Sets of language pairs are files of other sets.

    ``world``: the languages of a generated world, whose own files say which sets it has; nothing counts as missing there.
    """
    splits: list[Split] = []
    training: dict[str, set[Any]] = {}
    for name, recipe in recipes.items():
        for part in recipe.sources:
            # A part of one file is disjoint from the other part; the whole file is what has a published size.
            whole = [source for source in sources_of(profile, name, part, recipe.sources) if not source.skip]
            split = Split(f"training {name}", part, recipe.language)
            found, contents = _judged_split(split, data, whole, recipe, _sizes_of(profile, name, part, sizes))
            splits += found
            if part == "train" and contents is not None:
                training[name] = set(contents)
    for name, task in tasks.items():
        for language in [] if task.pairs else world or languages_of(task, profile):
            for tested in task.sources:
                sources = sources_of(profile, name, tested, task.sources)
                split = Split(name, tested, language)
                own = _sizes_of(profile, name, tested, sizes)
                found, contents = _judged_split(split, data, sources, task, own)
                splits += found
                if tested == "test" and task.recipe in training and contents is not None:
                    split.overlap = sum(content in training[task.recipe] for content in contents)
    return [split for split in splits if world is None or split.examples is not None]


def _sizes_of(profile: Profile, name: str, part: str, sizes: Sizes) -> Sizes:
    """The published sizes; none where a profile's own file stands in."""
    return {} if part in profile.sources.get(name, {}) else sizes


def _judged_split(
    split: Split, data: Path, sources: Sequence[Source], of: Input, sizes: Sizes
) -> tuple[list[Split], list[Any] | None]:
    """Fill in a split: it, with a line for each other count that its set has, and what its examples say (None: no list)."""
    if all(source.languages is not None and split.language not in source.languages for source in sources):
        return [], None
    split.published = published_size(sizes, split.set, split.split, split.language)
    located = locate(data, sources, language=split.language, split=split.split)
    if located is None:
        return [split], None
    try:
        with collected() as tallies:
            records = read(located, split.language, of.known_labels)
        extra = _describe(split, located, records, of.labels)
        split.notes += [*notes(tallies), *left_out(tallies)]
    except InputError as error:
        split.examples, split.unreadable = 0, str(error)
        return [split], None
    found = [split]
    for ending, count in extra.items():
        size = published_size(sizes, split.set + ending, split.split, split.language)
        found.append(Split(split.set + ending, split.split, split.language, count, size))
    return found, list(map(content_key, records)) if isinstance(records, list) else None


def _describe(result: Split, located: Located, records: Any, labels: Sequence[str] | None) -> dict[str, int]:
    """Fill in counts, labels and duplicates; the set's other counts (LAReQA's sentences, BUCC's sides)."""
    counts = counted(records)
    result.examples = counts.pop("", 0)
    untranslated = sum(isinstance(record, Pair) and record.untranslated for record in listed(records))
    if untranslated:
        result.notes.append(f"{untranslated} untranslated pairs, labelled 0 whatever the truth, do not count")
        records = truly_labelled(records)
    if spelt := sum(any(map(SPECIAL.search, texts)) for texts in examples_of(records)):
        result.notes.append(f"{spelt} examples spell a special token such as </s> or [SEP], which is read as text")
    result.labels = dict(sorted(Counter(_labels(records)).items()))
    result.duplicate_ids = _duplicates(records, questions=not result.set.startswith("training "))
    if result.duplicate_ids:
        result.problems.append(f"{result.duplicate_ids} ids occur more than once")
    if labels is not None and result.labels and (absent := [x for x in labels if x not in result.labels]):
        result.notes.append(f"no example of {', '.join(absent)}")
    if labels is not None and not result.labels:
        result.notes.append("no labels: withheld")
    if located.format == "mewslix-mentions":
        _check_candidates(result, located, records)
    return counts


def _check_candidates(result: Split, located: Located, records: Sequence[Mention]) -> None:
    """Mewsli-X: each mention's entity is among the candidates (their reader refuses one that is there twice)."""
    ids = {entity.id for entity in read_candidates(located)}
    strangers = sum(record.entity is not None and record.entity not in ids for record in records)
    if strangers:
        result.problems.append(f"{strangers} mentions have an entity that is not among the candidates")
    result.notes.append(f"{len(ids)} candidate entities")


def published_size(sizes: Sizes, name: str, split: str, language: str) -> int | None:
    """The published number of examples; None where none could be verified (configs/sizes.yaml)."""
    value = sizes.get(name, {}).get(split)
    return value.get(language) if isinstance(value, dict) else value


def listed(records: Any) -> list[Any]:
    """Records as a list; a collection of sentences has none."""
    return records if isinstance(records, list) else []


def _labels(records: Any) -> Iterable[str]:
    for record in listed(records):
        match record:
            case Pair() | Choice():
                if record.label is not None:
                    yield str(record.label)
            case Tagged():
                yield from record.tags or ()


def _duplicates(records: Any, *, questions: bool) -> int:
    """How many ids occur again, those of a passage's ``questions`` too where they are scored one by one.

    Rows that have no id of their own are numbered by their reader.
    """
    if isinstance(records, ParallelText | Mining):
        return 0
    names = [record.id for record in records]
    if questions:
        names += [question[0] for record in records if isinstance(record, Passage) for question in record.questions]
    return len(names) - len(set(names))


def content_key(record: Any) -> Any:
    """What an example says, without id and label: two examples with the same key are the same example."""
    match record:
        case Pair():
            return record.text_a, record.text_b
        case Choice():
            return record.prompt, frozenset(record.options)
        case Tagged():
            return record.words
        case Question():
            return record.question, record.context
        case Passage():
            return record.context
        case Mention():
            return record.text, record.start, record.end
    return record
