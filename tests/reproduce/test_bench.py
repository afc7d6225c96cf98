"""reproduce/bench.py: it measures what it says and fails when a promise is not kept."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT

from xlt.artifacts import read_json
from xlt.errors import exit_status


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "reproduce")])
    return importlib.import_module("bench")


def run(bench: Any, monkeypatch: pytest.MonkeyPatch, *given: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench.py", "--quick", "--candidates", "3000", "--queries", "40", *given])
    return exit_status(bench.main)


def test_the_figures_of_a_small_search(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(bench, monkeypatch, "--output", str(tmp_path / "bench.json")) == 0
    found = read_json(tmp_path / "bench.json")["retrieval"]
    assert (found["candidates"], found["queries"], found["width"]) == (3000, 40, 768)
    assert found["search_seconds"] > 0
    assert found["peak_bytes"] > 3000 * 768 * 4


def test_a_broken_promise_is_an_error(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "LARGEST_BYTES", 1)
    assert run(bench, monkeypatch) == 2
    assert "expected a peak of at most" in capsys.readouterr().err
