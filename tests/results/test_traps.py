"""Numbers that look alike and are not the same quantity: each such comparison with the committed reports is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import Task, load
from xlt.results.aggregate import task_result
from xlt.results.comparability import Comparer, Comparison
from xlt.results.reported import Reported, load_reported
from xlt.results.run_folders import load_plan, load_regime

CONFIGS = Path(__file__).parents[2] / "configs"
XNLI = ["ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
XQUAD = ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
TAGS = load(Task, CONFIGS / "tasks" / "udpos.yaml").languages["xtreme"]


@pytest.fixture(scope="module")
def reported() -> list[Reported]:
    return load_reported(CONFIGS / "reported")


@pytest.fixture
def compared(folders: Callable[..., Any], reported: list[Reported]) -> Callable[..., list[Comparison]]:
    """The lines of a finished run of the paper profile beside what was reported, all languages and averages."""

    def make(
        model: str,
        regime: str,
        name: str,
        metric: str,
        languages: list[str],
        *,
        dual_encoder: str | None = None,
        **recipe: Any,
    ) -> list[Comparison]:
        made = folders(profile="paper", model=model)
        made.profile |= {"splits": {}, "dual_encoder": dual_encoder}
        made.regime(regime)
        task = load(Task, CONFIGS / "tasks" / f"{name}.yaml")
        scores = {name: {each: dict.fromkeys(languages, 60.0) for each in task.metrics}}
        made.run(regime, task.recipe, 1, scores, **recipe)
        found = load_regime(made.root, load_plan(made.root), regime)
        comparer = Comparer(reported, model, found)
        result = task_result(found, task)
        return [*comparer.languages(result, metric), *comparer.averages(result, metric)]

    return make


def of(lines: list[Comparison], language: str) -> Comparison:
    return next(line for line in lines if line.language == language)


def test_another_training_recipe_on_xnli(compared: Any) -> None:
    lines = compared("xlmr-large", "full", "xnli", "accuracy", XNLI)
    assert of(lines, "sw").reason == "128 examples a batch on mnli, here 32"  # the XLM-R paper's
    average = of(lines, "avg")  # XTREME's own average is compared, not the XLM-R paper's 80.9
    assert average.reported is not None
    assert (average.reported.paper, average.reported.value, average.reason) == ("hu2020_xtreme", 79.2, None)


def test_another_layer_on_tatoeba(compared: Any) -> None:
    average = of(compared("xlmr-large", "untuned", "tatoeba", "accuracy", ["de", "fr"]), "avg")
    assert average.reason is not None and average.difference is None


@pytest.mark.parametrize(
    ("own", "reason"), [("reference", None), ("mean-in-batch", "dual encoder reference, here mean-in-batch")]
)
def test_a_dual_encoder_made_in_another_way(compared: Any, own: str, reason: str | None) -> None:
    line = of(compared("mbert", "full", "mewslix", "map@20", ["de", "ja"], dual_encoder=own), "ja")
    assert line.reported is not None and line.reported.value == 48.63
    assert (line.difference is None) == (reason is not None)
    assert reason is None or (line.reason or "").startswith(reason)


def test_f1_called_accuracy(compared: Any) -> None:
    f1, accuracy = (of(compared("xlmr-large", "full", "udpos", metric, TAGS), "avg") for metric in ("f1", "accuracy"))
    assert f1.reported is not None and f1.reported.value == 73.8
    assert (
        accuracy.reported is not None and accuracy.reported.paper == "nguyen2026_realignment"
    )  # one that is of accuracy


def test_map_without_and_with_a_cut_off(compared: Any) -> None:
    languages = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
    full, cut = (of(compared("mbert", "full", "lareqa", metric, languages), "avg") for metric in ("map", "map@20"))
    assert full.difference is None  # Roy et al. train on pairs of languages: no regime of ours
    assert cut.reported is not None and (cut.reported.paper, cut.difference) == ("zhang2024_mgte", None)


def test_eleven_and_twelve_languages_of_xquad(compared: Any) -> None:
    averages = [line for line in compared("mbert", "full", "xquad", "f1", XQUAD) if line.language == "avg"]
    values = {len(line.languages): line.reported.value for line in averages if line.reported and line.reason is None}
    assert values == {12: 65.2, 11: 64.5}
    eleven = [code for code in XQUAD if code != "ro"]
    only = of(compared("mbert", "full", "xquad", "f1", eleven), "avg")
    assert only.reported is not None and (only.reported.value, only.reason) == (64.5, None)


def test_averages_with_and_without_english(compared: Any) -> None:
    lines = compared("xlmr-base", "madx", "xnli", "accuracy", XNLI, epochs=15)
    averages = {len(line.languages): line for line in lines if line.language == "avg"}
    assert averages[15].difference is None  # ours over all has no report
    assert averages[11].reported is not None and averages[11].reported.value == 73.31  # as printed, over its languages
    assert "en" not in averages[11].languages
    assert averages[11].reason == "128 examples a batch on mnli, here 32"  # theirs is trained otherwise


def test_another_scorer_for_chinese(compared: Any) -> None:
    eleven = [code for code in XQUAD if code != "ro"]
    lines = compared("xlmr-base", "madx", "xquad", "f1", eleven, epochs=15)
    assert of(lines, "zh").reason == "another scorer for Chinese"
    assert of(lines, "de").reason is None
    averages = [line for line in lines if line.language == "avg" and line.reported and line.reported.value is not None]
    assert [line.reason for line in averages] == ["another scorer for Chinese"]


def test_a_row_without_its_runs_is_one_run_of_unknown_spread(reported: list[Reported]) -> None:
    rows = [e for e in reported if e.paper == "liu2024_fun_with_fisher" and e.regime == "full"]
    assert rows and {(entry.seeds, entry.std) for entry in rows} == {(None, None)}
    others = {e.seeds for e in reported if e.paper == "liu2024_fun_with_fisher" and e.regime == "madx"}
    assert others == {4}
