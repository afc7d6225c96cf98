"""What runs a profile and model need: each with every setting resolved, its files and their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt.artifacts import read_json, sha256_file, to_json, write_atomic
from xlt.config import Caps, Model, Profile, Recipe, Source, Strict, Task
from xlt.data.sources import locate
from xlt.errors import InputError
from xlt.regimes import Regime, learning_rate_key
from xlt.runs import Evaluation, FileSet, Mixture, Named, ProfileSummary, RunConfig, Stage, Upstream, run_dir

RETRIEVAL_WITHOUT_TRAINING = ("tatoeba", "bucc")
"""Families that an encoder without a trained head can be evaluated on."""


class Digests:
    """SHA-256 of data files, computed again only when a file's size or time changes."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.known: dict[str, list[object]] = read_json(store) if store.exists() else {}
        self.changed = False

    def __call__(self, path: Path) -> str:
        """The hash of one file."""
        status = path.stat()
        key, sign = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        entry = self.known.get(key)
        if entry is None or entry[:2] != sign:
            entry = [*sign, sha256_file(path)]
            self.known[key] = entry
            self.changed = True
        return str(entry[2])

    def save(self) -> None:
        """Keep what was computed for the next plan."""
        if self.changed:
            write_atomic(self.store, to_json(self.known))


@dataclass(frozen=True)
class Job:
    """Something other than a run that runs are made from: its config, the script that does it, and the file it ends with."""

    config: Strict
    script: str
    result: str
    needs: tuple[str, ...] = ()


