"""One run by two processes, as torchrun and make start them: the files of one process, one line and one exit status."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import run as script
from tests.conftest import ROOT
from tests.training.two_processes import write_still_encoder

from xlt.files import read_json

LIMIT = 200.0
"""Seconds after which processes that wait for each other count as hanging."""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SEVERAL = ["--processes", "2"]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path) -> Path:
    """The miniature encoder without dropout."""
    return write_still_encoder(tmp_path_factory.mktemp("encoder") / "still", mini_encoder)


def copied(planned: Path, folder: Path, name: str, **changes: str) -> Path:
    """The folder of a run in a copy of the plan, with values of its recipe changed."""
    root = shutil.copytree(planned, folder)
    path = root / "runs" / name / "config.json"
    text = path.read_text(encoding="utf-8")
    for key, value in changes.items():
        text, found = re.subn(rf'(?m)^( *"{key}":) [\d.e+-]+(,?)$', rf"\1 {value}\2", text)
        assert found
    path.write_text(text, encoding="utf-8")
    return path.parent


def start(run: Path, data: Path, encoder: Path, *more: str, launcher: Sequence[str] = ()) -> subprocess.Popen[str]:
    script = str(ROOT / "reproduce" / "run.py")
    command = [*(launcher or [sys.executable]), script, str(run), "--data", str(data), "--encoder", str(encoder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command += ["--threads", "1", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def lines(text: str) -> list[str]:
    """What was said, without progress bars."""
    return [line for line in re.split(r"[\r\n]+", text) if line.strip() and "it/s" not in line and "%|" not in line]


def files(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def test_torchrun_leaves_the_files_of_one_process(
    planned: Path, mini_data: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "adapter/udpos/seed-1"
    one, two = (copied(planned, tmp_path / number, name, batch_size="3") for number in ("one", "two"))
    process = start(two, mini_data, still, launcher=TORCHRUN)
    given = ["run.py", str(one), "--data", str(mini_data), "--encoder", str(still), "--threads", "1"]
    monkeypatch.setattr(sys, "argv", given)
    script.main()
    out, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    assert re.fullmatch(rf"{two}: done in \d+ s, udpos \d+\.\d\n", out)
    assert files(two) == files(one)
    scores, expected = (read_json(run / "scores.json")["tasks"]["udpos"]["metrics"]["f1"] for run in (two, one))
    assert scores == pytest.approx(expected, abs=5)  # of a few words a tie may fall the other way
    losses, wanted = (read_json(run / "trained.json")["stages"]["udpos"]["losses"] for run in (two, one))
    assert losses == pytest.approx(wanted, rel=1e-4)
    assert read_json(two / "provenance.json")["processes"] == 2
    assert read_json(one / "provenance.json")["processes"] == 1


def test_a_signal_stops_all_after_a_step(planned: Path, mini_data: Path, still: Path, tmp_path: Path) -> None:
    run = copied(planned, tmp_path / "root", "adapter/udpos/seed-1", epochs="100000")
    process = begun(run, mini_data, still)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert lines(said)[-1:] == ["interrupted (SIGTERM): finished runs are kept; run the same command again to go on"]
    assert said.count("interrupted") == 1
    state = read_json(run / "checkpoint" / "state.json")
    assert state["values"]["done"] > 0
    assert not (run / "failed.json").exists()


def test_a_process_that_is_killed_ends_the_run(planned: Path, mini_data: Path, still: Path, tmp_path: Path) -> None:
    run = copied(planned, tmp_path / "root", "adapter/udpos/seed-1", epochs="100000")
    process = begun(run, mini_data, still)
    os.kill(worker(process.pid, "1"), signal.SIGKILL)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGKILL
    told = [line for line in lines(said) if line.startswith(("error:", "interrupted"))]
    assert len(told) == 1, said
    assert "Traceback" not in said


def test_a_bad_loss_is_one_line_and_status_2(planned: Path, mini_data: Path, still: Path, tmp_path: Path) -> None:
    run = copied(planned, tmp_path / "root", "adapter/udpos/seed-1", learning_rate="1.0e+30", batch_size="3")
    process = start(run, mini_data, still, *SEVERAL)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    (told,) = [line for line in lines(said) if "error:" in line]
    assert re.search(
        r"loss \S+ at step \d \(gradient norm nan; training examples .*\); try a lower learning rate", told
    )
    assert json.loads((run / "failed.json").read_text(encoding="utf-8"))["message"] == told.removeprefix("error: ")


def begun(run: Path, data: Path, encoder: Path) -> subprocess.Popen[str]:
    """The run under make's launcher, while it trains."""
    process = start(run, data, encoder, *SEVERAL, "--checkpoint-every", "0")
    until = time.monotonic() + LIMIT
    while not (run / "checkpoint" / "state.json").exists():  # steps have been taken
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    return process


def worker(launcher: int, rank: str) -> int:
    """The process id of one of the launcher's processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            values: Any = dict(
                each.split("=", 1) for each in (folder / "environ").read_text().split("\0") if "=" in each
            )
        except OSError:
            continue
        if parent == launcher and values.get("RANK") == rank:
            return int(folder.name)
    raise AssertionError("no such process")


def test_make_starts_so_many_processes_for_each_run() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "XLT_"))}

    def carried_out(*more: str) -> str:
        command = ["make", "--eval", "shown: ; @echo $(CARRY_OUT)", "shown", "XLT_PYTHON=python", "CORES=8", *more]
        return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout

    assert "PROCESSES" not in carried_out() and "-j4 " in carried_out() and "--threads 2 " in carried_out()
    two = carried_out("PROCESSES=2")
    assert "PROCESSES=2" in two
    assert "-j2 " in two and "--threads 2 " in two
    on_gpus = carried_out("PROCESSES=2", "GPUS=4")
    assert "-j2 " in on_gpus and "reproduce/gpu_lock.py --each 1 --gpus 2 --" in on_gpus
    assert "--threads 6 " in carried_out("PROCESSES=2", "LAUNCH=slurm", "THREADS=3")


def test_what_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    _, said = (process := start(tmp_path, tmp_path, tmp_path, "--processes", "0")).communicate(timeout=LIMIT)
    expected = "error: --processes: expected a whole number from 1 to 9999, got '0'\n"
    assert (process.returncode, said) == (2, expected)
