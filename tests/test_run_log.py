"""What a run says: to its log where a display asks for it, in lines where no terminal shows bars."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

from xlt.run_log import Progress, parse
from xlt.training.progress import TrainingProgress

CODE = """
import logging, os, subprocess, sys
from pathlib import Path
from xlt.run_log import begin
begin(Path(sys.argv[1]))
print("said", flush=True)
logging.getLogger("xlt.training").info("known")
subprocess.run(["sh", "-c", "echo by a child >&2"])
"""


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("full mnli seed 1", 1, 3, 0, 120), "full mnli seed 1: epoch 1 of 3, step 0 of 120"),
        (Progress("a: b", 2, 3, 5, 9, 0.5, 71.25), "a: b: epoch 2 of 3, step 5 of 9, loss 0.500, development 71.25"),
        (Progress("x", 1, 1, 5, 9, None, 71.0), "x: epoch 1 of 1, step 5 of 9, development 71.00"),
    ],
)
def test_a_line_is_read_as_it_was_written(progress: Progress, line: str) -> None:
    assert str(progress) == line and parse(line) == progress
    assert parse("XNLI: predicting 15 languages") is None


def test_what_a_run_and_its_children_say_goes_behind_what_its_log_holds(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("before\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XLT_RUN_LOG": "1"}
    done = subprocess.run([sys.executable, "-c", CODE, tmp_path], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    before, said, known, child = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert (before, said, known[19:], child) == ("before", "said", " known", "by a child")
    (tmp_path / "run.log").unlink()
    environment.pop("XLT_RUN_LOG")
    done = subprocess.run([sys.executable, "-c", CODE, tmp_path], env=environment, capture_output=True, text=True)
    assert done.stdout == "said\n" and done.stderr.endswith("by a child\n") and not list(tmp_path.iterdir())


def test_a_log_has_a_line_for_each_epoch_and_half_minute_and_no_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("xlt.training.progress.time.monotonic", lambda: now)
    with caplog.at_level("INFO", "xlt"):
        progress = TrainingProgress(Progress("t", 1, 2, 0, 8))
        for step in range(8):
            now += 10.0
            progress.step(step // 4, step + 1, 0.5)
            if step % 4 == 3:
                progress.end_epoch(70.0 + step)
    assert [record.getMessage() for record in caplog.records] == [
        "t: epoch 1 of 2, step 0 of 8",
        "t: epoch 1 of 2, step 3 of 8, loss 0.500",  # after 30 s
        "t: epoch 1 of 2, step 4 of 8, loss 0.500, development 73.00",
        "t: epoch 2 of 2, step 7 of 8, loss 0.500, development 73.00",
        "t: epoch 2 of 2, step 8 of 8, loss 0.500, development 77.00",
    ]
    assert capfd.readouterr().err == ""
