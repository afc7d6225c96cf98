"""The manifests of ``configs/data``: for each file of the data folder who publishes it, where, and what it must be.

A manifest never holds a size, a hash or a revision that was not read at its owner's or in a copy of the owner's commit.
What is unknown is left out; the first download records it in the lock (``xlt.data.download.lockfile``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from xlt.config.benchmark import Strict, load_all
from xlt.data.sources import expand
from xlt.errors import InputError

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Convert = Literal[
    "squad",
    "tydiqa",
    "tydiqa-all",
    "xnli",
    "xnli-pairs",
    "nli",
    "anli",
    "pawsx",
    "pawsx-pairs",
    "qqp",
    "wikiann",
    "siqa",
    "hellaswag",
    "cosmosqa",
    "commonsenseqa",
    "jsonl",
]


class Known(Strict):
    """What is known of a file's bytes."""

    size: int | None = Field(default=None, ge=0)
    sha256: Sha256 | None = None


class Location(Strict):
    """One place a file comes from: an address (``url``) or a file of a hub dataset (``hub`` with ``path``).

    ``member`` picks the file (or, with ``*``, files) out of an archive; ``convert`` names what turns parquet into the
    owner's layout. ``size`` and ``sha256`` are those of what is downloaded: the archive or the parquet file.
    """

    url: str | None = None
    hub: str | None = None
    revision: Revision | None = None
    path: str | None = None
    member: str | None = None
    convert: Convert | None = None
    size: int | None = Field(default=None, ge=0)
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Location:
        if (self.url is None) == (self.hub is None):
            raise ValueError("expected one of url and hub")
        if (self.hub is None) != (self.path is None):
            raise ValueError("expected path, a file of the repository, with hub and only there")
        if self.url is not None and self.revision is not None:
            raise ValueError("revision: expected with hub only")
        if self.member is not None and self.convert is not None:
            raise ValueError("expected one of member and convert")
        return self


class Entry(Strict):
    """Files of one split: a path pattern below the data folder, filled in for each of ``languages``, and its origins.

    The placeholders are those of ``xlt.data.sources.expand``. ``question_languages`` fills ``{question_lang}``.
    """

    path: str
    split: Literal["train", "dev", "test", "all"]
    languages: list[str] = Field(min_length=1)
    question_languages: list[str] | None = None
    sources: list[Location] = Field(default_factory=list)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path:
            raise ValueError(f"expected a path below the data folder, got {path!r}")
        return path


class Manifest(Strict):
    """A data set: its licence, whom to cite, and its files.

    ``by_hand`` is the one line about what only the user can provide.
    """

    name: str
    title: str
    licence: str
    citation: str
    by_hand: str | None = None
    files: list[Entry] = Field(default_factory=list)
    known: dict[str, Known] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        if self.by_hand is None and any(not entry.sources for entry in self.files):
            raise ValueError("files: expected sources for each file, or by_hand, which says what the user must do")
        return self


@dataclass(frozen=True)
class Download:
    """One thing to download: ``key`` names it in the lock and in messages, ``known`` is what its bytes must be."""

    key: str
    url: str | None
    hub: str | None
    revision: str | None
    path: str | None
    known: Known


@dataclass(frozen=True)
class Step:
    """One way to a file: a download and what is done with it (``member`` of an archive, ``convert``, or neither)."""

    download: Download
    member: str | None
    convert: str | None


@dataclass(frozen=True)
class Wanted:
    """One file (with ``*`` in ``path``: the files of one pattern) of the data folder, and the ways to it in order."""

    manifest: str
    path: str
    split: str
    languages: tuple[str, ...]
    steps: tuple[Step, ...]
    known: Known

    @property
    def language(self) -> str:
        """The language of the file; of a file with several, the first."""
        return self.languages[0]


def load_manifests(folder: Path) -> dict[str, Manifest]:
    """Every manifest of ``folder``, by name.

    Raises:
        InputError: there is none, or a key is unknown, missing or of the wrong type (with file and line).
    """
    found = load_all(Manifest, folder)
    if not found:
        raise InputError("expected manifests (*.yaml), got none", folder)
    return found


def wanted(manifest: Manifest) -> list[Wanted]:
    """The files of a manifest with every pattern filled in; a file that holds several languages appears once.

    Raises:
        InputError: ``known`` names a path that no pattern gives.
    """
    files: dict[str, Wanted] = {}
    for entry in manifest.files:
        for language, question in _fillings(entry):
            one = _filled(manifest, entry, language, question)
            before = files.get(one.path)
            languages = (*before.languages, *one.languages) if before else one.languages
            files[one.path] = Wanted(
                one.manifest, one.path, one.split, tuple(dict.fromkeys(languages)), one.steps, one.known
            )
    if strangers := [path for path in manifest.known if path not in files]:
        raise InputError(f"manifest {manifest.name}: known: no file has the path {strangers[0]}")
    return list(files.values())


def _fillings(entry: Entry) -> Iterator[tuple[str, str]]:
    for language in entry.languages:
        for question in entry.question_languages or [language]:
            yield language, question


def _filled(manifest: Manifest, entry: Entry, language: str, question: str) -> Wanted:
    # ``{split}`` is not among an entry's placeholders: owners name their splits each in their own way.
    def fill(pattern: str) -> str:
        return expand(pattern, language=language, split=entry.split, question_language=question)

    path = fill(entry.path)
    steps = []
    for origin in entry.sources:
        known = Known(size=origin.size, sha256=origin.sha256)
        if origin.member is None and origin.convert is None and path in manifest.known:
            known = manifest.known[path]
        member = None if origin.member is None else fill(origin.member)
        steps.append(Step(_download(origin, fill, known), member, origin.convert))
    return Wanted(manifest.name, path, entry.split, (language,), tuple(steps), manifest.known.get(path, Known()))


def _download(origin: Location, fill: Callable[[str], str], known: Known) -> Download:
    if origin.url is not None:
        url = fill(origin.url)
        return Download(url, url, None, None, None, known)
    path = fill(str(origin.path))
    key = f"hub:{origin.hub}@{origin.revision or 'main'}/{path}"
    return Download(key, None, origin.hub, origin.revision, path, known)


def matcher(pattern: str) -> re.Pattern[str]:
    """A path pattern with ``*`` (anything but a slash) as a regular expression for whole paths."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))
