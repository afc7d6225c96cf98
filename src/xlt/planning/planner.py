"""What runs a profile and model need: each with every setting resolved, its files and their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt.config.benchmark import DUAL_ENCODERS, RETRIEVAL, Caps, Model, Profile, Recipe, Source, Task
from xlt.config.lexical_injection import LexicalConfig, job_dir
from xlt.config.regimes import SMOOTHED, Copies, Regime, Robustness, Synonyms
from xlt.config.run_config import (
    Augmentation,
    Evaluation,
    FileSet,
    LanguageAdapterSettings,
    Mixture,
    Named,
    ProfileSummary,
    RunConfig,
    Stage,
    Upstream,
    run_dir,
)
from xlt.data.dataset import locate
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.planning.evaluations import apart_too, evaluation_of
from xlt.planning.jobs import Job
from xlt.planning.language_adapter_jobs import raw_text, why_no_adapters, with_language_adapters
from xlt.planning.learning_rates import learning_rate, resolved
from xlt.planning.lexical_jobs import add_lexical
from xlt.planning.mixtures import add_mixture

RETRIEVAL_WITHOUT_TRAINING = ("tatoeba", "bucc")
"""Families that an encoder without a trained head can be evaluated on."""


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
    lexical: dict[str, LexicalConfig] = field(default_factory=dict)
    language_adapters: LanguageAdapterSettings | None = None
    without_runs: dict[str, str] = field(default_factory=dict)
    """Why a regime has no runs, where the data folder does not explain it."""
    extra: dict[str, set[str]] = field(default_factory=dict)
    """Tasks that tables ask for beyond the benchmark's own, by regime."""
    runs: dict[str, RunConfig] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def sources(self, name: str, split: str, own: Mapping[Any, list[Source]]) -> list[Source]:
        """Where a split may lie: the profile's own list, or the task's or recipe's."""
        override: Mapping[Any, list[Source]] = self.profile.sources.get(name, {})
        return list(override.get(split, own.get(split, [])))

    def find(
        self, sources: Sequence[Source], language: str, split: str, question_language: str | None = None
    ) -> FileSet | None:
        """The files of one split in one language (of passages with questions in another), or None without any."""
        for source in sources:
            if source.languages is not None and language not in source.languages:
                continue
            located = locate(self.data, [source], language=language, split=split, question_language=question_language)
            if located is not None:
                return FileSet(
                    format=located.format,
                    files=[path.relative_to(self.data).as_posix() for path in located.files],
                    sha256={p.relative_to(self.data).as_posix(): self.digests(p) for p in located.inputs},
                    skip=source.skip,
                    take=source.take,
                    apart={} if source.apart_from is None else self.scored(source.apart_from),
                )
        return None

    def scored(self, name: str) -> dict[str, list[FileSet]]:
        """By language, the files that a task is scored on."""
        if name not in self.tasks:
            raise InputError(f"sources: apart_from: expected one of {', '.join(self.tasks)}, got {name}")
        return {code: [files] for code, files in self.evaluation(self.tasks[name]).files.items()}

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
            self._evaluations[task.name] = evaluation_of(self, task)
        return self._evaluations[task.name]

    def stage(self, recipe: Recipe, regime: Regime, seed: int) -> Stage | None:
        """One training with every value resolved, or None when its training files or its neighbours' file are absent."""
        train = self.find(self.sources(recipe.name, "train", recipe.sources), recipe.language, "train")
        augmentation = self.augmentation(recipe, regime.robustness, seed)
        if train is None or (isinstance(regime.robustness, Copies) and augmentation is None):
            return None
        dev = self.find(self.sources(recipe.name, "dev", recipe.sources), recipe.language, "dev")
        train = apart_too(train, dev, recipe.language)
        return Stage(
            recipe=resolved(recipe, regime, self.profile, self.model),
            learning_rate=learning_rate(recipe, regime, self.model),
            caps=self.profile.cap(recipe.name),
            train=train,
            dev=dev,
            augmentation=augmentation,
        )

    def augmentation(self, recipe: Recipe, noise: Robustness | None, seed: int) -> Augmentation | None:
        """The copies of a recipe's training set that a regime asks for; for RS-DA none without the file of neighbours."""
        if not isinstance(noise, Copies):
            return None
        files = self.neighbours(noise.neighbours) if isinstance(noise, Synonyms) else None
        if isinstance(noise, Synonyms) and files is None:
            return None
        return Augmentation(neighbours=files, copies=noise.copies_of(recipe.name), seed=seed)

    def neighbours(self, path: str) -> FileSet | None:
        """The file of synonyms below the data folder, if it is there."""
        if not (self.data / path).is_file():
            return None
        return FileSet(format="neighbours", files=[path], sha256={path: self.digests(self.data / path)})

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

    def plain_name(self, regime: Regime) -> str:
        """The name of the runs that a regime goes on from, where no planned regime has them anyway."""
        name = f"{regime.name}-plain"
        if name in self.regimes:
            raise InputError(
                f"regime {name}: runs that {regime.name} goes on from are called so; rename one of the two"
            )
        return name

    def upstream(self, regime: Regime, recipe: str, seed: int) -> list[Upstream] | None:
        """The runs whose weights a regime goes on from, or None when one of them has no training files."""
        before = regime.intermediate
        if before is None:
            return []
        for name in before.recipes:
            self.recipe(name, f"regime {regime.name}: intermediate.recipes")
        if before.transfer != "fuse" and (len(before.recipes) > 1 or before.masked_text is not None):
            folder = add_mixture(self, regime, before, seed)
            return None if folder is None else [Upstream(recipe="several", folder=folder)]
        plain = self.twin(regime.plain())
        if plain.name == regime.name:  # no planned regime is its plain twin
            plain = plain.model_copy(update={"name": self.plain_name(regime)})
        wanted = before.recipes
        if before.transfer == "fuse":  # the target's own adapter last
            wanted = [*(name for name in before.recipes if name != recipe), recipe]
        folders = {name: self.add(plain, name, seed) for name in dict.fromkeys(wanted)}
        found = [Upstream(recipe=name, folder=folder) for name, folder in folders.items() if folder is not None]
        return found if len(found) == len(folders) else None

    def raw_text(self) -> dict[str, FileSet]:
        """The raw text files of the data folder by language (docs/data-layout.md)."""
        return raw_text(self)

    def add(self, regime: Regime, recipe: str, seed: int) -> str | None:
        """Plan one run (once) and return its folder, or None when training files of it or its upstream are absent.

        The run is evaluated on every task of the recipe that this plan wants of the regime.
        """
        folder = run_dir(regime.name, recipe, seed)
        if folder in self.runs:
            return folder
        if regime.smoothing is not None:
            plain = self.twin(regime.model_copy(update={"smoothing": None}))
            if plain.name == regime.name:
                plain = plain.model_copy(update={"name": self.plain_name(regime)})
            made = self.add_evaluation(regime, plain, recipe, seed)
            self.add_separate(regime, plain, recipe, seed)
            return made
        chain = self.chain(self.recipes[recipe]) if recipe != "none" else []
        stages = [self.stage(each, regime, seed) for each in chain]
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
        self.add_separate(regime, regime, recipe, seed)
        return folder

    def add_separate(self, regime: Regime, trained: Regime, recipe: str, seed: int) -> None:
        """Plan the runs of the tasks that are evaluated in runs of their own."""
        for task in self.wanted(regime, recipe):
            if task.separate and self.evaluation(task).files:
                self.add_evaluation(regime, trained, recipe, seed, task)

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
        run = RunConfig(
            regime=regime,
            recipe=recipe,
            seed=seed,
            model=self.model,
            profile=self.summary({e.task.name for e in evaluations} | {stage.recipe.name for stage in stages}),
            upstream=upstream or [],
            encoder_from=None if regime.lexical is None else job_dir(self.lexical[regime.lexical], seed),
            weights_of=weights_of,
            mixture=mixture,
            stages=stages,
            tasks=[evaluation.task.name for evaluation in evaluations],
            languages={e.task.name: e.expected for e in evaluations},
            evaluations=evaluations,
        )
        return with_language_adapters(self, run)

    def wanted(self, regime: Regime, recipe: str) -> list[Task]:
        """The tasks a run is evaluated on: those of its recipe in the benchmark, and those a table asks for."""
        if regime.name not in self.regimes:  # only there for its weights
            return []
        extra = self.extra.get(regime.name, set())
        tasks = [task for task in self.tasks.values() if self.in_benchmark(task) or task.name in extra]
        if regime.tuning.kind == "frozen":
            return [task for task in tasks if task.family in RETRIEVAL_WITHOUT_TRAINING]
        if regime.tuning.kind == "head":  # a factor on all similarities changes no ranking, and a pooler is no probe
            tasks = [task for task in tasks if self.recipes[task.recipe].family not in DUAL_ENCODERS]
        voted = regime.smoothing is not None  # answers and rankings cannot be voted on
        own = [task for task in tasks if self.serving(regime, task) == recipe]
        return [task for task in own if task.family in SMOOTHED or not voted]

    def serving(self, regime: Regime, task: Task) -> str:
        """The recipe that trains a regime for a task: the task's own, or the one the regime has in its place."""
        name = regime.instead.get(task.recipe, task.recipe)
        where = f"regime {regime.name}: instead"
        if self.recipe(name, where).family != self.recipes[task.recipe].family:
            raise InputError(f"{where}: expected a recipe of the family of {task.recipe}, got {name}")
        return name

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
        families = {found.family for kind in (self.tasks, self.recipes) for name, found in kind.items() if name in used}
        return ProfileSummary(
            name=profile.name,
            title=profile.title,
            benchmark=profile.benchmark,
            splits=splits,
            split_notes={name: note for name, note in profile.split_notes.items() if name in used},
            caps=caps,
            dual_encoder=profile.dual_encoder if families.intersection(RETRIEVAL) else None,
        )

    def plan_regime(self, regime: Regime) -> list[str]:
        """All runs of a regime for every seed; a task without any file, or without training files, has none."""
        folders: list[str] = []
        if self.model.decoder is not None:  # for lexical injection alone
            return folders
        if (reason := why_no_adapters(self, regime)) is not None:
            self.without_runs[regime.name] = reason
            return folders
        frozen = regime.tuning.kind == "frozen"
        recipes = ["none"] if frozen else sorted({self.serving(regime, task) for task in self.tasks.values()})
        for seed in self.seeds[:1] if frozen else self.seeds:  # nothing random happens without training
            name = regime.lexical
            if name is not None and add_lexical(self, name, seed, f"regime {regime.name}") is None:
                continue
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
