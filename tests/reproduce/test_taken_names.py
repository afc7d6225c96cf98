"""Two configs whose runs, pages or rows would have one name are refused before anything is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import make_plan

from xlt.errors import InputError


def copy(configs: Path, old: str, new: str, **values: Any) -> None:
    """A config under another name."""
    content = yaml.safe_load((configs / f"{old}.yaml").read_text(encoding="utf-8"))
    content = {**content, "name": Path(new).name, **values}
    (configs / f"{new}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("recipes/mnli", "recipes/none", "recipes/none.yaml: the planner's own runs are called so"),
        ("recipes/mnli", "recipes/intermediate", "recipes/intermediate.yaml: the planner's own runs are called so"),
        ("tasks/xnli-pairs", "tasks/mnli", "tasks/mnli.yaml: a recipe's runs are called so"),
        ("tables/table2", "tables/full", "tables/full.yaml: a regime's page or goal is called so"),
        ("tables/table2", "tables/regime-full", "tables/regime-full.yaml: a regime's page or goal is called so"),
        ("regimes/head", "regimes/adapter-after-siqa", "a row of the grid is called adapter-after-siqa, as another"),
    ],
)
def test_a_name_of_two_things_is_refused(
    mini_configs: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    copy(mini_configs, old, new)
    with pytest.raises(InputError, match=message):
        make_plan(mini_configs, mini_data, tmp_path / "root", mini_encoder)
    assert not (tmp_path / "root").exists()


def test_the_runs_that_only_serve_others_keep_their_name(
    mini_configs: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    """``wide`` goes on from runs called wide-plain, since no regime has its axes without MNLI."""
    tuning = {"kind": "lora", "rank": 3, "alpha": 6, "targets": ["q"]}
    copy(mini_configs, "regimes/lora-itt", "regimes/wide", tuning=tuning)
    make_plan(mini_configs, mini_data, tmp_path / "first", mini_encoder)
    assert (tmp_path / "first" / "runs" / "wide-plain" / "mnli" / "seed-1" / "config.json").exists()
    copy(mini_configs, "regimes/head", "regimes/wide-plain")
    with pytest.raises(InputError, match="regime wide-plain: runs that wide goes on from are called so; rename one"):
        make_plan(mini_configs, mini_data, tmp_path / "second", mini_encoder)