@dataclass
class Planner:
    """What every run of this plan shares; ``runs`` and ``jobs`` by folder below the root."""

    profile: Profile
    model: Model
    data: Path
    seeds: list[int]
    tasks: dict[str, Task]
    recipes: dict[str, Recipe]
    regimes: dict[str, Regime]
    digests: Digests
    world: list[str] | None
    extra: dict[str, set[str]] = field(default_factory=dict)
    """Tasks that tables ask for beyond the benchmark's own, by regime."""
    runs: dict[str, RunConfig] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def sources(self, name: str, split: str, own: Mapping[Any, list[Source]]) -> list[Source]:
        """Where a split may lie: the profile's own list, or the task's or recipe's."""
        override: Mapping[Any, list[Source]] = self.profile.sources.get(name, {})
        return list(override.get(split, own.get(split, [])))

    def find(self, sources: Sequence[Source], language: str, split: str) -> FileSet | None:
        """The files of one split in one language, or None when there are none."""
        for source in sources:
            if source.languages is not None and language not in source.languages:
                continue
            located = locate(self.data, [source], language=language, split=split)
            if located is not None:
                return FileSet(
                    format=located.format,
                    files=[path.relative_to(self.data).as_posix() for path in located.files],
                    sha256={p.relative_to(self.data).as_posix(): self.digests(p) for p in located.inputs},
                    skip=source.skip,
                    take=source.take,
                )
        return None

    def languages(self, task: Task) -> list[str]:
        """The languages a task is evaluated on: the official list, or the generated world's.

        A task that the profile's benchmark does not have (PAWS-X, BUCC) is taken from the benchmark that has it.
        """
        official = task.languages.get(self.profile.benchmark) or next(iter(task.languages.values()), [])
        if self.world is None or not official:
            return official
        return [code for code in self.world if code != "en" or "en" in official]

    def evaluation(self, task: Task) -> Evaluation:
        """One task with its files in every language that has some."""
        if task.name not in self._evaluations:
            self._evaluations[task.name] = self._evaluation(task)
        return self._evaluations[task.name]

    def _evaluation(self, task: Task) -> Evaluation:
        split = self.profile.splits.get(task.name, "test")
        sources = self.sources(task.name, split, task.sources)
        found = {code: self.find(sources, code, split) for code in self.languages(task)}
        if self.world is not None:  # a generated world has no official list; what it wrote is what there is
            found = {code: files for code, files in found.items() if files is not None}
        tuning: dict[str, FileSet | None] = {}
        if task.family == "bucc" and split == "test":  # the threshold is tuned on the training split
            dev = self.sources(task.name, "dev", task.sources)
            tuning = {code: self.find(dev, code, "dev") for code in found}
        return Evaluation(
            task=task,
            split=split,
            caps=self.profile.cap(task.name),
            files={code: files for code, files in found.items() if files is not None},
            tuning_files={code: files for code, files in tuning.items() if files is not None},
            no_data=[code for code, files in found.items() if files is None],
        )

    def stage(self, recipe: Recipe, regime: Regime) -> Stage | None:
        """One training with every value resolved, or None when its training files are absent."""
        train = self.find(self.sources(recipe.name, "train", recipe.sources), recipe.language, "train")
        if train is None:
            return None
        dev = self.find(self.sources(recipe.name, "dev", recipe.sources), recipe.language, "dev")
        key = learning_rate_key(regime.tuning)
        rates = {**recipe.learning_rate, **(self.model.learning_rate or {})}
        if key not in rates:
            raise InputError(
                f"recipe {recipe.name}: no learning_rate for {key}; add one to configs/recipes/{recipe.name}.yaml"
            )
        resolved = recipe.model_copy(
            update={
                "epochs": self.profile.epochs.get(recipe.name, self.profile.epochs.get("default", recipe.epochs)),
                "batch_size": self.model.batch_size or recipe.batch_size,
            }
        )
        return Stage(
            recipe=resolved, learning_rate=rates[key], caps=self.profile.cap(recipe.name), train=train, dev=dev
        )

    def chain(self, recipe: Recipe) -> list[Recipe]:
        """A recipe and those that must be trained before it, in order."""
        before = [] if recipe.after is None else self.chain(self.recipe(recipe.after, f"recipe {recipe.name}: after"))
        return [*before, recipe]

    def recipe(self, name: str, where: str) -> Recipe:
        """The recipe of that name; ``where`` says what asks for it."""
        if name not in self.recipes:
            raise InputError(f"{where}: expected one of {', '.join(self.recipes)}, got {name}")
        return self.recipes[name]

    def twin(self, regime: Regime) -> Regime:
        """The planned regime with the same axes, so that a run which serves several regimes has one folder."""
        return next((other for other in self.regimes.values() if other.axes() == regime.axes()), regime)

    def upstream(self, regime: Regime, recipe: str, seed: int) -> list[Upstream] | None:
        """The runs whose weights a regime goes on from, or None when one of them has no training files."""
        before = regime.intermediate
        if before is None:
            return []
        for name in before.recipes:
            self.recipe(name, f"regime {regime.name}: intermediate.recipes")
        if before.transfer != "fuse" and (len(before.recipes) > 1 or before.masked_text is not None):
            folder = self.add_mixture(regime, seed)
            return None if folder is None else [Upstream(recipe="several", folder=folder)]
        plain = self.twin(regime.plain())
        if plain.name == regime.name:  # no planned regime is its plain twin
            plain = plain.model_copy(update={"name": f"{regime.name}-plain"})
        wanted = [*before.recipes, recipe] if before.transfer == "fuse" else before.recipes
        folders = {name: self.add(plain, name, seed) for name in dict.fromkeys(wanted)}
        found = [Upstream(recipe=name, folder=folder) for name, folder in folders.items() if folder is not None]
        return found if len(found) == len(folders) else None

    def add_mixture(self, regime: Regime, seed: int) -> str | None:
        """Plan the run that trains several intermediate recipes together, or one mixed with masked text."""
        before = regime.intermediate
        assert before is not None
        same = [other for other in self.regimes.values() if other.intermediate == before]
        owner = next((other for other in same if other.plain().axes() == regime.plain().axes()), regime)
        folder = run_dir(owner.name, "intermediate", seed)
        if folder not in self.runs:
            stages = [self.stage(self.recipes[name], regime) for name in before.recipes]
            text = {} if before.masked_text is None else self.raw_text()
            if None in stages or (before.masked_text is not None and not text):
                return None
            self.runs[folder] = self.run_config(
                regime.plain(),
                Named(name="intermediate", title=" + ".join(self.recipes[name].title for name in before.recipes)),
                seed,
                stages=[stage for stage in stages if stage is not None],
                mixture=Mixture(temperature=before.temperature, masked_text=before.masked_text, text=text),
            )
        return folder

    def raw_text(self) -> dict[str, FileSet]:
        """The raw text files of the data folder by language (docs/data-layout.md)."""
        return {}

    def add(self, regime: Regime, recipe: str, seed: int) -> str | None:
        """Plan one run (once) and return its folder, or None when training files of it or its upstream are absent.

        The run is evaluated on every task of the recipe that this plan wants of the regime.
        """
        folder = run_dir(regime.name, recipe, seed)
        if folder in self.runs:
            return folder
        if regime.smoothing is not None:
            return self.add_evaluation(regime, self.twin(regime.model_copy(update={"smoothing": None})), recipe, seed)
        stages = [self.stage(each, regime) for each in self.chain(self.recipes[recipe])] if recipe != "none" else []
        upstream = self.upstream(regime, recipe, seed)
        if None in stages or upstream is None:
            return None
        self.runs[folder] = self.run_config(
            regime,
            Named(name=recipe, title=self.recipes[recipe].title if recipe != "none" else "no training"),
            seed,
            upstream=upstream,
            stages=[stage for stage in stages if stage is not None],
            tasks=[task for task in self.wanted(regime, recipe) if not task.separate],
        )
        for task in self.wanted(regime, recipe):
            if task.separate:
                self.add_evaluation(regime, regime, recipe, seed, task)
        return folder

    def add_evaluation(
        self, regime: Regime, trained: Regime, recipe: str, seed: int, task: Task | None = None
    ) -> str | None:
        """Plan a run that evaluates the weights of another one: on one more task, or with smoothed prediction."""
        source = self.add(trained, recipe, seed)
        if source is None:
            return None
        folder = run_dir(regime.name, recipe if task is None else task.name, seed)
        tasks = [task] if task is not None else [t for t in self.wanted(regime, recipe) if not t.separate]
        source_run = self.runs[source]
        self.runs[folder] = self.run_config(
            regime,
            source_run.recipe,
            seed,
            stages=source_run.stages,
            upstream=source_run.upstream,
            weights_of=source,
            tasks=tasks,
        )
        return folder

    def run_config(
        self,
        regime: Regime,
        recipe: Named,
        seed: int,
        *,
        stages: list[Stage],
        upstream: list[Upstream] | None = None,
        weights_of: str | None = None,
        mixture: Mixture | None = None,
        tasks: Iterable[Task] = (),
    ) -> RunConfig:
        """A run with every value resolved; a task without any file is left out."""
        evaluations = [evaluation for evaluation in map(self.evaluation, tasks) if evaluation.files]
        return RunConfig(
            regime=regime,
            recipe=recipe,
            seed=seed,
            model=self.model,
            profile=self.summary({e.task.name for e in evaluations} | {stage.recipe.name for stage in stages}),
            upstream=upstream or [],
            weights_of=weights_of,
            mixture=mixture,
            stages=stages,
            tasks=[evaluation.task.name for evaluation in evaluations],
            languages={e.task.name: [*e.files, *e.no_data] for e in evaluations},
            evaluations=evaluations,
        )

    def wanted(self, regime: Regime, recipe: str) -> list[Task]:
        """The tasks a run is evaluated on: those of its recipe in the benchmark, and those a table asks for."""
        if regime.name not in self.regimes:  # only there for its weights
            return []
        extra = self.extra.get(regime.name, set())
        tasks = [task for task in self.tasks.values() if self.in_benchmark(task) or task.name in extra]
        if regime.tuning.kind == "frozen":
            return [task for task in tasks if task.family in RETRIEVAL_WITHOUT_TRAINING]
        return [task for task in tasks if task.recipe == recipe]

    def in_benchmark(self, task: Task) -> bool:
        """Whether a task belongs to the profile's benchmark and is evaluated in every run of its recipe."""
        return bool(task.languages.get(self.profile.benchmark)) and not task.separate

    def summary(self, used: set[str]) -> ProfileSummary:
        """What tables say about the profile, for the tasks and recipes that a run uses.

        Nothing else, so that a change elsewhere in the profile does not make the run due.
        """
        profile = self.profile
        splits: dict[str, str] = {name: profile.splits.get(name, "test") for name in self.tasks if name in used}
        caps = {name: profile.cap(name) for name in sorted(used) if profile.cap(name) != Caps()}
        return ProfileSummary(
            name=profile.name,
            title=profile.title,
            benchmark=profile.benchmark,
            splits=splits,
            split_notes={name: note for name, note in profile.split_notes.items() if name in used},
            caps=caps,
        )

    def plan_regime(self, regime: Regime) -> list[str]:
        """All runs of a regime for every seed; a task without any file, or without training files, has none."""
        folders: list[str] = []
        frozen = regime.tuning.kind == "frozen"
        recipes = ["none"] if frozen else sorted({task.recipe for task in self.tasks.values()})
        for seed in self.seeds[:1] if frozen else self.seeds:  # nothing random happens without training
            for recipe in recipes:
                if any(self.evaluation(task).files for task in self.wanted(regime, recipe)):
                    folder = self.add(regime, recipe, seed)
                    folders += [] if folder is None else [folder]
            extra = [task for task in self.wanted_separately(regime) if run_dir(regime.name, task, seed) in self.runs]
            folders += [run_dir(regime.name, task, seed) for task in extra]
        return folders

    def wanted_separately(self, regime: Regime) -> list[str]:
        """The tasks that tables ask of a regime and that have a run of their own."""
        return [
            task.name for task in self.tasks.values() if task.separate and task.name in self.extra.get(regime.name, ())
        ]
