"""Means and standard deviations, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import Task, load
from xlt.errors import InputError
from xlt.results.aggregate import SCORE, average_over_tasks, common_tasks, headline_metrics, summarize, task_result
from xlt.results.run_folders import load_plan, load_regime

CONFIGS = Path(__file__).parents[2] / "configs"
XNLI = load(Task, CONFIGS / "tasks" / "xnli.yaml")
XQUAD = load(Task, CONFIGS / "tasks" / "xquad.yaml")

# XNLI: seed 1 (80 + 60) / 2 = 70, seed 2 (82 + 62) / 2 = 72.
XNLI_SEEDS = {1: {"accuracy": {"en": 80.0, "de": 60.0}}, 2: {"accuracy": {"en": 82.0, "de": 62.0}}}
# XQuAD: en (80 + 60) / 2 = 70, de (60 + 40) / 2 = 50, average 60; seed 2 is three points higher everywhere: 63.
XQUAD_SEEDS = {
    1: {"f1": {"en": 80.0, "de": 60.0}, "exact_match": {"en": 60.0, "de": 40.0}},
    2: {"f1": {"en": 83.0, "de": 63.0}, "exact_match": {"en": 63.0, "de": 43.0}},
}


def results(folder: Any, regime: str = "full") -> dict[str, Any]:
    loaded = load_regime(folder.root, load_plan(folder.root), regime)
    return {task.name: task_result(loaded, task) for task in (XNLI, XQUAD)}


@pytest.fixture
def two_seeds(folders: Callable[..., Any]) -> Any:
    folder = folders()
    folder.regime("full")
    for seed in (1, 2):
        folder.run("full", "mnli", seed, {"xnli": XNLI_SEEDS[seed]})
        folder.run("full", "squad", seed, {"xquad": XQUAD_SEEDS[seed]})
    return folder


def test_summarize_uses_the_sample_standard_deviation() -> None:
    stat = summarize({2: 72.0, 1: 70.0})
    assert stat is not None
    assert stat.mean == 71.0
    assert stat.std == pytest.approx(math.sqrt(2))  # squared deviations 1 + 1, divided by 2 - 1
    assert stat.seeds == (1, 2)


def test_one_seed_has_no_standard_deviation() -> None:
    stat = summarize({7: 50.0})
    assert stat is not None
    assert (stat.mean, stat.std) == (50.0, None)
    assert summarize({}) is None


def test_headline_is_the_mean_of_f1_and_exact_match_for_span_tasks_only() -> None:
    assert headline_metrics(XQUAD) == ["f1", "exact_match"]
    assert headline_metrics(XNLI) == ["accuracy"]


def test_task_averages_by_seed(two_seeds: Any) -> None:
    found = results(two_seeds)
    assert found["xnli"].average(SCORE) == {1: 70.0, 2: 72.0}
    assert found["xquad"].average("f1") == {1: 70.0, 2: 73.0}
    assert found["xquad"].average(SCORE) == {1: 60.0, 2: 63.0}
    assert found["xquad"].values[SCORE]["de"] == {1: 50.0, 2: 53.0}


def test_average_over_given_languages(two_seeds: Any) -> None:
    assert results(two_seeds)["xnli"].average("accuracy", ["de"]) == {1: 60.0, 2: 62.0}
    assert results(two_seeds)["xnli"].average("accuracy", ["fr"]) == {}


def test_average_over_tasks_is_taken_seed_by_seed(two_seeds: Any) -> None:
    # seed 1: (70 + 60) / 2 = 65; seed 2: (72 + 63) / 2 = 67.5; mean 66.25; deviations of 1.25, so std = 2.5 / sqrt 2
    stat = average_over_tasks(results(two_seeds), ["xnli", "xquad"])
    assert stat is not None
    assert stat.mean == 66.25
    assert stat.std == pytest.approx(2.5 / math.sqrt(2))


def test_average_over_tasks_needs_a_seed_with_every_task(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": XNLI_SEEDS[1]})
    folder.run("full", "squad", 2, {"xquad": XQUAD_SEEDS[2]})
    assert average_over_tasks(results(folder), ["xnli", "xquad"]) is None
    assert average_over_tasks(results(folder), []) is None


def test_language_without_files_is_left_out_of_the_average_and_named(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": XNLI_SEEDS[1]}, no_data={"xnli": ["sw"]})
    result = results(folder)["xnli"]
    assert result.average(SCORE) == {1: 70.0}
    assert result.missing == ("sw",)
    assert result.status == "ok"


def test_statuses(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, None, tasks=["xnli"])
    found = results(folder)
    assert found["xnli"].status == "not run"
    assert found["xquad"].status == "no data"  # the regime is planned, and no run of it for XQuAD
    folder.regime("empty")
    assert results(folder, "empty")["xnli"].status == "not run"


def test_no_language_has_files(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": {}}, no_data={"xnli": ["en", "de"]})
    assert results(folder)["xnli"].status == "no data"


def test_language_in_one_seed_only_is_left_out(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": XNLI_SEEDS[1]})
    folder.run("full", "mnli", 2, {"xnli": {"accuracy": {"en": 82.0}}})
    result = results(folder)["xnli"]
    assert result.languages == ("en",)
    assert result.uneven == ("de",)
    assert result.average(SCORE) == {1: 80.0, 2: 82.0}


def test_seeds_must_agree_on_the_split(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": XNLI_SEEDS[1]}, split="dev")
    folder.run("full", "mnli", 2, {"xnli": XNLI_SEEDS[2]}, split="test")
    with pytest.raises(InputError, match="one split of xnli"):
        results(folder)


def test_metric_of_the_task_must_be_there(folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "squad", 1, {"xquad": {"f1": {"en": 80.0}}})
    with pytest.raises(InputError, match="exact_match of xquad"):
        results(folder)


def test_common_tasks_leave_out_regimes_that_did_not_start(folders: Callable[..., Any]) -> None:
    folder = folders()
    for name in ("full", "adapter", "lora"):
        folder.regime(name)
    folder.run("full", "mnli", 1, {"xnli": XNLI_SEEDS[1]})
    folder.run("full", "squad", 1, {"xquad": XQUAD_SEEDS[1]})
    folder.run("adapter", "mnli", 1, {"xnli": XNLI_SEEDS[1]})
    folder.run("adapter", "squad", 1, None, tasks=["xquad"])
    folder.run("lora", "mnli", 1, None, tasks=["xnli"])
    found = {name: results(folder, name) for name in ("full", "adapter", "lora")}
    assert common_tasks(found, ["xnli", "xquad"]) == ["xnli"]
    assert common_tasks({"lora": found["lora"]}, ["xnli", "xquad"]) == []
