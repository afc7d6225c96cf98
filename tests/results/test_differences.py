from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.results.conftest import keep_examples

from xlt.config.benchmark import Table, Task, load
from xlt.errors import InputError
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.differences import average_error, difference, examples_of
from xlt.results.render import to_markdown
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import Inputs

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS = {name: load(Task, CONFIGS / "tasks" / f"{name}.yaml") for name in ("xnli", "panx", "xquad")}


@pytest.fixture
def two(folders: Callable[..., Any]) -> Callable[..., tuple[Path, Any, Any]]:
    """Two regimes scored on XNLI, WikiANN and XQuAD in German with the given arrays by seed; ``items``: see conftest."""

    def make(
        first: dict[str, list[Any]], second: dict[str, list[Any]], items: dict[str, Any] | None = None
    ) -> tuple[Path, Any, Any]:
        made = folders()
        for name, arrays in (("full", first), ("adapter", second)):
            made.regime(name)
            for task, by_seed in arrays.items():
                metrics = {"xnli": ["accuracy"], "panx": ["f1"], "xquad": ["f1", "exact_match"]}[task]
                for seed, values in enumerate(by_seed, start=1):
                    folder = made.run(name, task, seed, {task: {metric: {"de": 50.0} for metric in metrics}})
                    kept = dict(zip(metrics, values if len(metrics) > 1 else [values], strict=True))
                    keep_examples(folder, {f"{task}/{m}/de": v for m, v in kept.items()}, items)
        plan = load_plan(made.root)
        return made.root, load_regime(made.root, plan, "full"), load_regime(made.root, plan, "adapter")

    return make


def test_examples_are_stacked_by_seed_and_answers_are_averaged(two: Any) -> None:
    root, full, _ = two({"xquad": [[[1.0, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.0, 0.0]]]}, {"xquad": [[[1.0], [1.0]]]})
    found = examples_of(root, full, TASKS["xquad"], "de")
    assert found is not None and found.seeds == (1, 2) and found.items.tolist() == [0, 1]
    assert found.examples.tolist() == [[1.0, 0.25], [0.25, 0.25]]  # (F1 + exact match) / 2
    only = examples_of(root, full, TASKS["xquad"], "de", ["f1"])
    assert only is not None and only.examples.tolist() == [[1.0, 0.5], [0.5, 0.5]]
    assert examples_of(root, full, TASKS["xquad"], "fr") is None


def test_tasks_weigh_the_same(two: Any) -> None:
    spans = {"first": [[1, 1, 1]] * 4, "second": [[0, 1, 1]] * 4}  # F1 100 against 0
    root, full, adapter = two(
        {"xnli": [[1, 1, 0, 0]], "panx": [spans["first"]]}, {"xnli": [[1, 0, 0, 0]], "panx": [spans["second"]]}
    )
    found = difference(root, full, adapter, [(TASKS["xnli"], ["de"]), (TASKS["panx"], ["de"])])
    assert found is not None
    assert found.estimate == pytest.approx((25 + 100) / 2)
    # all spans differ alike; of XNLI's four examples one differs: variance (0.25 * 0.75) / 4 * 4 / 3 = 0.0625, half of it
    # is 12.5 points, and t with 3 degrees of freedom is 3.182
    assert (found.low, found.high) == (pytest.approx(62.5 - 39.8, abs=0.1), pytest.approx(62.5 + 39.8, abs=0.1))


def test_other_items_are_other_examples(two: Any) -> None:
    root, full, adapter = two({"xnli": [[1, 0, 1]]}, {"xnli": [[1, 0, 0]]}, {"xnli/de": [1, 2, 3]})
    assert difference(root, full, adapter, [(TASKS["xnli"], ["de"])]) is not None
    keep_examples(root / adapter.runs[0].planned.dir, {"xnli/accuracy/de": [1, 0, 0]}, {"xnli/de": [1, 2, 4]})
    assert difference(root, full, adapter, [(TASKS["xnli"], ["de"])]) is None


def test_the_error_of_an_average_knows_translations(two: Any) -> None:
    root, full, _ = two({"xnli": [[1] * 60 + [0] * 40], "xquad": [[[1.0], [1.0]]]}, {"xnli": [[1]]})
    folder = root / full.runs[0].planned.dir
    right = [1] * 60 + [0] * 40
    for shift, factor in ((0, 1.0), (100, 0.5)):  # the same items in both languages, and others
        items = {"xnli/de": range(100), "xnli/fr": range(shift, 100 + shift)}
        keep_examples(folder, {"xnli/accuracy/de": right, "xnli/accuracy/fr": right}, items)
        error = average_error(root, full, TASKS["xnli"], ["de", "fr"], None)
        count = 100 + shift
        # sqrt(0.6 * 0.4 / 100) in points is 4.899, of which independent languages take sqrt(1 / 2)
        assert error == pytest.approx(4.899 * np.sqrt(factor * count / (count - 1)), abs=1e-3)
    assert average_error(root, full, TASKS["xnli"], ["de", "sw"], None) is None


def test_no_interval_without_examples_or_with_other_ones(two: Any, tmp_path: Path) -> None:
    root, full, adapter = two({"xnli": [[1, 0, 1]]}, {"xnli": [[1, 0]]})
    assert difference(root, full, adapter, [(TASKS["xnli"], ["de"])]) is None
    assert difference(root, full, adapter, []) is None
    (root / full.runs[0].planned.dir / "examples.npz").unlink()
    assert examples_of(root, full, TASKS["xnli"], "de") is None


def test_seeds_must_have_the_same_examples(two: Any) -> None:
    root, full, _ = two({"xnli": [[1, 0, 1], [1, 0]]}, {"xnli": [[1, 0]]})
    with pytest.raises(InputError, match="the same examples of xnli, de in every seed"):
        examples_of(root, full, TASKS["xnli"], "de")


def test_runs_from_before_items_were_kept_say_what_to_do(two: Any) -> None:
    root, full, _ = two({"xnli": [[1, 0]]}, {"xnli": [[1, 0]]})
    path = root / full.runs[0].planned.dir / "examples.npz"
    np.savez(path, **{"xnli/accuracy/de": np.ones(2)})
    with pytest.raises(InputError, match=r"expected the array xnli/item/de; delete scores\.json and run again"):
        examples_of(root, full, TASKS["xnli"], "de")


def test_table_2_shows_the_interval(two: Any) -> None:
    root, full, adapter = two({"xnli": [[1, 0, 0, 0] * 25]}, {"xnli": [[1, 1, 0, 0] * 25]})
    config = Table(name="table2", title="T", regimes=["full", "adapter"], tasks=["xnli"])
    plan = load_plan(root)
    rows = {"full": full, "adapter": adapter}
    table = BenchmarkTable(Inputs(config, plan, root, {"xnli": TASKS["xnli"]}, rows))
    found = table.intervals["adapter"]
    assert found is not None and (found.estimate, table.intervals["full"]) == (pytest.approx(25), None)
    # a quarter of the examples differs: t(99) = 1.984 times 100 * sqrt(0.25 * 0.75 / 99) = 4.352
    assert (found.low, found.high) == (pytest.approx(25 - 8.635, abs=0.01), pytest.approx(25 + 8.635, abs=0.01))
    text = to_markdown(table.document)
    assert f"0.0 [{found.low:.1f}, {found.high:.1f}]" in text  # the scores of this fixture are equal
    assert "95 % confidence interval" in text and "about these trained models only" in text
    assert "decide nothing between rows of which one has fewer than 3 seeds (fewest: 1)" in text
