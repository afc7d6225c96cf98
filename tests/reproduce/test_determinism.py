"""The switch for kernels in a fixed order, and the same run made twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.conftest import ROOT
from tests.reproduce.test_end_to_end import run_here

from xlt.files import read_json

RUN = "adapter/udpos/seed-1"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Torch's own switch holds for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)


def test_a_run_has_the_same_bits_again_and_with_the_switch_on(
    planned: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[bytes]] = []
    for value in ("0", "0", "1"):
        monkeypatch.setenv("XLT_DETERMINISTIC", value)
        root = shutil.copytree(planned, tmp_path / f"root-{len(made)}")
        assert run_here(root, RUN, mini_data, mini_encoder) == 0
        run = root / "runs" / RUN
        assert read_json(run / "provenance.json")["deterministic"] is (value == "1")
        files = [run / "weights.safetensors", run / "scores.json", *sorted((run / "predictions").rglob("*.*"))]
        made.append([path.read_bytes() for path in files])
    assert made[0] == made[1] == made[2]


def test_make_hands_the_switch_on() -> None:
    given = ["make", "-C", str(ROOT), "-pnR", "help", "DETERMINISTIC=1"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(given, capture_output=True, text=True, check=False, env=kept)
    assert "\nXLT_DETERMINISTIC := 1\n" in done.stdout
