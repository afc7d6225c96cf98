"""reproduce/bench.py: it measures what it says and fails when a promise is not kept or a part breaks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from xlt.bench.measure import Measurement, Promise
from xlt.errors import exit_status
from xlt.files import read_json

SMALL = ("--quick", "--only", "retrieval", "--candidates", "3000", "--queries", "40")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    return importlib.import_module("bench")


def run(bench: Any, monkeypatch: pytest.MonkeyPatch, *given: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench.py", *given])
    return exit_status(bench.main)


def test_the_figures_of_a_small_search(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(bench, monkeypatch, *SMALL, "--output", str(tmp_path / "bench.json")) == 0
    found = read_json(tmp_path / "bench.json")
    part = found["parts"]["retrieval"]
    assert [part["figures"][key] for key in ("candidates", "queries", "width")] == [3000, 40, 64]
    assert part["times"]["search"]["median"] > 0
    assert part["figures"]["peak_bytes"] > 3000 * 64 * 4
    assert found["threads"] == 1 and found["quick"] is True
    assert "| search / bare product |" in (tmp_path / "bench.md").read_text()


def test_a_broken_promise_is_named(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Measurement("t", promises=[Promise("speed", 1.0, 1.0, 1.0, "at least", 2.0)]).as_json()
    monkeypatch.setattr(bench, "run_part", lambda command, seconds: slow)
    assert run(bench, monkeypatch, "--only", "answers") == 1
    assert "missed: answers, speed: expected at least 2, got 1 x" in capsys.readouterr().err


def test_a_part_that_breaks_is_an_error_after_the_others(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def part(command: list[str], seconds: float) -> dict[str, Any]:
        commands.append(command)
        return {"failed": "no room"} if command[-1] == "answers" else Measurement("t").as_json()

    monkeypatch.setattr(bench, "run_part", part)
    assert run(bench, monkeypatch, "--only", "answers", "protocol") == 2
    assert [command[-2:] for command in commands] == [["--part", "answers"], ["--part", "protocol"]]
    printed = capsys.readouterr()
    assert "error: answers: no room" in printed.err
    assert "## protocol" in printed.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--queries", "0"), "--queries: expected at least 1, got 0"),
        (("--threads", "0"), "--threads: expected a whole number from 1 to 9999, got '0'"),
        (("--data", "x"), "expected both --data and --encoder, or neither"),
        (("--data", "x", "--encoder", "y"), "y: expected a prepared encoder; run reproduce/prepare_model.py"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: tuple[str], message: str
) -> None:
    assert run(bench, monkeypatch, "--quick", *given) == 2
    assert f"error: {message}" in capsys.readouterr().err
