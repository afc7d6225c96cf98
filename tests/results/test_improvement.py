from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.results.conftest import keep_examples

from xlt.config.benchmark import Table, Task, load
from xlt.results.aggregate import task_result
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.differences import by_language
from xlt.results.probability_of_improvement import improvement
from xlt.results.render import to_markdown
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import Inputs
from xlt.results.statistics import holm

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS = {name: load(Task, CONFIGS / "tasks" / f"{name}.yaml") for name in ("xnli", "xcopa")}


@pytest.fixture
def rows(folders: Callable[..., Any]) -> Callable[..., Any]:
    """Regimes with runs of several seeds: ``scores[regime][task]`` is the accuracy in German by seed."""

    def make(scores: dict[str, dict[str, list[float]]]) -> Any:
        made = folders()
        made.profile["splits"] = {}
        for name, by_task in scores.items():
            made.regime(name, name.title())
            for task, values in by_task.items():
                for seed, value in enumerate(values, start=1):
                    made.run(name, task, seed, {task: {"accuracy": {"de": value}}})
        plan = load_plan(made.root)
        return plan, {name: load_regime(made.root, plan, name) for name in scores}

    return make


def results(regimes: Any) -> Any:
    return {name: {task: task_result(own, TASKS[task]) for task in TASKS} for name, own in regimes.items()}


def test_the_probability_is_averaged_over_tasks(rows: Any) -> None:
    scores = {
        "full": {"xnli": [50, 52, 54], "xcopa": [60, 60, 60]},
        "lora": {"xnli": [51, 53, 55], "xcopa": [70, 60, 60]},
    }
    _, regimes = rows(scores)
    found = improvement(results(regimes)["lora"], results(regimes)["full"], ["xnli", "xcopa"])
    assert found is not None
    # XNLI: 51 is above 1 of 3, 53 above 2, 55 above 3: 6 of 9. XCOPA: 70 above 3, 60 ties with 3, twice: 3 + 6 / 2 of 9.
    assert found.probability.estimate == pytest.approx((6 / 9 + 6 / 9) / 2)
    assert found.violation == 0  # sorted, each of lora's is at least as high
    assert 0 <= found.probability.low < 6 / 9 < found.probability.high <= 1
    assert found.seeds == (3, 3)
    reverse = improvement(results(regimes)["full"], results(regimes)["lora"], ["xnli", "xcopa"])
    assert reverse is not None
    assert (reverse.probability.estimate, reverse.violation) == (pytest.approx(3 / 9), 1.0)


def test_a_clear_improvement_has_no_doubt(rows: Any) -> None:
    _, regimes = rows({"full": {"xnli": [50, 52, 51]}, "lora": {"xnli": [61, 63, 62]}})
    found = improvement(results(regimes)["lora"], results(regimes)["full"], ["xnli"])
    assert found is not None
    assert (found.probability.low, found.probability.high) == (1.0, 1.0)
    assert found.probability.p < 0.01


def test_two_seeds_say_nothing(rows: Any) -> None:
    _, regimes = rows({"full": {"xnli": [50, 52, 51]}, "lora": {"xnli": [61, 63]}})
    assert improvement(results(regimes)["lora"], results(regimes)["full"], ["xnli"]) is None
    assert improvement(results(regimes)["lora"], results(regimes)["full"], []) is None


def test_table_2_shows_it_where_there_are_several_seeds(rows: Any) -> None:
    plan, regimes = rows({"full": {"xnli": [50, 52, 51]}, "lora": {"xnli": [61, 63, 62]}, "head": {"xnli": [40]}})
    config = Table(name="table2", title="T", regimes=list(regimes), tasks=["xnli"])
    table = BenchmarkTable(Inputs(config, plan, Path("none"), {"xnli": TASKS["xnli"]}, regimes))
    page = table.document
    section = next(each for each in page.sections if each.title == "Improvement over Full")
    assert [[cell.text for cell in row] for row in section.grid.rows] == [
        ["Lora", "1.00 [1.00, 1.00]", "0.00", "3 and 3"]
    ]
    assert "Agarwal et al. 2021" in to_markdown(page)
    written = {row["regime"]: row["improvement"] for row in json.loads(table.json)["rows"]}
    assert (written["full"], written["head"]) == (None, None)
    assert written["lora"]["probability"]["estimate"] == 1.0


def test_table_2_of_single_seeds_has_no_such_section(rows: Any) -> None:
    plan, regimes = rows({"full": {"xnli": [50]}, "lora": {"xnli": [61]}})
    config = Table(name="table2", title="T", regimes=list(regimes), tasks=["xnli"])
    page = BenchmarkTable(Inputs(config, plan, Path("none"), {"xnli": TASKS["xnli"]}, regimes)).document
    assert not any(section.title.startswith("Improvement") for section in page.sections)


def test_languages_are_tested_together(folders: Callable[..., Any]) -> None:
    made = folders()
    languages = ["de", "fr", "sw"]
    generator = np.random.default_rng(1)
    for name, gain in (("full", 0.0), ("adapter", 0.3)):
        made.regime(name)
        folder = made.run(name, "xnli", 1, {"xnli": {"accuracy": dict.fromkeys(languages, 50.0)}})
        chances = {"de": 0.5 + gain, "fr": 0.5 + gain / 2, "sw": 0.5}
        right = {f"xnli/accuracy/{c}": (generator.random(200) < chances[c]).astype(float) for c in languages}
        keep_examples(folder, right)
    plan = load_plan(made.root)
    full, adapter = (load_regime(made.root, plan, name) for name in ("full", "adapter"))
    found = by_language(made.root, adapter, full, TASKS["xnli"], [*languages, "zh"])
    assert list(found) == languages  # Chinese has no examples
    assert [own.adjusted for own in found.values()] == holm([own.interval.p for own in found.values()])
    assert found["de"].adjusted < 0.05 < found["sw"].adjusted
