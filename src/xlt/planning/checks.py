"""Names in configs that mean nothing or two things: a run's folder, a page or a target of make is found by its name alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from xlt.config.benchmark import Profile, Recipe, Table, Task
from xlt.errors import InputError
from xlt.names import one_of

OWN_FOLDERS = ("none", "intermediate")
"""Where a run's folder has its recipe's name: runs without training, and those that train several recipes together."""


def check_configs(
    profile: Profile,
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
    tables: Mapping[str, Table],
    regimes: Collection[str],
    configs: Path,
) -> None:
    """Refuse what the planner would confuse or ignore.

    Raises:
        InputError: with the config to be corrected.
    """
    from xlt.families.outputs import check_task  # numpy: help does without it

    check_taken(tasks, recipes, tables, regimes, configs)
    for task in tasks.values():
        check_task(task, recipes, configs / "tasks" / f"{task.name}.yaml")
    for name, table in tables.items():
        for task_name in table.tasks:
            if task_name not in tasks:
                raise InputError(f"tasks: no task {task_name}", configs / "tables" / f"{name}.yaml")
    check_profile(profile, set(tasks), set(recipes), set(tables), configs / "profiles" / f"{profile.name}.yaml")


def check_taken(
    tasks: Mapping[str, Task],
    recipes: Collection[str],
    tables: Collection[str],
    regimes: Collection[str],
    configs: Path,
) -> None:
    """Refuse names that stand for two things."""
    for name in recipes:
        if name in OWN_FOLDERS:
            raise InputError("the planner's own runs are called so; rename it", configs / "recipes" / f"{name}.yaml")
    for name, task in tasks.items():
        if task.separate and (name in recipes or name in OWN_FOLDERS):
            raise InputError("a recipe's runs are called so; rename it", configs / "tasks" / f"{name}.yaml")
    for name in tables:
        if name in regimes or name.startswith("regime-"):
            raise InputError("a regime's page or goal is called so; rename it", configs / "tables" / f"{name}.yaml")


def check_profile(profile: Profile, tasks: set[str], recipes: set[str], tables: set[str], path: Path) -> None:
    """Refuse entries of a profile for tasks, recipes or tables that do not exist: they would be ignored."""
    allowed: dict[str, tuple[Collection[str], set[str]]] = {
        "caps": (profile.caps, tasks | recipes | {"default"}),
        "epochs": (profile.epochs, recipes | {"default"}),
        "sources": (profile.sources, tasks | recipes),
        "splits": (profile.splits, tasks),
        "split_notes": (profile.split_notes, tasks | recipes),
        "rows": (profile.rows, tables),
    }
    for key, (entries, names) in allowed.items():
        for name in entries:
            if name not in names:
                raise InputError(f"{key}: {one_of(sorted(names), name)}", path)
