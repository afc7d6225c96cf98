"""Submission to a real Slurm cluster on loopback, with a node that dies in the middle."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT, make_plan
from tests.reproduce.test_end_to_end import run_here
from tests.slurm_cluster import Cluster, cluster, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"Slurm: {missing()}")
GOAL = "adapter-itt"
RUNS = ("adapter/mnli/seed-1", "adapter-itt/mnli/seed-1", "adapter-itt/udpos/seed-1")


@pytest.fixture
def slurm() -> Iterator[Cluster]:
    """A cluster of this test's own."""
    with cluster() as found:
        yield found


def call(slurm: Cluster, script: str, root: Path, data: Path, encoder: Path) -> subprocess.CompletedProcess[str]:
    """reproduce/slurm.py or status.py as the Makefile calls it."""
    make = ["-f", f"{root}/plan.mk", f"PYTHON={sys.executable}", f"ENCODER={encoder}/prepared.json", "REPORTED="]
    make += [f"RUN=--data {data} --encoder {encoder} --threads 1", GOAL]
    command = [sys.executable, f"reproduce/{script}.py", "--root", str(root)]
    command += ["--options=--gres=gpu:1"] if script == "slurm" else []
    environment = slurm.environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "src"}
    return subprocess.run(
        [*command, "--", *make], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_runs_of_a_regime_survive_a_dead_node_and_come_out_as_they_do_here(
    slurm: Cluster, mini_configs: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    for path in (mini_configs / "tasks").glob("*.yaml"):  # two tasks are enough: three runs, of which two wait for one
        if path.stem not in ("xnli", "udpos"):
            path.unlink()
    for path in (mini_configs / "tables").glob("*.yaml"):
        path.unlink()
    here, there = tmp_path / "here", tmp_path / "there"
    make_plan(mini_configs, mini_data, here, mini_encoder)
    make_plan(mini_configs, mini_data, there, mini_encoder)

    done = call(slurm, "slurm", there, mini_data, mini_encoder)
    assert done.returncode == 0, done.stderr
    dead = ""
    while not dead:  # the first run has begun somewhere
        dead = slurm.call("squeue", "--noheader", "--states=RUNNING", "--format=%N").strip()
        time.sleep(0.2)
    status = call(slurm, "status", there, mini_data, mini_encoder).stdout
    assert status.startswith(f"{GOAL}: 3 runs: 0 done, 1 running, 2 queued, 0 failed, 0 to do\n"), status
    slurm.kill_node(dead)
    requeued = ("squeue", "--noheader", "--array", "--states=PENDING", "--jobs=1", "--format=%i %r")
    slurm.wait("1_0 BeginTime", *requeued, seconds=120)  # the cluster has noticed, and waits two minutes by itself
    slurm.call("scontrol", "update", "JobId=1_0", "StartTime=now")
    slurm.wait("", "squeue", "--noheader", seconds=300)

    log = (there / "slurm" / "1_0.log").read_text(encoding="utf-8")
    assert f"{there}/runs/adapter/mnli/seed-1: done in " in log
    assert call(slurm, "status", there, mini_data, mini_encoder).stdout.splitlines() == [
        f"{GOAL}: 3 runs: 3 done, 0 running, 0 queued, 0 failed, 0 to do"
    ]
    assert (there / "tables" / f"regime-{GOAL}.md").exists()  # the last job has collected the results
    for name in RUNS:
        assert run_here(here, name, mini_data, mini_encoder) == 0
        for file in ("scores.json", "weights.safetensors"):
            assert (there / "runs" / name / file).read_bytes() == (here / "runs" / name / file).read_bytes()


def test_what_is_made_from_a_failed_run_is_not_started(
    slurm: Cluster, planned: Path, mini_data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(planned, tmp_path / "root")
    text = (planned / "plan.mk").read_text(encoding="utf-8").replace(str(planned), str(root))
    (root / "plan.mk").write_text(text, encoding="utf-8")
    broken = tmp_path / "no-data"
    done = call(slurm, "slurm", root, broken, mini_encoder)  # every run finds no files
    assert done.returncode == 0, done.stderr
    slurm.wait("", "squeue", "--noheader", seconds=300)
    status = call(slurm, "status", root, mini_data, mini_encoder).stdout
    first = f"{root}/runs/adapter/mnli/seed-1"
    assert f"  failed   {first}  {broken}" in status
    assert f"  to do    {root}/runs/adapter-itt/udpos/seed-1  made from {first}, which failed" in status
