"""A run: one regime trained on one recipe with one seed, and the tasks it is evaluated on.

The planner writes a run's ``config.yaml``; training, prediction and scoring read it. Everything that a result depends on
is in it (settings, the files with their hashes, the run it goes on from), except where the data folder lies.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from xlt.artifacts import write_atomic
from xlt.config import Caps, Model, Recipe, Strict, Task, load_yaml, parse
from xlt.regimes import MaskedText, Regime

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml where it is built in: a plan writes hundreds of configs."""


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


class Upstream(Strict):
    """A run whose trained weights this one goes on from: its recipe (or ``several``) and its folder below the root."""

    recipe: str
    folder: str


class Mixture(Strict):
    """The stages are trained together, not one after the other; ``text`` are raw text files by language, if any."""

    temperature: float = 1.0
    masked_text: MaskedText | None = None
    text: dict[str, FileSet] = Field(default={})


class RunConfig(Strict):
    """Everything a run's result depends on.

    ``encoder_from``: the lexical run whose encoder takes the place of the prepared one. ``weights_of``: the run whose
    trained weights are evaluated here; nothing is trained then. ``language_adapters``: folders by language. All are
    relative to the root.
    """

    regime: Regime
    recipe: Named
    seed: int
    model: Model
    profile: ProfileSummary
    upstream: list[Upstream] = Field(default=[])
    encoder_from: str | None = None
    weights_of: str | None = None
    language_adapters: dict[str, str] = Field(default={})
    mixture: Mixture | None = None
    stages: list[Stage]
    tasks: list[str]
    languages: dict[str, list[str]]
    evaluations: list[Evaluation]

    def needs(self) -> list[str]:
        """The folders below the root whose results this run reads."""
        others = [up.folder for up in self.upstream]
        others += [folder for folder in (self.encoder_from, self.weights_of) if folder is not None]
        return [*others, *self.language_adapters.values()]


def run_dir(regime: str, recipe: str, seed: int) -> str:
    """Where a run lies below the folder of its profile and model."""
    return f"runs/{regime}/{recipe}/seed-{seed}"


def write_run(config: Strict, path: Path) -> bool:
    """Write ``config.yaml`` if its content changes, so that make re-runs exactly what depends on it."""
    text = yaml.dump(config.model_dump(mode="json"), Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_atomic(path, text)
    return True


def read_run(folder: Path) -> RunConfig:
    """Read the ``config.yaml`` of a run folder."""
    path = folder / "config.yaml"
    return parse(RunConfig, load_yaml(path), path)
