"""The run folders of one profile and model, read and checked: the plan, the scores and the cost of every run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xlt.config.benchmark import parse
from xlt.config.run_config import ProfileSummary, RunConfig, read_run
from xlt.errors import InputError
from xlt.files import read_json, sha256_file
from xlt.layout import CONFIG, PLAN, PROVENANCE, SCORES
from xlt.names import one_of


class Loose(BaseModel):
    """A file another stage wrote: the keys used here are checked, the others are its own business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Seconds(Loose):
    """Measured wall time, in seconds; None for a step that was not taken (or not timed)."""

    train: float | None = Field(default=None, ge=0)
    predict: float | None = Field(default=None, ge=0)


class Provenance(Loose):
    """The part of ``provenance.json`` that is shown."""

    trainable_parameters: int = Field(ge=0)
    total_parameters: int = Field(gt=0)
    wall_seconds: Seconds
    peak_memory_bytes: int | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    device: str | None = None
    cpu_kernel: str | None = None
    """The vector instructions that torch's CPU kernels use, e.g. AVX2."""
    encoder: str | None = None
    config_sha256: str | None = None
    """Of the ``config.json`` that the scores are made from."""
    positions: int | None = None
    cut: dict[str, int] = Field(default={})
    """``max_length`` of the recipes and tasks that the encoder has fewer ``positions`` for, by name."""
    language_fallbacks: dict[str, str] = Field(default={})
    """MAD-X: by language without an adapter, what served it: a language, or ``none``."""
    faults: dict[str, list[str]] = Field(default={})
    """By task and "training <recipe>", the bad examples that were repaired or left out: how many of a kind, and the first."""
    left_out: dict[str, int] = Field(default={})
    """By recipe, the training examples that share a sentence with what is scored and were left out."""
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


class PlannedRun(Loose):
    """One entry of a regime's runs in ``plan.json``; ``dir`` is relative to the root."""

    dir: str
    recipe: str
    seed: int
    tasks: list[str]


class PlannedRegime(Loose):
    """A regime as planned: its runs, and the folders of the intermediate runs it starts from."""

    title: str
    runs: list[PlannedRun]
    upstream: list[str] = Field(default=[])


class PlannedTable(Loose):
    """The rows of a table that this plan runs, and those its profile leaves out."""

    regimes: list[str]
    left_out: list[str] = Field(default=[])


class PlannedRecipe(Loose):
    """A recipe as a table names it."""

    title: str
    family: str


class Plan(Loose):
    """``plan.json``: what is expected to exist below the root; ``jobs``: folder -> the file it ends with.

    ``folder``: the checkpoint that ``model`` is the name of, where it is no config.
    """

    profile: str
    model: str
    folder: str | None = None
    seeds: list[int]
    regimes: dict[str, PlannedRegime]
    tables: dict[str, PlannedTable] = Field(default={})
    jobs: dict[str, str] = Field(default={})
    recipes: dict[str, PlannedRecipe] = Field(default={})


