"""A run: one regime trained on one recipe with one seed, and the tasks it is evaluated on.

The planner writes a run's ``config.yaml``; training, prediction and scoring read it. Everything that a result depends on
is in it (settings, the files with their hashes, the run it goes on from), except where the data folder lies.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from xlt.artifacts import write_atomic
from xlt.config import Caps, Model, Recipe, Regime, Strict, Task, load_yaml, parse


class FileSet(Strict):
    """The files of one split in one language, as paths below the data folder, and how to read them.

    ``sha256`` has every file that reading touches (the English side of Tatoeba, say), ``files`` those a reader is given.
    """

    format: str
    files: list[str]
    sha256: dict[str, str]
    skip: int = 0
    take: int | None = None


class Stage(Strict):
    """One training of a run: a recipe with every value resolved, its files, and the caps that apply."""

    recipe: Recipe
    learning_rate: float
    caps: Caps
    train: FileSet
    dev: FileSet | None


class Evaluation(Strict):
    """One task a run is evaluated on: which split of which languages, and the languages without files."""

    task: Task
    split: str
    caps: Caps
    files: dict[str, FileSet]
    tuning_files: dict[str, FileSet]
    no_data: list[str]


class Named(Strict):
    """A name and the title shown for it."""

    name: str
    title: str


class ProfileSummary(Strict):
    """What a table says about the profile of its runs."""

    name: str
    title: str
    benchmark: str
    splits: dict[str, str]
    split_notes: dict[str, str]
    caps: dict[str, Caps]


class RunConfig(Strict):
    """Everything a run's result depends on."""

    regime: Regime
    recipe: Named
    seed: int
    model: Model
    profile: ProfileSummary
    upstream: str | None
    stages: list[Stage]
    tasks: list[str]
    languages: dict[str, list[str]]
    evaluations: list[Evaluation]


def run_dir(regime: str, recipe: str, seed: int) -> str:
    """Where a run lies below the folder of its profile and model."""
    return f"runs/{regime}/{recipe}/seed-{seed}"


def write_run(config: RunConfig, path: Path) -> bool:
    """Write ``config.yaml`` if its content changes, so that make re-runs exactly what depends on it."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_atomic(path, text)
    return True


def read_run(folder: Path) -> RunConfig:
    """Read the ``config.yaml`` of a run folder."""
    path = folder / "config.yaml"
    return parse(RunConfig, load_yaml(path), path)
