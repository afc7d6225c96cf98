"""What stands behind a score: the files, the machine, the code and the training of each run, read from its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from xlt.config.benchmark import parse
from xlt.config.run_config import read_config
from xlt.files import digest, read_json
from xlt.layout import CONFIG, PROVENANCE, SCORES, TRAINED
from xlt.results.run_folders import Loose, PlannedRun, Provenance


class Files(Loose):
    """Files of one split with their SHA-256."""

    sha256: dict[str, str] = Field(default={})


class StageSettings(Loose):
    """One training of a run: its files."""

    recipe: dict[str, Any]
    train: Files = Files()
    dev: Files | None = None


class Evaluated(Loose):
    """One task a run is evaluated on: its files by language."""

    task: dict[str, Any]
    files: dict[str, Files] = Field(default={})
    tuning_files: dict[str, Files] = Field(default={})


class Upstream(Loose):
    """A run whose weights this one goes on from."""

    folder: str


class Settings(Loose):
    """The part of a run's config that says what the run was made from."""

    regime: dict[str, Any]
    stages: list[StageSettings] = Field(default=[])
    evaluations: list[Evaluated] = Field(default=[])
    upstream: list[Upstream] = Field(default=[])
    weights_of: str | None = None
    encoder_from: str | None = None
    language_adapters: dict[str, str] = Field(default={})

    @property
    def made_from(self) -> list[str]:
        """The folders whose results the run starts from."""
        others = [self.weights_of, self.encoder_from]
        return [*(up.folder for up in self.upstream), *(o for o in others if o), *self.language_adapters.values()]


class Curve(Loose):
    """One training in ``trained.json``: the mean loss and the development score (percent) of each epoch."""

    losses: list[float] = Field(default=[])
    dev_scores: list[float] = Field(default=[])
    best_epoch: int | None = None
    """Counted from 0."""
    examples: int | None = None
    steps: int | None = None
    seconds: float | None = None


class Trained(Loose):
    """``trained.json``."""

    stages: dict[str, Curve] = Field(default={})


class Made(Provenance):
    """``provenance.json`` with what tables do not show: code, lock files, versions, machine."""

    code_hash: str | None = None
    locks: dict[str, str] = Field(default={})
    python: str | None = None
    versions: dict[str, str | None] = Field(default={})
    platform: str | None = None
    threads: str | int | None = None
    weights_sha256: str | None = None

    def environment(self) -> list[tuple[str, str]]:
        """What may be the same in many runs, as (label, text)."""
        commit = self.git_commit or "not recorded"
        state = {True: " with local changes", False: "", None: ""}[self.git_dirty]
        rows = [("Commit", commit + state), ("Code", self.code_hash or "not recorded")]
        rows += [(name, f"SHA-256 {value}") for name, value in self.locks.items()] or [("Lock file", "not recorded")]
        rows += [("Python", self.python or "not recorded")]
        rows += [(name, version or "not installed") for name, version in self.versions.items()]
        rows += [("Platform", self.platform or "not recorded"), ("Device", self.device or "not recorded")]
        rows += [("Threads", "not set" if self.threads is None else str(self.threads))]
        return [*rows, ("Encoder from", self.encoder or "not recorded")]


@dataclass
class Register:
    """Equal contents get one label (``E1``, ``E2`` ...), in the order of their first use, and are shown once."""

    letter: str
    entries: dict[str, tuple[str, list[tuple[str, str]]]] = field(default_factory=dict)

    def label(self, rows: list[tuple[str, str]]) -> str:
        """The label of (name, text) rows."""
        key = digest(rows)
        return self.entries.setdefault(key, (f"{self.letter}{len(self.entries) + 1}", rows))[0]

    def listed(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Every label with its rows."""
        return list(self.entries.values())


@dataclass(frozen=True)
class RunEvidence:
    """One run folder. ``made`` is None when the run has not finished, ``settings`` when it is not even planned on disk."""

    planned: PlannedRun
    settings: Settings | None
    made: Made | None
    curves: dict[str, Curve]

    @property
    def trained_on(self) -> list[tuple[str, str]]:
        """(path, SHA-256) of the files it was trained and tuned on."""
        stages = [] if self.settings is None else self.settings.stages
        return [pair for s in stages for part in (s.train, s.dev) if part is not None for pair in part.sha256.items()]

    def evaluated_on(self, task: str) -> list[tuple[str, str]]:
        """(path, SHA-256) of the files of a task, of all its languages."""
        chosen = [] if self.settings is None else [e for e in self.settings.evaluations if e.task.get("name") == task]
        parts = [files for e in chosen for files in (*e.files.values(), *e.tuning_files.values())]
        return list(dict.fromkeys(pair for files in parts for pair in files.sha256.items()))


def read_evidence(root: Path, planned: PlannedRun) -> RunEvidence:
    """Read what a run left besides its scores.

    Raises:
        InputError: a file is damaged.
    """
    folder = root / planned.dir
    made = folder / PROVENANCE
    curves = folder / TRAINED
    return RunEvidence(
        planned,
        read_config(Settings, folder) if (folder / CONFIG).exists() else None,
        parse(Made, read_json(made), made) if made.exists() and (folder / SCORES).exists() else None,
        parse(Trained, read_json(curves), curves).stages if curves.exists() else {},
    )


@dataclass
class Anchors:
    """Names for places on the page: short, safe in HTML and different from each other."""

    taken: set[str] = field(default_factory=set)

    def new(self, *words: str) -> str:
        """``cell-full-xnli`` for those words; a number is added to a name that is taken."""
        stem = "-".join(filter(None, (re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words))) or "part"
        name, number = stem, 2
        while name in self.taken:
            name, number = f"{stem}-{number}", number + 1
        self.taken.add(name)
        return name


def shortened(value: str | None, length: int = 12) -> str:
    """The beginning of a hash."""
    return "not recorded" if value is None else value[:length]


def listed(values: Iterable[object]) -> str:
    """Values separated by commas."""
    return ", ".join(str(value) for value in values)
