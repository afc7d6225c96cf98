"""The same runs made in several ways, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import table
from tests.conftest import ROOT
from tests.results.conftest import Folders

from xlt.errors import InputError
from xlt.results.side_by_side import side_by_side

CONFIGS = ROOT / "configs"


def made(root: Path, adapter: float) -> str:
    """A root with finished runs of two regimes on XNLI, as NAME=ROOT; the adapter has so many points more."""
    folders = Folders(root)
    for name, more in (("full", 0.0), ("adapter", adapter)):
        folders.regime(name)
        folders.run(name, "mnli", 1, {"xnli": {"accuracy": {"de": 60.0 + more, "sw": 40.0 + more}}}, split="dev")
    folders.plan["tables"]["one"] = {"regimes": ["full", "adapter"], "left_out": []}
    folders.plan["seeds"] = [1]
    folders.write_plan()
    return f"{root.name}={root}"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "configs" / "tables").mkdir(parents=True)
    (tmp_path / "configs" / "tasks").symlink_to(CONFIGS / "tasks")
    text = "name: one\ntitle: One\nregimes: [full, adapter]\ntasks: [xnli]\n"
    (tmp_path / "configs" / "tables" / "one.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "configs"


def test_means_and_the_largest_differences(tmp_path: Path, configs: Path) -> None:
    ways = [made(tmp_path / "a", 0.0), made(tmp_path / "b", 3.0)]
    *_, row = side_by_side(ways, "one", configs).splitlines()
    # full has 50 in both ways, adapter 50 and 53: 50 and 51.5 on average
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["XNLI", "50.0", "51.5", "3.0 (adapter)", "3.0 (adapter, de)"]


def test_an_unfinished_run_and_a_single_way_are_refused(tmp_path: Path, configs: Path) -> None:
    way = made(tmp_path / "a", 0.0)
    with pytest.raises(InputError, match="expected at least two of NAME=ROOT"):
        side_by_side([way], "one", configs)
    (tmp_path / "a" / "runs/adapter/mnli/seed-1/scores.json").unlink()
    with pytest.raises(InputError, match="expected finished runs of adapter on xnli; make one first"):
        side_by_side([way, way], "one", configs)


def test_the_command_line(tmp_path: Path, configs: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ways = [made(tmp_path / "a", 0.0), made(tmp_path / "b", 3.0)]
    given = ["table.py", "--side-by-side", *ways, "--configs", str(configs)]
    monkeypatch.setattr(sys, "argv", [*given, "--table", "one"])
    table.main()
    assert "| XNLI" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*given, "--regime", "full"])
    with pytest.raises(InputError, match="--side-by-side: expected --table"):
        table.main()
