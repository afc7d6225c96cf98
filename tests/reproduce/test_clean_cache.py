"""make tells every run where the shared tokenised data lie, and removes them; the tests get none, and a thread each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from xlt.folders import make_own

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "XLT_"))}
    command = ["make", *arguments, f"XLT_PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True).stdout


def test_runs_share_a_folder_of_the_cache() -> None:
    shown = ("--eval", 'shown: ; @echo "$$XLT_FEATURES"', "shown")
    assert make(*shown) == "out/cache/features\n"
    assert make(*shown, "OUT=/elsewhere") == "/elsewhere/cache/features\n"
    assert make(*shown, "CACHE=/cache/encoders") == "/cache/encoders/features\n"


def test_clean_cache_removes_only_that(tmp_path: Path) -> None:
    kept, gone = tmp_path / "babel" / "prepared.json", tmp_path / "features" / "0123456789abcdef.arrow"
    make_own(gone.parent)
    for path in (kept, gone):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    make("clean-cache", f"CACHE={tmp_path}")
    assert kept.exists() and not gone.parent.exists()
    make("clean-cache", f"CACHE={tmp_path}")  # nothing there: no error


def test_the_tests_have_a_worker_of_one_thread_for_each_of_up_to_four_cores() -> None:
    for cores, workers in ((1, 1), (2, 2), (16, 4)):
        told = make("-s", "test", f"CORES={cores}", "PYTHON=echo $$OMP_NUM_THREADS,$$XLT_FEATURES")
        assert told.startswith(f"1, -m pytest -q -n {workers} ")
