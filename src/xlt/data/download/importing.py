"""Files that a user already has, in the owners' layouts or XTREME's: recognised, checked, and put into the data folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xlt.config.benchmark import OnError, Profile, Recipe, Task
from xlt.data.dataset import Located, read
from xlt.data.download.archives import place_of
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.downloader import not_published
from xlt.data.download.lockfile import Lock
from xlt.data.download.manifest import Wanted
from xlt.data.profile_files import beside, patterns
from xlt.data.readers.files import Labels
from xlt.errors import InputError
from xlt.files import sha256_file
from xlt.names import visible

_ELSEWHERE = (  # where XTREME's script, or an owner's unpacked archive, has what lies here under the name on the left
    (r"xtreme/(.+)", r"\1"),
    (r"socialiqa/(.+)", r"siqa/\1"),
    (r"socialiqa/(.+)", r"siqa/socialIQa_v1.4/\1"),
    (r"xcopa/data/([^/]+)/(.+)", r"xcopa/\2"),
    (r"copa/(train|val).jsonl", r"xcopa/\1.en.jsonl"),
    (r"mewsli_x/(.+)", r"mewslix/\1"),
    (r"mewsli_x/(.+)", r"\1"),
    (r"glue/QQP/(.+)", r"QQP/\1"),
    (r"copa/(.+)", r"COPA/\1"),
)


@dataclass(frozen=True)
class Candidate:
    """A path pattern of the data folder, the same in the folder that is read, and how a file there is checked."""

    target: str
    source: str
    format: str | None
    language: str
    labels: Labels
    on_error: OnError = "refuse"


@dataclass
class Imported:
    """What an import did, all paths relative: taken (target -> source), refused (source -> why), and the rest."""

    taken: dict[str, str] = field(default_factory=dict)
    present: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def candidates(
    files: Sequence[Wanted], profiles: Iterable[Profile], tasks: Mapping[str, Task], recipes: Mapping[str, Recipe]
) -> Iterator[Candidate]:
    """Everything that a config of this project reads, first under its own name, then under others."""
    known: dict[str, Candidate] = {}
    for profile in [*profiles, None]:
        for name, _, language, alternatives in patterns(profile, tasks, recipes):
            labels = (tasks[name] if name in tasks else recipes[name]).known_labels
            for path, read_as in alternatives:
                known.setdefault(path, Candidate(path, path, read_as.format, language, labels, read_as.on_error))
    for one in files:
        known.setdefault(one.path, Candidate(one.path, one.path, None, one.language, None))
    yield from known.values()
    members = {one.path: [source.member for source in one.sources if source.member is not None] for one in files}
    for path, candidate in known.items():
        for place in (*members.get(path, []), *_other_places(path)):
            yield replace(candidate, source=place)


def _other_places(path: str) -> Iterator[str]:
    for here, there in _ELSEWHERE:
        if match := re.fullmatch(here, path):
            yield match.expand(there)


def import_folder(
    source: Path, data: Path, wanted: Sequence[Candidate], files: Sequence[Wanted], lock: Lock, *, link: bool = False
) -> Imported:
    """Put what is recognised below ``source`` into ``data``: copied, or with ``link`` as hard links where that can be.

    A file is taken when its reader can read all of it and, where the published hash is known, has that hash. Nothing
    that is there already is replaced.

    Raises:
        InputError: there is no such folder, or nothing in it was recognised.
    """
    if not source.is_dir():
        raise InputError("expected a folder of data files or an archive made by make data-pack", source)
    folder = DataFolder(data)
    judge = _Import(source, data, {one.path: one for one in files}, lock)
    result = judge.result
    with folder.exclusively():
        globbed: dict[str, list[str]] = {}
        for candidate in wanted:
            if candidate.target not in globbed and (kept := judge.take(candidate)):
                globbed[candidate.target] = sorted(kept)
        staged = {
            target: _stage(source / name, folder.incoming / target, link) for target, name in result.taken.items()
        }
        patterns = {pattern: names for pattern, names in globbed.items() if "*" in pattern}
        folder.place(staged, f"imported from {source.name}", patterns)
    used = {*result.taken.values(), *result.present.values(), *result.refused}
    everything = (path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file())
    result.left = [name for name in everything if name not in used]
    if not used:
        raise InputError("expected files in the owners' or XTREME's layout, recognised none; see docs/data.md", source)
    return result


@dataclass(frozen=True)
class _Import:
    """One import: where files come from, where they go, and what has been decided of them."""

    source: Path
    data: Path
    by_path: Mapping[str, Wanted]
    lock: Lock
    result: Imported = field(default_factory=Imported)

    def take(self, candidate: Candidate) -> list[str]:
        """The targets of a candidate's files that are in the folder or will be; with them comes what is read beside."""
        kept = []
        kind = candidate.format or ""
        there = visible(self.source, candidate.source) if "*" in candidate.source else [self.source / candidate.source]
        for path in there:
            if path.is_file():
                name = path.relative_to(self.source).as_posix()
                target = place_of(candidate.target, name)
                if self._decide(candidate, target, name):
                    kept.append(target)
                    for other, place in zip(beside(target, kind), beside(name, kind), strict=True):
                        if (self.source / place).is_file():
                            self._decide(candidate, other, place)
        return kept

    def _decide(self, candidate: Candidate, target: str, name: str) -> bool:
        """Judge one file; whether it is now in the folder or will be."""
        result = self.result
        if target in result.taken or target in result.present:
            return True
        if name in result.taken.values() or name in result.present.values():  # it has its place already
            return False
        why = self._wrong(candidate, target, name)
        if why is None and (self.data / target).exists():
            if sha256_file(self.data / target) == sha256_file(self.source / name):
                result.present[target] = name
                return True
            why = f"another file is at {target} already; delete that one to take this one"
        if why is not None:
            result.refused[name] = why
            return False
        result.refused.pop(name, None)
        result.taken[target] = name
        return True

    def _wrong(self, candidate: Candidate, target: str, name: str) -> str | None:
        """Why a file is not what it should be; None: nothing speaks against it."""
        path, one = self.source / name, self.by_path.get(target)
        if one is not None and (wrong := not_published(path, one, self.lock)):
            return f"not the published file: expected {wrong}"
        if candidate.format is None or place_of(candidate.target, name) != target:  # read beside another file
            return None
        try:
            read(Located(name, candidate.format, (path,), candidate.on_error), candidate.language, candidate.labels)
        except InputError as error:
            return str(InputError(error.message, name, error.line))
        return None


def _stage(source: Path, target: Path, link: bool) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        if link:
            with contextlib.suppress(OSError):  # another file system
                os.link(source, target)
                return target
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"cannot copy: {error.strerror}", source) from None
    return target
