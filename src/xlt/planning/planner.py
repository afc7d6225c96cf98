"""What runs a profile and model need: each with every setting resolved, its files and their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from xlt.config.benchmark import DUAL_ENCODERS, RETRIEVAL, Caps, Model, Recipe, Task
from xlt.config.lexical_injection import LexicalConfig, job_dir
from xlt.config.regimes import Intermediate, MadX, Regime
from xlt.config.robustness import SMOOTHED
from xlt.config.run_config import (
    LanguageAdapterSettings,
    Mixture,
    Named,
    ProfileSummary,
    RunConfig,
    Stage,
    Upstream,
    run_dir,
)
from xlt.errors import InputError
from xlt.names import one_of
from xlt.planning.data_files import DataFiles
from xlt.planning.jobs import PlannedJob, language_adapter_jobs, lexical_job
from xlt.planning.stages import make_stage

RETRIEVAL_WITHOUT_TRAINING = ("tatoeba", "bucc")
"""Families that an encoder without a trained head can be evaluated on."""
NO_ADAPTERS = (
    "no language adapters: no raw text (raw/<language>.txt in the data folder), no ready-made ones for the model"
)


@dataclass
class Planner:
    """Plans runs and the jobs they are made from; ``runs`` and ``jobs`` by folder below the root."""

    files: DataFiles
    model: Model
    seeds: list[int]
    recipes: dict[str, Recipe]
    regimes: dict[str, Regime]
    lexical: dict[str, LexicalConfig]
    language_adapters: LanguageAdapterSettings
    without_runs: dict[str, str] = field(default_factory=dict)
    """Why a regime has no runs, where the data folder does not explain it."""
    extra: dict[str, set[str]] = field(default_factory=dict)
    """Tasks that tables ask for beyond the benchmark's own, by regime."""
    runs: dict[str, RunConfig] = field(default_factory=dict)
    jobs: dict[str, PlannedJob] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.profile, self.tasks = self.files.profile, self.files.tasks

    def chain(self, recipe: Recipe) -> list[Recipe]:
        """A recipe and those that must be trained before it, in order."""
        before = [] if recipe.after is None else self.chain(self.recipe(recipe.after, f"recipe {recipe.name}: after"))
        return [*before, recipe]

    def recipe(self, name: str, where: str) -> Recipe:
        """The recipe of that name; ``where`` says what asks for it."""
        if name not in self.recipes:
            raise InputError(f"{where}: {one_of(self.recipes, name)}")
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
            folder = self.add_mixture(regime, before, seed)
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

    def add_mixture(self, regime: Regime, before: Intermediate, seed: int) -> str | None:
        """Plan the intermediate run of a regime that trains several recipes together, or one mixed with masked text (once).

        Returns:
            Its folder, which regimes with the same intermediate training share, or None when files of it are absent.
        """
        alike = [other for other in self.regimes.values() if trains_alike(other, regime)]
        owner = next((other for other in alike if continues(other)), alike[0] if alike else regime)
        folder = run_dir(owner.name, "intermediate", seed)
        if folder in self.runs:
            return folder
        recipes = [self.recipes[name] for name in before.recipes]
        stages = [make_stage(self.files, self.model, recipe, owner.plain(), seed) for recipe in recipes]
        text = {} if before.masked_text is None else self.files.raw_text()
        if None in stages or (before.masked_text is not None and not text):
            return None
        if constant := [recipe.name for recipe in recipes if recipe.decay != "linear"]:
            raise InputError(
                f"regime {regime.name}: intermediate.recipes: tasks that are trained together share one linear decay; "
                f"expected recipes with decay linear, got {', '.join(constant)}"
            )
        self.runs[folder] = self.run_config(
            owner.plain(),
            Named(name="intermediate", title=" + ".join(recipe.title for recipe in recipes)),
            seed,
            stages=[stage for stage in stages if stage is not None],
            mixture=Mixture(temperature=before.temperature, masked_text=before.masked_text, text=text),
        )
        return folder

    def add_lexical(self, name: str, seed: int, where: str) -> str | None:
        """Plan a lexical injection and return its folder, or None without a word list; ``where`` says what asks for it."""
        if name not in self.lexical:
            raise InputError(f"{where}: lexical: {one_of(self.lexical, name)}")
        job = lexical_job(self.lexical[name], self.model, seed, self.files)
        if job is None:
            return None
        folder = job_dir(self.lexical[name], seed)
        self.jobs[folder] = job
        return folder

    @cached_property
    def adapter_folders(self) -> dict[str, str]:
        """The folder of the adapter of every language that can have one; plans the jobs that make them."""
        jobs = language_adapter_jobs(self.files, self.model, self.language_adapters)
        folders = {code: f"language-adapters/{code}" for code in jobs}
        self.jobs |= {folders[code]: job for code, job in jobs.items()}
        return folders

    def why_no_adapters(self, regime: Regime) -> str | None:
        """Why a MAD-X regime has no runs: there is no adapter at all, or none of the training data's language."""
        if not isinstance(regime.tuning, MadX):
            return None
        if not self.adapter_folders:
            return NO_ADAPTERS
        lacking = sorted({recipe.language for recipe in self.recipes.values()} - set(self.adapter_folders))
        return f"no language adapter of {', '.join(lacking)}, the language of the training data" if lacking else None

    def with_language_adapters(self, run: RunConfig) -> RunConfig:
        """A run with the folders of the language adapters that its training and its evaluations need.

        Raises:
            InputError: a language has none and the regime refuses that.
        """
        tuning = run.regime.tuning
        if not isinstance(tuning, MadX):
            return run
        folders, needed = self.adapter_folders, run.text_languages()
        lacking = [code for code in needed if code not in folders]
        if lacking and tuning.missing == "refuse":
            raise InputError(
                f"regime {run.regime.name}: expected a language adapter for every language, none for {', '.join(lacking)};"
                " add raw/<language>.txt to the data folder, or set tuning.missing to source or none"
            )
        return run.model_copy(update={"language_adapters": {code: folders[code] for code in needed if code in folders}})

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
        stages = [make_stage(self.files, self.model, each, regime, seed) for each in chain]
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
            if task.separate and self.files.evaluation(task).files:
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
        evaluations = [evaluation for evaluation in map(self.files.evaluation, tasks) if evaluation.files]
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
        return self.with_language_adapters(run)

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
        """Whether it belongs to the profile's benchmark and is evaluated in every run of its recipe."""
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
        if self.model.decoder is not None:
            return []  # for lexical injection alone
        if (reason := self.without_runs.get(regime.name) or self.why_no_adapters(regime)) is not None:
            self.without_runs[regime.name] = reason
            return []
        folders: list[str] = []
        frozen = regime.tuning.kind == "frozen"
        recipes = ["none"] if frozen else sorted({self.serving(regime, task) for task in self.tasks.values()})
        for seed in self.seeds[:1] if frozen else self.seeds:  # nothing random happens without training
            name = regime.lexical
            if name is not None and self.add_lexical(name, seed, f"regime {regime.name}") is None:
                continue
            for recipe in recipes:
                if any(self.files.evaluation(task).files for task in self.wanted(regime, recipe)):
                    folders += filter(None, [self.add(regime, recipe, seed)])
            extra = [task for task in self.wanted_separately(regime) if run_dir(regime.name, task, seed) in self.runs]
            folders += [run_dir(regime.name, task, seed) for task in extra]
        return folders

    def wanted_separately(self, regime: Regime) -> list[str]:
        """The tasks that tables ask of a regime and that have a run of their own."""
        return [
            task.name for task in self.tasks.values() if task.separate and task.name in self.extra.get(regime.name, ())
        ]


def continues(regime: Regime) -> bool:
    """Whether the weights of the intermediate run go on; of several regimes that share one, it gives the folder its name."""
    return regime.intermediate is not None and regime.intermediate.transfer == "continue"


def trains_alike(one: Regime, other: Regime) -> bool:
    """Whether two regimes have the same intermediate training, however its result is passed on."""
    if one.intermediate is None or other.intermediate is None:
        return False
    passed_on = {"transfer", "learning_rate"}
    first, second = (each.intermediate.model_dump(exclude=passed_on) for each in (one, other) if each.intermediate)
    return one.intermediate.transfer != "fuse" and first == second and one.plain().axes() == other.plain().axes()