class TaskScores(Loose):
    """One task's scores in ``scores.json``: percentages by metric and language, and example counts by language.

    ``no_data`` are the expected languages without a score; those also in ``withheld`` have files without gold labels.
    ``unpaired``: by language pair, how many examples only one of the two languages has. ``unlabelled``: by language, how many
    rows without a true label are not scored (PAWS-X's untranslated ones).
    """

    split: Literal["dev", "test"]
    metrics: dict[str, dict[str, float]]
    n: dict[str, int] = Field(default={})
    no_data: list[str] = Field(default=[])
    withheld: list[str] = Field(default=[])
    unpaired: dict[str, int] = Field(default={})
    unlabelled: dict[str, int] = Field(default={})
    notes: list[str] = Field(default=[])
    """What is to be said of the data it was scored on."""

    @field_validator("metrics")
    @classmethod
    def _percentages(cls, metrics: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for metric, values in metrics.items():
            for language, value in values.items():
                if not (math.isfinite(value) and 0.0 <= value <= 100.0):
                    raise ValueError(
                        f"expected a percentage for {metric}, {language}, got {value}; score the run again"
                    )
        return metrics

    @model_validator(mode="after")
    def _same_languages(self) -> TaskScores:
        sets = {metric: set(values) for metric, values in self.metrics.items()}
        for metric, languages in sets.items():
            if languages != self.languages:
                raise ValueError(f"expected every metric for every language, {metric} differs; score the run again")
        if uncounted := self.languages - set(self.n):
            raise ValueError(f"expected n for every scored language, none for {', '.join(sorted(uncounted))}")
        if both := self.languages & set(self.no_data):
            raise ValueError(f"expected a score or no data, got both for {', '.join(sorted(both))}")
        return self

    @property
    def languages(self) -> set[str]:
        """The languages that have a score."""
        return {language for values in self.metrics.values() for language in values}


class Scores(Loose):
    """``scores.json``."""

    tasks: dict[str, TaskScores]


@dataclass(frozen=True)
class Run:
    """A planned run."""

    planned: PlannedRun
    config: RunConfig


@dataclass(frozen=True)
class FinishedRun(Run):
    """A run with what it left behind."""

    scores: Scores
    provenance: Provenance


def merged_profile(runs: Iterable[Run]) -> ProfileSummary | None:
    """The profile of several runs: each names only the splits, notes and caps of its own tasks and recipes."""
    profiles = [run.config.profile for run in runs]
    if not profiles:
        return None
    parts = ("splits", "split_notes", "caps")
    merged = {part: {k: v for profile in profiles for k, v in getattr(profile, part).items()} for part in parts}
    dual_encoder = next((profile.dual_encoder for profile in profiles if profile.dual_encoder), None)
    return profiles[0].model_copy(update={**merged, "dual_encoder": dual_encoder})


@dataclass(frozen=True)
class RegimeRuns:
    """A regime with its runs; ``upstream`` maps the folder of each finished intermediate run to its provenance."""

    name: str
    title: str
    runs: list[Run]
    upstream: dict[str, Provenance | None] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks its runs are planned for, in the plan's order."""
        return list(dict.fromkeys(task for run in self.runs for task in run.planned.tasks))

    def serving(self, tasks: Iterable[str]) -> RegimeRuns:
        """The regime with only the runs that are evaluated on one of ``tasks``."""
        wanted = set(tasks)
        return replace(self, runs=[run for run in self.runs if wanted & set(run.planned.tasks)])

    @property
    def finished(self) -> list[FinishedRun]:
        """The runs that have scores."""
        return [run for run in self.runs if isinstance(run, FinishedRun)]

    @property
    def config(self) -> RunConfig | None:
        """The config of its first run; None where none is planned."""
        return self.runs[0].config if self.runs else None

    @property
    def method(self) -> str | None:
        """The regime whose published numbers it is held against too, where it is that method with other settings."""
        return None if self.config is None else self.config.regime.method

    @property
    def frozen(self) -> bool:
        """True when nothing is trained (the encoder as released)."""
        return {run.config.regime.tuning.kind for run in self.runs} == {"frozen"}


def seed_of(folder: str) -> int | None:
    """The seed in a run folder's name: ``runs/full/mnli/seed-2`` is 2."""
    found = re.search(r"seed-(\d+)$", folder.rstrip("/"))
    return int(found.group(1)) if found else None


def load_plan(root: Path) -> Plan:
    """Read ``<root>/plan.json``.

    Raises:
        InputError: it is absent or not of the expected form.
    """
    path = root / PLAN
    if not path.exists():
        raise InputError("expected the planner's plan.json; run make plan first", path)
    return parse(Plan, read_json(path), path)


def _provenance(folder: Path) -> Provenance | None:
    path = folder / PROVENANCE
    return parse(Provenance, read_json(path), path) if path.exists() else None


def load_run(root: Path, planned: PlannedRun) -> Run:
    """Read one run folder. A run without ``scores.json`` did not run; one with it must be complete.

    Raises:
        InputError: a file is damaged, ``config.json`` is missing, or ``provenance.json`` beside the scores, the seed is
            another one, the scores are of an earlier ``config.json``, or a planned task or an expected language has
            neither a score nor a place in ``no_data``.
    """
    folder = root / planned.dir
    config_path, scores_path = folder / CONFIG, folder / SCORES
    if not config_path.exists():
        raise InputError("expected the run's config.json; run make plan again", config_path)
    config = read_run(folder)
    if not scores_path.exists():
        return Run(planned, config)
    if config.seed != planned.seed:
        raise InputError(
            f"expected seed {planned.seed} as planned, got {config.seed}; run make plan again", config_path
        )
    scores = parse(Scores, read_json(scores_path), scores_path)
    for task in planned.tasks:
        _check_complete(task, scores, config, scores_path)
    provenance = _provenance(folder)
    if provenance is None:
        raise InputError("expected provenance.json beside scores.json; delete scores.json and run again", folder)
    if provenance.config_sha256 not in (None, sha256_file(config_path)):
        raise InputError("expected scores of this folder's config.json; delete the file and run again", scores_path)
    return FinishedRun(planned, config, scores, provenance)


def _check_complete(task: str, scores: Scores, config: RunConfig, path: Path) -> None:
    if task not in scores.tasks:
        raise InputError(f"expected scores of the planned task {task}; delete the file and run again", path)
    found = scores.tasks[task]
    lost = [code for code in config.languages.get(task, []) if code not in found.languages | set(found.no_data)]
    if lost:
        message = f"{task}: expected a score or an entry in no_data for {', '.join(lost)}; score the run again"
        raise InputError(message, path)


def load_regime(root: Path, plan: Plan, name: str) -> RegimeRuns:
    """Read every run of one regime of the plan.

    Raises:
        InputError: the plan has no such regime, two runs score the same task with the same seed, or a run is damaged.
    """
    if name not in plan.regimes:
        raise InputError(f"regime: {one_of(plan.regimes, name)}", root / PLAN)
    planned = plan.regimes[name]
    pairs = [(task, run.seed) for run in planned.runs for task in run.tasks]
    if doubled := sorted({pair for pair in pairs if pairs.count(pair) > 1}):
        message = f"{name}: expected one run per task and seed, got two for {doubled[0][0]}, seed {doubled[0][1]}"
        raise InputError(message, root / PLAN)
    runs = [load_run(root, run) for run in planned.runs]
    return RegimeRuns(name, planned.title, runs, {folder: _provenance(root / folder) for folder in planned.upstream})
