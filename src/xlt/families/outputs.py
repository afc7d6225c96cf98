"""What a trained head can say about a task: whether the two fit, and which label each of the head's outputs stands for.

A head is trained with its recipe's labels, output by output. A task may list the same labels in any order; what it lists
besides, or lacks, is refused before anything is planned, because its predictions could only be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xlt.config.benchmark import Recipe, Task
from xlt.config.yaml_files import line_of
from xlt.errors import InputError
from xlt.families import FAMILIES, FURTHER


def check_task(task: Task, recipes: Mapping[str, Recipe], path: Path) -> None:
    """Refuse a task that the head of its recipe cannot be scored on.

    Args:
        path: the task's config file.

    Raises:
        InputError: with the line of the key that does not fit: there is no such recipe; another family, number of options
            or set of labels; a metric that the family does not have.
    """
    found = _misfit(task, recipes)
    if found is not None:
        key, message = found
        raise InputError(f"{key}: {message}", path, line_of(path, (key,)))


def _misfit(task: Task, recipes: Mapping[str, Recipe]) -> tuple[str, str] | None:
    """The first key of a task that does not fit, and why."""
    if task.recipe not in recipes:
        return "recipe", f"no recipe {task.recipe}"
    if endings := [ending for ending in FURTHER if task.name.endswith(f"_{ending}")]:
        return "name", f"expected another ending than _{endings[0]}, which a folder beside a task's own has"
    recipe, family = recipes[task.recipe], FAMILIES[task.family]
    known = family.metrics_of(task)
    if unknown := [name for name in task.metrics if name not in known]:
        return "metrics", f"expected one of {', '.join(known)}, got {unknown[0]}"
    if not family.supervised:
        return None
    if task.family != recipe.family:
        return "family", f"expected {recipe.family}, as recipe {recipe.name} trains, got {task.family}"
    if task.options != recipe.options:
        return "options", f"expected {recipe.options}, as recipe {recipe.name} has, got {task.options}"
    problem = _difference(task.labels, recipe.labels, recipe.name)
    return None if problem is None else ("labels", problem)


def _difference(own: Sequence[str] | None, known: Sequence[str] | None, recipe: str) -> str | None:
    """Why two lists do not hold the same labels, in whatever order; None if they do, or if there is none to compare."""
    if own is None or known is None or (sorted(own) == sorted(known)):
        return None
    more, less = [x for x in own if x not in known], [x for x in known if x not in own]
    parts = [f"not {', '.join(more)}"] if more else []
    parts += [f"also {', '.join(less)}"] if less else []
    return f"expected those of recipe {recipe}: {' and '.join(parts) or 'each once'}"


def as_trained(task: Task, recipe: Recipe | None) -> Task:
    """``task`` with its labels in the order of the head's outputs, which is that of the last ``recipe`` trained on.

    Without a recipe nothing is trained and the task has no labels to predict.
    """
    return task if recipe is None or task.labels is None else task.model_copy(update={"labels": recipe.labels})
