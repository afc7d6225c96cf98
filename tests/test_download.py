"""The report of what a data folder holds: named languages, the owner's address, and a status that make can use."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scripts import call

ROOT = Path(__file__).resolve().parents[1]


def report(*options: str) -> tuple[int, list[str], str]:
    done = call("prepare_model", *options)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """XQuAD in two of twelve languages, SQuAD 1.1's development file. Only their presence is looked at."""
    for name in ("xquad/xquad.en.json", "xquad/xquad.zh.json", "squad/dev-v1.1.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_found_and_missing_files_are_named(data: Path) -> None:
    status, lines, _ = report("--data", str(data), "--tasks", "xquad", "squad", "bucc2018")
    assert status == 0
    assert lines == [
        "task bucc2018: dev no data, test no data; published at "
        "https://comparable.limsi.fr/bucc2018/bucc2018-task.html",
        "task xquad: test found in 2 of 12 languages (no data: es de el ru tr ar vi th hi ro); published at "
        "https://github.com/google-deepmind/xquad",
        "training squad: train no data, dev found; published at https://rajpurkar.github.io/SQuAD-explorer",
    ]


def test_every_task_and_training_set_has_a_line_and_an_owner(data: Path) -> None:
    status, lines, _ = report("--data", str(data))
    assert status == 0
    named = [line.split(":")[0] for line in lines]
    recipes = [f"training {path.stem}" for path in sorted((ROOT / "configs" / "recipes").glob("*.yaml"))]
    assert [name for name in named if name.startswith("training")] == recipes
    assert sum(name.startswith("task") for name in named) == 10  # XTREME-R


def test_nothing_there_is_an_input_error(tmp_path: Path) -> None:
    status, _, error = report("--data", str(tmp_path), "--tasks", "xquad")
    assert status == 2 and error.startswith(f"error: {tmp_path}: expected official files, found none")
    status, _, error = report("--data", str(tmp_path / "nowhere"))
    assert status == 2 and "expected a folder of official files" in error
    status, lines, error = report("--data", str(tmp_path), "--tasks", "xquadr")
    assert status == 2 and not lines and error.rstrip().endswith("got xquadr")
