"""What runs a profile and model need: each with every setting resolved, its files and their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt.artifacts import read_json, sha256_file, to_json, write_atomic
from xlt.config import Caps, Model, Profile, Recipe, Regime, Source, Task, learning_rate_key
from xlt.data.sources import locate
from xlt.errors import InputError
from xlt.runs import Evaluation, FileSet, Named, ProfileSummary, RunConfig, Stage, run_dir

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


@dataclass
class Planner:
    """What every run of this plan shares."""

    profile: Profile
    model: Model
    data: Path
    seeds: list[int]
    tasks: dict[str, Task]
    recipes: dict[str, Recipe]
    regimes: dict[str, Regime]
    digests: Digests
    world: list[str] | None
    runs: dict[str, RunConfig] = field(default_factory=dict)

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
        """The languages a task is evaluated on: the official list, or the generated world's."""
        official = task.languages.get(self.profile.benchmark, [])
        if self.world is None or not official:
            return official
        return [code for code in self.world if code != "en" or "en" in official]

    def evaluation(self, task: Task) -> Evaluation:
        """One task with its files in every language that has some."""
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

    def upstream(self, regime: Regime, seed: int) -> str | None:
        """The run whose weights a regime goes on from; planned here if no other regime has it."""
        if regime.intermediate is None:
            return None
        axes = (regime.tuning, regime.robustness, regime.unfreezing)
        plain = [
            other
            for other in self.regimes.values()
            if other.intermediate is None and (other.tuning, other.robustness, other.unfreezing) == axes
        ]
        name = self.recipe(regime.intermediate.recipe, f"regime {regime.name}: intermediate.recipe").name
        if plain:
            return self.add(plain[0], name, seed, [t for t in self.tasks.values() if t.recipe == name])
        base = regime.model_copy(update={"intermediate": None})
        return self.add(base, name, seed, [], folder=run_dir(regime.name, f"intermediate-{name}", seed))

    def add(
        self, regime: Regime, recipe: str, seed: int, tasks: Iterable[Task], folder: str | None = None
    ) -> str | None:
        """Plan one run (once) and return its folder, or None when training files of it or its upstream are absent."""
        folder = folder or run_dir(regime.name, recipe, seed)
        if folder in self.runs:
            return folder
        stages = [self.stage(each, regime) for each in self.chain(self.recipes[recipe])] if recipe != "none" else []
        upstream = self.upstream(regime, seed)
        if None in stages or (regime.intermediate is not None and upstream is None):
            return None
        evaluations = [self.evaluation(task) for task in tasks if self.languages(task)]
        evaluations = [evaluation for evaluation in evaluations if evaluation.files]
        title = self.recipes[recipe].title if recipe != "none" else "no training"
        self.runs[folder] = RunConfig(
            regime=regime,
            recipe=Named(name=recipe, title=title),
            seed=seed,
            model=self.model,
            profile=self.summary({e.task.name for e in evaluations} | {s.recipe.name for s in stages if s is not None}),
            upstream=upstream,
            stages=[stage for stage in stages if stage is not None],
            tasks=[evaluation.task.name for evaluation in evaluations],
            languages={e.task.name: [*e.files, *e.no_data] for e in evaluations},
            evaluations=evaluations,
        )
        return folder

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
        tasks = [task for task in self.tasks.values() if self.languages(task)]
        frozen = regime.tuning.kind == "frozen"
        recipes = ["none"] if frozen else sorted({task.recipe for task in tasks})
        for seed in self.seeds[:1] if frozen else self.seeds:  # nothing random happens without training
            for recipe in recipes:
                own = [t for t in tasks if (t.family in RETRIEVAL_WITHOUT_TRAINING if frozen else t.recipe == recipe)]
                evaluations = [task for task in own if self.evaluation(task).files]
                if evaluations:
                    folder = self.add(regime, recipe, seed, evaluations)
                    if folder is not None:
                        folders.append(folder)
        return folders
