from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlt.config import Table, Task, load
from xlt.errors import InputError
from xlt.results import benchmark_table
from xlt.results.differences import difference, examples_of
from xlt.results.render import to_markdown
from xlt.results.runs import load_plan, load_regime

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS = {name: load(Task, CONFIGS / "tasks" / f"{name}.yaml") for name in ("xnli", "panx", "xquad")}


@pytest.fixture
def two(folders: Callable[..., Any]) -> Callable[..., tuple[Path, Any, Any]]:
    """Two regimes scored on XNLI (German) and WikiANN (German) with the given arrays by seed."""

    def make(first: dict[str, list[Any]], second: dict[str, list[Any]]) -> tuple[Path, Any, Any]:
        made = folders()
        for name, arrays in (("full", first), ("adapter", second)):
            made.regime(name)
            for task, by_seed in arrays.items():
                metrics = {"xnli": ["accuracy"], "panx": ["f1"], "xquad": ["f1", "exact_match"]}[task]
                for seed, values in enumerate(by_seed, start=1):
                    folder = made.run(name, task, seed, {task: {metric: {"de": 50.0} for metric in metrics}})
                    kept = dict(zip(metrics, values if len(metrics) > 1 else [values], strict=True))
                    np.savez(folder / "examples.npz", **{f"{task}/{m}/de": np.array(v) for m, v in kept.items()})
        plan = load_plan(made.root)
        return made.root, load_regime(made.root, plan, "full"), load_regime(made.root, plan, "adapter")

    return make


def test_examples_are_stacked_by_seed_and_answers_are_averaged(two: Any) -> None:
    root, full, _ = two({"xquad": [[[1.0, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.0, 0.0]]]}, {"xquad": [[[1.0], [1.0]]]})
    found = examples_of(root, full, TASKS["xquad"], "de")
    assert found is not None and found.tolist() == [[1.0, 0.25], [0.25, 0.25]]  # (F1 + exact match) / 2
    assert examples_of(root, full, TASKS["xquad"], "fr") is None


def test_tasks_weigh_the_same(two: Any) -> None:
    spans = {"first": [[1, 1, 1]] * 4, "second": [[0, 1, 1]] * 4}  # F1 100 against 0
    root, full, adapter = two(
        {"xnli": [[1, 1, 0, 0]], "panx": [spans["first"]]}, {"xnli": [[1, 0, 0, 0]], "panx": [spans["second"]]}
    )
    found = difference(root, full, adapter, [(TASKS["xnli"], ["de"]), (TASKS["panx"], ["de"])])
    assert found is not None
    assert found.estimate == pytest.approx((25 + 100) / 2)
    # spans differ in every draw; of XNLI's four examples one differs: between 0 and 4 of 4 times drawn
    assert 50 <= found.low < found.estimate < found.high <= 100


def test_no_interval_without_examples_or_with_other_ones(two: Any, tmp_path: Path) -> None:
    root, full, adapter = two({"xnli": [[1, 0, 1]]}, {"xnli": [[1, 0]]})
    assert difference(root, full, adapter, [(TASKS["xnli"], ["de"])]) is None
    assert difference(root, full, adapter, []) is None
    (root / full.runs[0].planned.dir / "examples.npz").unlink()
    assert examples_of(root, full, TASKS["xnli"], "de") is None


def test_seeds_must_have_the_same_examples(two: Any) -> None:
    root, full, _ = two({"xnli": [[1, 0, 1], [1, 0]]}, {"xnli": [[1, 0]]})
    with pytest.raises(InputError, match="as many examples of xnli, de in every seed"):
        examples_of(root, full, TASKS["xnli"], "de")


def test_table_2_shows_the_interval(two: Any) -> None:
    root, full, adapter = two({"xnli": [[1, 0, 0, 0] * 25]}, {"xnli": [[1, 1, 0, 0] * 25]})
    config = Table(name="table2", title="T", regimes=["full", "adapter"], tasks=["xnli"])
    plan = load_plan(root)
    rows = {"full": full, "adapter": adapter}
    table = benchmark_table.build(config, plan, {"xnli": TASKS["xnli"]}, rows, root=root)
    found = table.intervals["adapter"]
    assert found is not None and (found.estimate, table.intervals["full"]) == (pytest.approx(25), None)
    # a quarter of the examples differs: 1.96 * sqrt(0.25 * 0.75 / 100) = 8.5 points
    assert (found.low, found.high) == (pytest.approx(25 - 8.5, abs=1.6), pytest.approx(25 + 8.5, abs=1.6))
    text = to_markdown(benchmark_table.document(table))
    assert f"0.0 [{found.low:.1f}, {found.high:.1f}]" in text  # the scores of this fixture are equal
    assert "95 % confidence interval" in text
