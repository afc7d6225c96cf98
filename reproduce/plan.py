#!/usr/bin/env python3
"""Turn configs into the runs of a profile and model: run folders with resolved configs, and make rules between them.

Nothing is trained here. A run's config.yaml is rewritten only when its content changes, so make re-runs what depends on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from xlt.artifacts import SOURCE_ROOT, read_json, sha256_file, to_json, write_atomic
from xlt.config import (
    Caps,
    Model,
    Profile,
    Recipe,
    Regime,
    Source,
    Table,
    Task,
    learning_rate_key,
    load,
    load_all,
    load_yaml,
)
from xlt.data.sources import locate
from xlt.errors import InputError, exit_status
from xlt.modeling.checkpoints import resolve_model
from xlt.runs import Evaluation, FileSet, Named, ProfileSummary, RunConfig, Stage, run_dir, write_run

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
    refused: dict[str, str] = field(default_factory=dict)

    def sources(self, name: str, split: str, own: dict[str, list[Source]]) -> list[Source]:
        """Where a split may lie: the profile's own list, or the task's or recipe's."""
        override = self.profile.sources.get(name, {})
        return list(override.get(split, own.get(split, [])))  # type: ignore[call-overload]

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
        sources = self.sources(task.name, split, dict(task.sources))
        found = {code: self.find(sources, code, split) for code in self.languages(task)}
        if self.world is not None:  # a generated world has no official list; what it wrote is what there is
            found = {code: files for code, files in found.items() if files is not None}
        tuning: dict[str, FileSet | None] = {}
        if task.family == "bucc" and split == "test":  # the threshold is tuned on the training split
            dev = self.sources(task.name, "dev", dict(task.sources))
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
        train = self.find(self.sources(recipe.name, "train", dict(recipe.sources)), recipe.language, "train")
        if train is None:
            return None
        dev = self.find(self.sources(recipe.name, "dev", dict(recipe.sources)), recipe.language, "dev")
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
        before = [] if recipe.after is None else self.chain(self.recipes[recipe.after])
        return [*before, recipe]

    def upstream(self, regime: Regime, seed: int) -> str | None:
        """The run whose weights a regime goes on from; planned here if no other regime has it."""
        if regime.intermediate is None:
            return None
        plain = [
            other
            for other in self.regimes.values()
            if other.intermediate is None and (other.tuning, other.robustness) == (regime.tuning, regime.robustness)
        ]
        name = regime.intermediate.recipe
        if name not in self.recipes:
            raise InputError(f"regime {regime.name}: no recipe {name}; there are: {', '.join(self.recipes)}")
        if plain:
            return self.add(plain[0], name, seed, [t for t in self.tasks.values() if t.recipe == name])
        base = regime.model_copy(update={"intermediate": None})
        return self.add(base, name, seed, [], folder=run_dir(regime.name, f"intermediate-{name}", seed))

    def add(
        self, regime: Regime, recipe: str, seed: int, tasks: Iterable[Task], folder: str | None = None
    ) -> str | None:
        """Plan one run (once) and return its folder, or None when its training files are absent."""
        folder = folder or run_dir(regime.name, recipe, seed)
        if folder in self.runs:
            return folder
        stages = [self.stage(each, regime) for each in self.chain(self.recipes[recipe])] if recipe != "none" else []
        if None in stages:
            return None
        evaluations = [self.evaluation(task) for task in tasks if self.languages(task)]
        evaluations = [evaluation for evaluation in evaluations if evaluation.files]
        upstream = self.upstream(regime, seed)
        title = self.recipes[recipe].title if recipe != "none" else "no training"
        self.runs[folder] = RunConfig(
            regime=regime,
            recipe=Named(name=recipe, title=title),
            seed=seed,
            model=self.model,
            profile=self.summary(),
            upstream=upstream,
            stages=[stage for stage in stages if stage is not None],
            tasks=[evaluation.task.name for evaluation in evaluations],
            languages={e.task.name: [*e.files, *e.no_data] for e in evaluations},
            evaluations=evaluations,
        )
        return folder

    def summary(self) -> ProfileSummary:
        """What tables say about the profile."""
        profile = self.profile
        splits = {name: profile.splits.get(name, "test") for name in self.tasks}
        caps = {name: profile.cap(name) for name in (*self.tasks, *self.recipes) if profile.cap(name) != Caps()}
        return ProfileSummary(
            name=profile.name,
            title=profile.title,
            benchmark=profile.benchmark,
            splits=splits,
            split_notes=profile.split_notes,
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


def plan_json(planner: Planner, regimes: dict[str, list[str]], tables: dict[str, Table]) -> dict[str, object]:
    """The plan as tabulate reads it."""
    listed = {}
    for name, folders in regimes.items():
        runs = [
            {
                "dir": f,
                "recipe": planner.runs[f].recipe.name,
                "seed": planner.runs[f].seed,
                "tasks": planner.runs[f].tasks,
            }
            for f in folders
        ]
        upstream = sorted({str(planner.runs[f].upstream) for f in folders if planner.runs[f].upstream is not None})
        listed[name] = {"title": planner.regimes[name].title, "runs": runs, "upstream": upstream}
    return {
        "profile": planner.profile.name,
        "model": planner.model.name,
        "seeds": planner.seeds,
        "regimes": listed,
        "tables": {name: {"regimes": table.regimes, "tasks": table.tasks} for name, table in tables.items()},
    }


def make_rules(root: Path, planner: Planner, regimes: dict[str, list[str]], tables: dict[str, Table]) -> str:
    """The rules of ``plan.mk``: one per run, one per table, one per regime."""
    lines = ["# Written by reproduce/plan.py; do not edit.", "MAKEFLAGS += --no-builtin-rules", ".DELETE_ON_ERROR:", ""]
    for folder, run in planner.runs.items():
        target = root / folder
        before = [f"{target}/config.yaml", "$(ENCODER)"]
        if run.upstream is not None:
            before.append(f"{root / run.upstream}/scores.json")
        lines += [
            f"{target}/scores.json: {' '.join(before)}",
            f"\t$(LAUNCH) $(PYTHON) reproduce/run.py {target} $(RUN)",
            "",
        ]
    configs = "configs"
    for name, folders in regimes.items():
        table = root / "tables" / f"regime-{name}"
        scores = [f"{root / folder}/scores.json" for folder in folders]
        needs = " ".join([*scores, f"{root}/plan.json", "$(REPORTED)"])
        command = f"$(PYTHON) reproduce/tabulate.py --regime {name} --root {root} --configs {configs}"
        lines += [f"{table}.md: {needs}", f"\t{command}", f".PHONY: {name}", f"{name}: {table}.md", ""]
    for name, table_config in tables.items():
        table = root / "tables" / name
        scores = [f"{root / f}/scores.json" for regime in table_config.regimes for f in regimes.get(regime, [])]
        needs = " ".join([*scores, f"{root}/plan.json", f"{configs}/tables/{name}.yaml", "$(REPORTED)"])
        command = f"$(PYTHON) reproduce/tabulate.py --table {name} --root {root} --configs {configs}"
        lines += [f"{table}.md: {needs}", f"\t{command}", f".PHONY: {name}", f"{name}: {table}.md", ""]
    return "\n".join(lines)


def write_if_changed(path: Path, text: str) -> None:
    """Write ``text`` unless the file has it already."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomic(path, text)


def world_languages(profile: Profile, data: Path) -> list[str] | None:
    """The languages of a generated world, source first, or None for a profile on real data."""
    if profile.languages_from is None:
        return None
    content = load_yaml(data / profile.languages_from)
    return list(content["languages"])


def build(arguments: argparse.Namespace) -> tuple[Planner, dict[str, list[str]], dict[str, Table]]:
    """Read all configs and plan every regime."""
    configs: Path = arguments.configs
    profile = load(Profile, configs / "profiles" / f"{arguments.profile}.yaml")
    data = Path(arguments.data or profile.data)
    if not data.is_dir():
        raise InputError("expected the folder of data files; give DATA=<folder> (docs/data-layout.md)", data)
    root: Path = arguments.root
    planner = Planner(
        profile=profile,
        model=resolve_model(arguments.model or profile.model, configs),
        data=data,
        seeds=seeds_of(arguments.seeds) or profile.seeds,
        tasks=load_all(Task, configs / "tasks"),
        recipes=load_all(Recipe, configs / "recipes"),
        regimes=load_all(Regime, configs / "regimes"),
        digests=Digests(root / "data-digests.json"),
        world=world_languages(profile, data),
    )
    for task in planner.tasks.values():
        if task.recipe not in planner.recipes:
            raise InputError(f"recipe: no recipe {task.recipe}", configs / "tasks" / f"{task.name}.yaml")
    regimes = {name: planner.plan_regime(regime) for name, regime in planner.regimes.items()}
    tables = {path.stem: load(Table, path) for path in sorted((configs / "tables").glob("*.yaml"))}
    for name, table in tables.items():
        for regime in table.regimes:
            if regime not in regimes:
                raise InputError(f"regimes: no regime {regime}", configs / "tables" / f"{name}.yaml")
    return planner, regimes, tables


def seeds_of(text: str | None) -> list[int]:
    """Seeds from "1 2 3" or "1,2,3"; they must be distinct."""
    if not text:
        return []
    try:
        seeds = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"SEEDS: expected whole numbers such as 1 2 3, got {text!r}") from None
    if len(set(seeds)) != len(seeds):
        raise InputError(f"SEEDS: expected distinct seeds, got {text!r}")
    return seeds


def main() -> None:
    """Command line of the planner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", required=True, help="a name of configs/profiles")
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of this profile and model, e.g. out/tiny/babel"
    )
    parser.add_argument(
        "--model", default=None, help="a name of configs/models or a checkpoint folder (default: the profile's)"
    )
    parser.add_argument("--data", default=None, help="folder of official files (default: the profile's)")
    parser.add_argument("--seeds", default=None, help='e.g. "1 2 3" (default: the profile\'s)')
    parser.add_argument("--configs", type=Path, default=SOURCE_ROOT / "configs")
    parser.add_argument(
        "--show", default=None, metavar="TARGET", help="print what a table or regime would run, and its cost"
    )
    parser.add_argument(
        "--encoder", type=Path, default=Path("encoder"), help="folder of the prepared encoder (for --show)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (for --show)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a run (for --show)")
    arguments = parser.parse_args()
    planner, regimes, tables = build(arguments)
    root: Path = arguments.root
    for folder, run in planner.runs.items():
        write_run(run, root / folder / "config.yaml")
    planner.digests.save()
    write_if_changed(root / "plan.json", to_json(plan_json(planner, regimes, tables)))
    write_if_changed(root / "plan.mk", make_rules(root, planner, regimes, tables) + "\n")
    if arguments.show:
        from estimate import report  # beside this script

        workers, threads = arguments.jobs, arguments.threads
        print(
            report(
                arguments.show, root, planner.runs, regimes, tables, planner.data, arguments.encoder, workers, threads
            )
        )


if __name__ == "__main__":
    sys.exit(exit_status(main))
