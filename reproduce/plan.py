#!/usr/bin/env python3
"""Turn configs into the runs of a profile and model: run folders with resolved configs, and make rules between them.

Nothing is trained here. A run's config.yaml is rewritten only when its content changes, so make re-runs what depends on it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from planner import Digests, Planner

from xlt.artifacts import SOURCE_ROOT, to_json, write_atomic
from xlt.config import Profile, Recipe, Regime, Table, Task, load, load_all
from xlt.errors import InputError, exit_status
from xlt.languages import register
from xlt.modeling.checkpoints import resolve_model
from xlt.runs import write_run


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
    named = (
        ""
        if planner.profile.languages_from is None
        else f" --languages {planner.data / planner.profile.languages_from}"
    )
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
        command = f"$(PYTHON) reproduce/tabulate.py --regime {name} --root {root} --configs {configs}{named}"
        lines += [f"{table}.md: {needs}", f"\t{command}", f".PHONY: {name}", f"{name}: {table}.md", ""]
    for name, table_config in tables.items():
        table = root / "tables" / name
        scores = [f"{root / f}/scores.json" for regime in table_config.regimes for f in regimes.get(regime, [])]
        needs = " ".join([*scores, f"{root}/plan.json", f"{configs}/tables/{name}.yaml", "$(REPORTED)"])
        command = f"$(PYTHON) reproduce/tabulate.py --table {name} --root {root} --configs {configs}{named}"
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
    return list(register(data / profile.languages_from))


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
    check_names(planner, configs / "profiles" / f"{profile.name}.yaml")
    regimes = {name: planner.plan_regime(regime) for name, regime in planner.regimes.items()}
    tables = {path.stem: load(Table, path) for path in sorted((configs / "tables").glob("*.yaml"))}
    for name, table in tables.items():
        for regime in table.regimes:
            if regime not in regimes:
                raise InputError(f"regimes: no regime {regime}", configs / "tables" / f"{name}.yaml")
        for task_name in table.tasks:
            if task_name not in planner.tasks:
                raise InputError(f"tasks: no task {task_name}", configs / "tables" / f"{name}.yaml")
    return planner, regimes, tables


def check_names(planner: Planner, path: Path) -> None:
    """Refuse entries of a profile for tasks or recipes that do not exist: they would be ignored."""
    profile, tasks, recipes = planner.profile, set(planner.tasks), set(planner.recipes)
    allowed = {
        "caps": (profile.caps, tasks | recipes | {"default"}),
        "epochs": (profile.epochs, recipes | {"default"}),
        "sources": (profile.sources, tasks | recipes),
        "splits": (profile.splits, tasks),
        "split_notes": (profile.split_notes, tasks | recipes),
    }
    for key, (entries, names) in allowed.items():
        for name in entries:
            if name not in names:
                raise InputError(f"{key}: expected one of {', '.join(sorted(names))}, got {name}", path)


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
