"""What scripts that make tables read in the same way: tasks, rows with their runs, sizes of the data on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Model, Recipe, Table, Task, load, load_all
from xlt.errors import InputError
from xlt.layout import PLAN
from xlt.results.citations import to_cite
from xlt.results.inputs import Inputs
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, RegimeRuns


def task_configs(configs: Path, names: list[str]) -> dict[str, Task]:
    """The configs of some tasks, in that order."""
    return {name: load(Task, configs / "tasks" / f"{name}.yaml") for name in names}


def row_names(root: Path, plan: Plan, config: Table) -> list[str]:
    """The regimes a table shows, in its order.

    Raises:
        InputError: the plan has none of them.
    """
    names = plan.tables[config.name].regimes if config.name in plan.tables else config.regimes
    if names and not set(names) & set(plan.regimes):
        known = ", ".join(plan.regimes) or "none"
        raise InputError(f"expected a regime of {config.name} in the plan, got {known}", root / PLAN)
    return names


def sizes_found(data: Path | None, configs: Path, tasks: Mapping[str, Task], world: list[str] | None) -> dict[str, Any]:
    """The sizes found in the data folder: in all official languages, or in the generated world's that have files."""
    from xlt.data.sizes import count_all

    if data is None:
        raise InputError("expected --data, the folder that a table of sizes counts")
    recipes = load_all(Recipe, configs / "recipes")
    trained = {task.recipe for task in tasks.values()}
    trained |= {after for name in trained if (after := recipes[name].after) is not None}
    recipes = {name: recipe for name, recipe in recipes.items() if name in trained}
    official = {name: list(dict.fromkeys(chain(*task.languages.values()))) for name, task in tasks.items()}
    if world is None:
        return count_all(data, tasks, recipes, official)
    found = count_all(data, tasks, recipes, dict.fromkeys(tasks, world))
    return {
        name: {split: {code: n for code, n in own.items() if n is not None} for split, own in by_split.items()}
        for name, by_split in found.items()
        if any(n is not None for own in by_split.values() for n in own.values())
    }


def rounding_error(configs: Path, plan: Plan, regimes: Mapping[str, RegimeRuns]) -> float:
    """The error, in points, of an encoder whose weights were rounded; 0 for one that was not."""
    path = configs / "models" / f"{plan.model}.yaml"
    rounded = load(Model, path).rounding_error if path.exists() else None
    if rounded is None:
        return 0.0
    origins = [run.provenance.encoder or "" for regime in regimes.values() for run in regime.runs if run.provenance]
    return rounded.points if any(rounded.origin in origin for origin in origins) else 0.0


def table_inputs(
    config: Table,
    places: tuple[Path, Path, Path | None],
    plan: Plan,
    regimes: Mapping[str, RegimeRuns],
    reported: Sequence[Reported],
    world: list[str] | None,
) -> Inputs:
    """What a table is made from.

    Args:
        places: the root of the runs, the folder of all configs, and that of the data, which a table of sizes counts.
        regimes: the planned ones among its rows, with their runs.
        world: the generated world's languages; None for official data.
    """
    root, configs, data = places
    tasks = task_configs(configs, config.tasks)
    rows = {name: regimes.get(name) or RegimeRuns(name, name, []) for name in row_names(root, plan, config)}
    return Inputs(
        config=config,
        plan=plan,
        root=root,
        tasks=tasks,
        regimes=rows,
        left_out=plan.tables[config.name].left_out if config.name in plan.tables else [],
        reported=reported,
        configs=configs,
        sizes=sizes_found(data, configs, tasks, world) if config.kind == "sizes" else None,
        world=world is not None,
        cited=to_cite(plan, tasks, rows, configs, world is not None),
    )
