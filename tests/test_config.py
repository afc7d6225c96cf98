from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xlt.config.benchmark import Model, Profile, Recipe, Strict, Table, Task, load, load_all
from xlt.config.regimes import LoRA, Regime, learning_rate_key
from xlt.config.run_config import FileSet
from xlt.errors import InputError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
LORA = """\
name: lora
title: LoRA
description: low-rank updates
tuning:
  kind: lora
  rank: 8
  alpha: 16
  targets: [q, v]
"""
TASK = """\
name: qa
title: QA
family: span
recipe: squad
metrics: [f1]
languages: {xtreme-r: [en]}
max_length: 128
doc_stride: 32
sources: {test: []}
"""


@pytest.mark.parametrize(
    ("folder", "model"),
    [("tasks", Task), ("recipes", Recipe), ("regimes", Regime), ("profiles", Profile), ("models", Model)],
)
def test_every_config_of_the_project_loads(folder: str, model: type[Strict]) -> None:
    files = {path.stem for path in (CONFIGS / folder).glob("*.yaml")}
    assert files
    assert set(load_all(model, CONFIGS / folder)) == files


def test_every_table_of_the_project_loads() -> None:
    paths = sorted((CONFIGS / "tables").glob("*.yaml"))
    assert paths
    for path in paths:
        table = load(Table, path)
        rows = [*table.regimes, *(table.grid.regimes if table.grid is not None else [])]
        assert table.reference in rows or not rows


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("  alpha:", "  alhpa:", 7, "unknown key tuning.lora.alhpa; remove it or correct its name"),
        ("tuning:", "tunning:", 4, "unknown key tunning; remove it or correct its name"),
        ("  rank: 8", "  rank: eight", 6, "tuning.lora.rank: expected a valid integer, got 'eight'"),
        ("  rank: 8", "  rank: '8'", 6, "tuning.lora.rank: expected a valid integer, got '8'"),
        (
            "  alpha: 16",
            "  alpha: 1e-4",
            7,
            "tuning.lora.alpha: expected a number (in YAML 1.0e-4, not 1e-4), got '1e-4'",
        ),
        (
            "  kind: lora",
            "  kind: loraa",
            4,
            "tuning.kind: expected one of 'full', 'head', 'frozen', 'bottleneck', 'madx', 'lora', 'dora', 'ia3', 'prefix', "
            "'loreft', got 'loraa'",
        ),
        (
            "[q, v]",
            "[q, w]",
            8,
            "tuning.lora.targets.1: expected one of 'q', 'k', 'v', 'intermediate', 'output', got 'w'",
        ),
        ("name: lora", "name: other", 1, "name: expected lora (the file's name), got other"),
        ("[q, v]", "[q, v", 9, "expected YAML: expected ',' or ']', but got '<stream end>'"),
        ("title: LoRA", "title: 'LoRA", 8, "expected YAML: "),
    ],
)
def test_a_wrong_config_names_file_line_and_what_was_expected(
    tmp_path: Path, write: Callable[[Path, str], Path], old: str, new: str, line: int, message: str
) -> None:
    assert LORA.count(old) == 1
    path = write(tmp_path / "lora.yaml", LORA.replace(old, new))
    with pytest.raises(InputError) as caught:
        load(Regime, path)
    if "'LoRA" not in new:  # where an open quotation mark is noticed is the parser's business
        assert caught.value.line == line
    assert caught.value.path == path
    assert caught.value.message.startswith(message)
    assert "\n" not in str(caught.value)


