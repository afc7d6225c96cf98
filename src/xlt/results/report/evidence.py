"""What stands behind a score: the files, the machine, the code and the training of each run, read from its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from xlt.config.benchmark import parse
from xlt.config.run_config import FileSet
from xlt.files import digest, read_json
from xlt.layout import TRAINED
from xlt.results.run_folders import Loose, Run


class Curve(Loose):
    """One training in ``trained.json``: the mean loss and the development score (percent) of each epoch."""

    losses: list[float] = Field(default=[])
    dev_scores: list[float] = Field(default=[])
    best_epoch: int | None = None
    """Counted from 0."""
    examples: int | None = None
    steps: int | None = None
    seconds: float | None = None


class TrainingRecord(Loose):
    """``trained.json``."""

    stages: dict[str, Curve] = Field(default={})


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
    """A run with the curves of its trainings by recipe, whether it has finished or not."""

    run: Run
    curves: dict[str, Curve]


def read_evidence(root: Path, run: Run) -> RunEvidence:
    """Read what a run left besides its scores.

    Raises:
        InputError: a file is damaged.
    """
    path = root / run.planned.dir / TRAINED
    return RunEvidence(run, parse(TrainingRecord, read_json(path), path).stages if path.exists() else {})


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


def hashes(files: Iterable[FileSet | None]) -> list[tuple[str, str]]:
    """(path, SHA-256) of all files of some splits, each once."""
    return list(dict.fromkeys(pair for own in files if own is not None for pair in own.sha256.items()))


def listed(values: Iterable[object]) -> str:
    """Values separated by commas."""
    return ", ".join(str(value) for value in values)
