"""Names that would stand for two things: a run's folder, a page or a target of make is found by its name alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from xlt.config.benchmark import Recipe, Task
from xlt.errors import InputError

OWN_FOLDERS = ("none", "intermediate")
"""Where a run's folder has its recipe's name: runs without training, and those that train several recipes together."""


def check_taken(
    tasks: Mapping[str, Task],
    recipes: Mapping[str, Recipe],
    tables: Iterable[str],
    regimes: Iterable[str],
    configs: Path,
) -> None:
    """Refuse names of configs that the planner would confuse.

    Raises:
        InputError: with the config to be renamed.
    """
    for name in recipes:
        if name in OWN_FOLDERS:
            raise InputError("the planner's own runs are called so; rename it", configs / "recipes" / f"{name}.yaml")
    for name, task in tasks.items():
        if task.separate and (name in recipes or name in OWN_FOLDERS):
            raise InputError("a recipe's runs are called so; rename it", configs / "tasks" / f"{name}.yaml")
    for name in tables:
        if name in regimes or name.startswith("regime-"):
            raise InputError("a regime's page or goal is called so; rename it", configs / "tables" / f"{name}.yaml")
