"""The artifact's tasks by name, with their files in the submission layout and their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import ROOT

from xlt.config.benchmark import Task, load_all
from xlt.families import FAMILIES
from xlt.families.base import Score

TASKS = load_all(Task, ROOT / "configs" / "tasks")
FILES = {
    files.name: files
    for task in TASKS.values()
    for files in (FAMILIES[task.family].files(task), *FAMILIES[task.family].further_files(task))
}


def submission_file(folder: Path, name: str, language: str) -> Path:
    """Where the predictions or labels of a task, or of a folder beside its own, lie."""
    return FILES[name].path(folder, language)


def write_submission(folder: Path, name: str, language: str, content: Any) -> Path:
    """Write one prediction file."""
    return FILES[name].write(folder, language, content)


def read_submission(path: Path, name: str) -> Any:
    """Read one prediction file."""
    return FILES[name].read(path)


def write_labels(folder: Path, name: str, language: str, records: Any) -> Path:
    """Write the label files of one language from its records, and return that of a task or of a folder beside it."""
    task = TASKS[name] if name in TASKS else TASKS[name.partition("_")[0]]
    FAMILIES[task.family].write_gold(folder, task, {language: records})
    return FILES[name].path(folder, language)


def score_file(name: str, prediction_file: Path, label_file: Path, language: str) -> Score:
    """The score of one file."""
    return FAMILIES[TASKS[name].family].score(TASKS[name], prediction_file, label_file, language)


def score_task(name: str, prediction_file: Path, label_file: Path, language: str) -> dict[str, float]:
    """The metrics of one file."""
    return score_file(name, prediction_file, label_file, language).metrics


def per_example(name: str, prediction_file: Path, label_file: Path, language: str) -> dict[str, list[float]]:
    """The score of each example."""
    return FAMILIES[TASKS[name].family].per_example(TASKS[name], prediction_file, label_file, language)[0]