def test_the_unchanged_text_loads(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    assert load(Regime, write(tmp_path / "lora.yaml", LORA)).tuning == LoRA(kind="lora", rank=8, alpha=16)
    assert load(Task, write(tmp_path / "qa.yaml", TASK)).doc_stride == 32


def test_a_missing_key_an_empty_file_and_a_missing_file(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    with pytest.raises(InputError, match="expected the key title; add it"):
        load(Regime, write(tmp_path / "lora.yaml", LORA.replace("title: LoRA\n", "")))
    with pytest.raises(InputError, match="expected a mapping, got an empty file"):
        load(Regime, write(tmp_path / "empty.yaml", "# nothing\n"))
    with pytest.raises(InputError, match="no such config; expected one of empty, lora"):
        load(Regime, tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "kind: lora\n  rank: 8\n  alpha: 16\n  targets: [q, v]",
            "kind: frozen\nintermediate: {recipes: [mnli]}",
            "of a frozen encoder",
        ),
        ("[q, v]", "[]", "at least 1 item"),
        ("rank: 8", "rank: 0", "greater than or equal to 1"),
    ],
)
def test_contradictory_regimes_are_refused(
    tmp_path: Path, write: Callable[[Path, str], Path], old: str, new: str, message: str
) -> None:
    assert old in LORA
    with pytest.raises(InputError, match=message):
        load(Regime, write(tmp_path / "lora.yaml", LORA.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("doc_stride: 32\n", "", "expected doc_stride for the family span"),
        ("doc_stride: 32", "doc_stride: 0", "greater than or equal to 1"),
        ("max_length: 128", "max_length: 68", "expected max_length above 68"),
        ("family: span", "family: tagging", "expected labels for the family tagging"),
        ("family: span", "family: choice", "expected options"),
    ],
)
def test_a_task_must_say_what_its_family_needs(
    tmp_path: Path, write: Callable[[Path, str], Path], old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(Task, write(tmp_path / "qa.yaml", TASK.replace(old, new)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{B-DATE: O}", "label_map: expected I-DATE too where there is B-DATE"),
        ("{B-DATE: X, I-DATE: O}", "label_map: expected B-DATE to be one of B-LOC, .*, O, got X"),
        ("{B-PER: O, I-PER: O}", "label_map: expected labels that are not among labels, got B-PER"),
    ],
)
def test_a_label_map_fits_the_labels(tmp_path: Path, given: str, message: str) -> None:
    path = tmp_path / "panx.yaml"
    text = (CONFIGS / "tasks" / "panx.yaml").read_text(encoding="utf-8") + f"label_map: {given}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load(Task, path)
    assert caught.value.line == len(text.splitlines())


def test_what_a_config_does_not_say_is_not_in_its_runs_configs() -> None:
    """Runs that were trained before these keys existed stay valid."""
    task = load(Task, CONFIGS / "tasks" / "panx.yaml").model_dump(mode="json")
    assert "label_map" not in task and all("on_error" not in source for source in task["sources"]["test"])
    assert FileSet(format="wikiann", files=["f"], sha256={}).model_dump(mode="json") == {
        "format": "wikiann", "files": ["f"], "sha256": {}, "skip": 0, "take": None,
    }  # fmt: skip
    given = FileSet(format="wikiann", files=["f"], sha256={}, on_error="drop").model_dump(mode="json")
    assert given["on_error"] == "drop" and FileSet(**given).on_error == "drop"


def test_learning_rate_keys_are_those_the_recipes_have() -> None:
    for regime in load_all(Regime, CONFIGS / "regimes").values():
        for recipe in load_all(Recipe, CONFIGS / "recipes").values():
            assert learning_rate_key(regime.tuning) in recipe.learning_rate


def test_a_profile_falls_back_to_its_default_caps() -> None:
    pilot = load(Profile, CONFIGS / "profiles" / "pilot.yaml")
    assert pilot.cap("no-such-task") == pilot.caps["default"]
    assert pilot.cap("xquad") == pilot.caps["xquad"] != pilot.caps["default"]


@pytest.mark.parametrize(("name", "line"), [("xnli", "normalization: mlqa"), ("tatoeba", "mining: {score: cosine}")])
def test_a_task_says_nothing_that_its_family_does_not_use(tmp_path: Path, name: str, line: str) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(f"{(CONFIGS / 'tasks' / path.name).read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected normalization with the family span only, and mining with"):
        load(Task, path)
