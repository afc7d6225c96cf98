"""A run: one regime trained on one recipe with one seed, and the tasks it is evaluated on.

The planner writes a run's ``config.json``; training, prediction and scoring read it. Everything that a result depends on
is in it (settings, the files with their hashes, the run it goes on from), except where the data folder lies.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from xlt.config.benchmark import Caps, ConfigModel, DualEncoder, Model, OnError, Recipe, Strict, Task, parse
from xlt.config.regimes import MadX, MaskedText, Regime
from xlt.files import read_json, to_json, write_if_changed
from xlt.layout import CONFIG

ENGLISH_SIDE = ("tatoeba", "bucc")
"""Families whose files by language have an English side too."""


class FileSet(Strict):
    """The files of one split in one language, as paths below the data folder, and how to read them.

    ``sha256`` has every file that reading touches (the English side of Tatoeba, say), ``files`` those a reader is given.
    ``apart``: by language, the files with which its records may share no sentence.
    """

    format: str
    files: list[str]
    sha256: dict[str, str]
    skip: int = 0
    take: int | None = None
    apart: dict[str, list[FileSet]] = Field(default={}, exclude_if=lambda value: not value)
    on_error: OnError = Field(default="refuse", exclude_if=lambda value: value == "refuse")


class Augmentation(Strict):
    """Every training example becomes ``copies`` copies; for RS-DA noisy ones, with words from the file ``neighbours``."""

    neighbours: FileSet | None
    copies: int
    seed: int


class Stage(Strict):
    """One training of a run: a recipe with every value resolved, its files, and the caps that apply."""

    recipe: Recipe
    learning_rate: float
    caps: Caps
    train: FileSet
    dev: FileSet | None
    augmentation: Augmentation | None = None


class Evaluation(Strict):
    """One task a run is evaluated on: which split of which languages, and the languages without files.

    ``pairs`` are the language pairs of a pair task; ``files`` then has the files of each language, and those of a pair
    whose owner publishes its own. ``no_data`` are pairs there.
    """

    task: Task
    split: str
    caps: Caps
    files: dict[str, FileSet]
    tuning_files: dict[str, FileSet]
    pairs: list[str] = Field(default=[])
    no_data: list[str]

    @property
    def expected(self) -> list[str]:
        """The languages, or language pairs, that have files, then those that have none."""
        return [*(self.pairs if self.task.pairs else self.files), *self.no_data]


class Named(Strict):
    """A name and the title shown for it."""

    name: str
    title: str


class ProfileSummary(Strict):
    """What a table says about the profile of its runs. ``dual_encoder``: None in runs without a retrieval task or recipe."""

    name: str
    title: str
    benchmark: str
    splits: dict[str, str]
    split_notes: dict[str, str]
    caps: dict[str, Caps]
    dual_encoder: DualEncoder | None = None

    def cap(self, name: str) -> Caps:
        """The caps on a task or recipe."""
        return self.caps.get(name, Caps())


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

    @property
    def head(self) -> Recipe | None:
        """The recipe whose labels the head's outputs stand for; None where nothing is trained."""
        return self.stages[-1].recipe if self.stages else None

    def text_languages(self) -> list[str]:
        """The languages of its training and test data, in order; of a pair ("de-fr") both."""
        trained = [stage.recipe.language for stage in self.stages] or ["en"]
        tested = [code for codes in self.languages.values() for pair in codes for code in pair.split("-")]
        english = ["en"] if any(e.task.family in ENGLISH_SIDE for e in self.evaluations) else []
        return list(dict.fromkeys([*trained, *english, *tested]))

    def fallbacks(self) -> dict[str, str]:
        """By language that has no adapter of its own: what serves it, the source language or ``none``. MAD-X only."""
        tuning = self.regime.tuning
        if not isinstance(tuning, MadX):
            return {}
        served = self.stages[0].recipe.language if tuning.missing == "source" and self.stages else "none"
        return {code: served for code in self.text_languages() if code not in self.language_adapters}

    def longer_than(self, positions: int) -> dict[str, int]:
        """The ``max_length`` of its recipes and tasks that an encoder of so many positions cuts, by name."""
        lengths = {stage.recipe.name: stage.recipe.max_length for stage in self.stages}
        lengths |= {evaluation.task.name: evaluation.task.max_length for evaluation in self.evaluations}
        return {name: length for name, length in lengths.items() if length > positions}

    def needs(self) -> list[str]:
        """The folders below the root whose results this run reads."""
        others = [up.folder for up in self.upstream]
        others += [folder for folder in (self.encoder_from, self.weights_of) if folder is not None]
        return [*others, *self.language_adapters.values()]


class HubAdapter(Strict):
    """A ready-made language adapter on the hub; without a ``revision`` the newest is taken and its commit recorded."""

    hub: str
    revision: str | None = None


class LanguageAdapterSettings(Strict):
    """How the language adapters of a model are trained (configs/language_adapters), and the ready-made ones by language."""

    name: str
    reduction_factor: float = Field(gt=0)
    invertible_reduction_factor: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    max_length: int = Field(ge=8)
    mask: float = Field(default=0.15, gt=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    held_out: float = Field(default=0.05, gt=0, lt=1)
    seed: int = 1
    ready_made: dict[str, HubAdapter] = Field(default={})


class LanguageAdapterConfig(Strict):
    """One language adapter to be made: trained on ``text``, or taken from the hub."""

    language: str
    model: Model
    settings: LanguageAdapterSettings
    text: FileSet | None = None
    ready_made: HubAdapter | None = None


def run_dir(regime: str, recipe: str, seed: int) -> str:
    """Where a run lies below the folder of its profile and model."""
    return f"runs/{regime}/{recipe}/seed-{seed}"


def config_text(config: Strict) -> str:
    """What the config file of a run or job holds."""
    return to_json(config.model_dump(mode="json"))


def write_config(config: Strict, folder: Path) -> bool:
    """Write the config of a run or job if its content changes, so that make re-runs exactly what depends on it."""
    return write_if_changed(folder / CONFIG, config_text(config))


def read_config(kind: type[ConfigModel], folder: Path) -> ConfigModel:
    """Read the config in the folder of a run or job.

    Raises:
        InputError: it is absent, damaged, or not of that kind.
    """
    path = folder / CONFIG
    return parse(kind, read_json(path), path)


def read_run(folder: Path) -> RunConfig:
    """Read the config of a run folder."""
    return read_config(RunConfig, folder)
