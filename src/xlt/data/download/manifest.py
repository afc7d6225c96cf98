"""The manifests of ``configs/data``: for each file of the data folder who publishes it, where, and what it must be.

A manifest never holds a size, a hash or a revision that was not read at its owner's or in a copy of the owner's commit.
What is unknown is left out; the first download records it in the lock (``xlt.data.download.lockfile``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from xlt.config.benchmark import Strict, load_all
from xlt.data.dataset import expand
from xlt.data.download.convert import CONVERTERS
from xlt.errors import InputError

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


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
    convert: Literal[tuple(CONVERTERS)] | None = None  # type: ignore[valid-type]
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

    @property
    def key(self) -> str:
        """What is downloaded: its address, or repository, revision and path. Files with the same key come together."""
        return self.url or f"hub:{self.hub}@{self.revision or 'main'}/{self.path}"

    @property
    def label(self) -> str:
        """The key in the lock and in messages: without what may be secret, user, password and query."""
        parts = urlsplit(self.key)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def whole(self) -> bool:
        """Whether the file in the data folder is what is downloaded, byte for byte."""
        return self.member is None and self.convert is None


class Entry(Strict):
    """Files of one split: a path pattern below the data folder, filled in for each of ``languages``, and its origins.

    The placeholders are those of ``xlt.data.dataset.expand``. ``question_languages`` fills ``{question_lang}``.
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
class Wanted:
    """One file (with ``*`` in ``path``: the files of one pattern) of the data folder, and where it comes from, in order."""

    manifest: str
    path: str
    split: str
    languages: tuple[str, ...]
    sources: tuple[Location, ...]
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
        for language in entry.languages:
            for question in entry.question_languages or [language]:
                one = _filled(manifest, entry, language, question)
                before = files.get(one.path)
                both = one.languages if before is None else tuple(dict.fromkeys((*before.languages, language)))
                files[one.path] = replace(one, languages=both)
    if strangers := [path for path in manifest.known if path not in files]:
        raise InputError(f"manifest {manifest.name}: known: no file has the path {strangers[0]}")
    return list(files.values())


def _filled(manifest: Manifest, entry: Entry, language: str, question: str) -> Wanted:
    # ``{split}`` is not among an entry's placeholders: owners name their splits each in their own way.
    fill = partial(expand, language=language, split=entry.split, question_language=question)
    path = fill(entry.path)
    known = manifest.known.get(path)
    sources = []
    for source in entry.sources:
        found = {name: fill(text) for name in ("url", "path", "member") if (text := getattr(source, name)) is not None}
        stated = known.model_dump() if known is not None and source.whole else {}
        sources.append(source.model_copy(update={**found, **stated}))
    return Wanted(manifest.name, path, entry.split, (language,), tuple(sources), known or Known())


def matcher(pattern: str) -> re.Pattern[str]:
    """A path pattern with ``*`` (anything but a slash) as a regular expression for whole paths."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))
