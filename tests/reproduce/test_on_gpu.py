"""One run per GPU on a machine with several: pretend GPUs, real locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.conftest import ROOT

NAMES = ("GPU-aaa", "GPU-bbb")
HOLD = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep({seconds})"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs: an nvidia-smi that lists them, and a folder for locks."""
    lines = "\\n".join(f"{index}, {name}" for index, name in enumerate(NAMES))
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "{lines}\\n"\n', encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XLT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def start(*options: str, seconds: float = 0.0) -> subprocess.Popen[str]:
    """A run that says which GPU it got and holds it for a while."""
    command = [sys.executable, str(ROOT / "reproduce" / "gpu_lock.py"), *options, "--"]
    command += [sys.executable, "-c", HOLD.format(seconds=seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def gpu_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def test_runs_at_a_time_get_a_gpu_each_and_the_next_one_waits_for_it(machine: Path) -> None:
    first, second = start(seconds=60), start(seconds=60)
    freed, kept = gpu_of(first), gpu_of(second)
    assert {freed, kept} == set(NAMES)
    third = start()
    assert third.stderr is not None
    assert third.stderr.readline() == "waiting for a GPU: all 2 are taken\n"
    assert third.poll() is None
    first.send_signal(signal.SIGKILL)  # however a run ends, its GPU is free again
    assert gpu_of(third) == freed
    end(first, second, third)


def test_two_runs_on_one_gpu_only_when_asked_and_after_every_gpu_has_one(machine: Path) -> None:
    processes = []
    for _ in range(4):
        processes.append(start("--each", "2", seconds=60))
    assert Counter(map(gpu_of, processes)) == {NAMES[0]: 2, NAMES[1]: 2}
    end(*processes)


def test_a_run_that_wants_two_gpus_gets_both_or_holds_none(machine: Path) -> None:
    one = start(seconds=60)
    held = gpu_of(one)
    both = start("--gpus", "2")
    assert both.stderr is not None
    assert both.stderr.readline() == "waiting for a GPU: no 2 of 2 are free\n"
    other = start(seconds=60)
    assert {held, gpu_of(other)} == set(NAMES)  # the one that waits does not keep it
    end(one, other)
    assert gpu_of(both) == ",".join(NAMES)
    end(both)


def test_more_gpus_than_there_are_is_one_line(machine: Path) -> None:
    tool = [sys.executable, str(ROOT / "reproduce" / "gpu_lock.py"), "--gpus", "3", "--", "true"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: expected 3 GPUs for one run, got 2; use fewer processes\n")


def test_only_the_gpus_of_cuda_visible_devices_are_taken(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    first = start(seconds=60)
    assert gpu_of(first) == NAMES[1]
    second = start()
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting for a GPU: all 1 are taken\n"
    end(first, second)


def test_the_exit_status_is_the_commands_own(machine: Path) -> None:
    command = [sys.executable, str(ROOT / "reproduce" / "gpu_lock.py"), "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, check=False).returncode == 7


@pytest.mark.parametrize(
    ("visible", "command", "message"),
    [
        ("3", ["true"], "error: expected GPUs of this machine (0, 1), got '3'\n"),
        ("", ["true"], "error: expected GPUs of this machine (0, 1), got ''\n"),
        (
            "0",
            ["no-such-command"],
            "error: expected a command that can be run, got no-such-command: No such file or directory\n",
        ),
        ("0", [], "error: expected -- and a command\n"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    machine: Path, monkeypatch: pytest.MonkeyPatch, visible: str, command: list[str], message: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tool = [sys.executable, str(ROOT / "reproduce" / "gpu_lock.py"), "--", *command]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, message)


def test_make_uses_every_gpu_and_one_run_for_each(machine: Path) -> None:
    """The Makefile starts as many runs as there are GPUs, each through reproduce/gpu_lock.py; LAUNCH comes first."""
    tool = machine / "bin" / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "GPU 0: pretend"; echo "GPU 1: pretend"\n', encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "XLT_"))}

    def carried_out(*more: str) -> str:
        command = ["make", "--eval", "shown: ; @echo $(CARRY_OUT)", "shown", "XLT_PYTHON=python", *more]
        return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout

    assert "-j2 " in carried_out() and "LAUNCH=python reproduce/gpu_lock.py --each 1 --" in carried_out()
    assert "-j4 " in carried_out("PER_GPU=2") and "--each 2 --" in carried_out("PER_GPU=2")
    assert "LAUNCH=srun --gres=gpu:1\n" in carried_out("LAUNCH=srun --gres=gpu:1")
    submitted = carried_out("LAUNCH=slurm", "SBATCH=--gres=gpu:1 --time=60")
    assert "reproduce/slurm.py" in submitted and "--options=--gres=gpu:1 --time=60 " in submitted
    assert " LAUNCH= " in submitted  # the word slurm is no prefix of a run's command
