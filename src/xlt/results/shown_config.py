"""The part of a run's resolved ``config.json`` that tables and the report show."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from xlt.config.benchmark import Checkpoint, DualEncoder
from xlt.results.run_provenance import Loose


class RunProfile(Loose):
    """The profile inside a run's ``config.json``."""

    name: str
    title: str
    splits: dict[str, str] = Field(default={})
    split_notes: dict[str, str] = Field(default={})
    caps: dict[str, dict[str, int | None]] = Field(default={})
    dual_encoder: DualEncoder | None = None

    def cap(self, name: str, part: str) -> int | None:
        """The cap on ``part`` (train, dev, or test: what is scored) of a task or recipe; None when there is none."""
        return self.caps.get(name, self.caps.get("default", {})).get(part)


class RunModel(Loose):
    """The model inside a run's ``config.json``."""

    name: str
    title: str
    pooling: str | None = None
    retrieval_prefix: str | None = None
    retrieval_layer: int | None = None


class RunRecipe(Loose):
    """The recipe of one stage of a run."""

    name: str
    training_set: str | None = None
    checkpoint: Checkpoint | None = None
    epochs: int | None = None
    batch_size: int | None = None


class SplitFiles(Loose):
    """Files of one split with their SHA-256."""

    sha256: dict[str, str] = Field(default={})


class RunStage(Loose):
    """One training of a run; a run on Social IQa and then COPA has two."""

    recipe: RunRecipe
    learning_rate: float | None = None
    train: SplitFiles = SplitFiles()
    dev: SplitFiles | None = None


class RunTask(Loose):
    """A task as a run is evaluated on it."""

    name: str
    normalization: str | None = None


class RunEvaluation(Loose):
    """One evaluation of a run, with its files by language."""

    task: RunTask
    files: dict[str, SplitFiles] = Field(default={})
    tuning_files: dict[str, SplitFiles] = Field(default={})


class UpstreamRun(Loose):
    """A run whose weights this one goes on from."""

    folder: str


class ShownConfig(Loose):
    """The part of a run's resolved ``config.json`` that tables and the report show."""

    regime: dict[str, Any]
    model: RunModel
    profile: RunProfile
    seed: int
    stages: list[RunStage] = Field(default=[])
    evaluations: list[RunEvaluation] = Field(default=[])
    languages: dict[str, list[str]]
    upstream: list[UpstreamRun] = Field(default=[])
    weights_of: str | None = None
    encoder_from: str | None = None
    language_adapters: dict[str, str] = Field(default={})

    @property
    def made_from(self) -> list[str]:
        """The folders whose results the run starts from."""
        others = [self.weights_of, self.encoder_from]
        return [*(up.folder for up in self.upstream), *(o for o in others if o), *self.language_adapters.values()]

    @property
    def trained_on(self) -> list[tuple[str, str]]:
        """(path, SHA-256) of the files it is trained and tuned on."""
        parts = [part for stage in self.stages for part in (stage.train, stage.dev) if part is not None]
        return [pair for part in parts for pair in part.sha256.items()]

    def evaluated_on(self, task: str) -> list[tuple[str, str]]:
        """(path, SHA-256) of the files of a task, of all its languages."""
        chosen = [each for each in self.evaluations if each.task.name == task]
        parts = [files for e in chosen for files in (*e.files.values(), *e.tuning_files.values())]
        return list(dict.fromkeys(pair for part in parts for pair in part.sha256.items()))
