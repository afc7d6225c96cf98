"""Submission to Slurm against stand-ins for its commands that write down how they were called, and the state of runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scripts import call

FAKE = """#!{python}
import json, os, sys
from pathlib import Path
here = Path(os.environ["FAKE_SLURM"])
name = Path(sys.argv[0]).name
with (here / "calls.jsonl").open("a") as calls:
    text = sys.stdin.read() if name == "sbatch" else ""
    calls.write(json.dumps([name, sys.argv[1:], text]) + "\\n")
if name == "sbatch":
    if "--gres=gpu:99" in sys.argv:
        sys.exit("sbatch: error: Batch job submission failed: Requested node configuration is not available")
    number = len([line for line in (here / "calls.jsonl").read_text().splitlines() if line.startswith('["sbatch"')])
    print(number)
if name == "squeue":
    queue = here / "queue"
    print(queue.read_text() if queue.exists() else "", end="")
"""
PLAN = """# A plan as the planner writes it: two runs made from a third, and one on its own.
root/runs/full/mnli/seed-1/scores.json: root/runs/full/mnli/seed-1/config.json $(ENCODER)
\t$(LAUNCH) $(PYTHON) reproduce/run.py root/runs/full/mnli/seed-1 $(RUN)

root/runs/full/panx/seed-1/scores.json: root/runs/full/panx/seed-1/config.json $(ENCODER)
\t$(LAUNCH) $(PYTHON) reproduce/run.py root/runs/full/panx/seed-1 $(RUN)

root/runs/full-itt/panx/seed-1/scores.json: root/runs/full-itt/panx/seed-1/config.json $(ENCODER) \
root/runs/full/mnli/seed-1/scores.json
\t$(LAUNCH) $(PYTHON) reproduce/run.py root/runs/full-itt/panx/seed-1 $(RUN)

root/runs/full-itt/squad/seed-1/scores.json: root/runs/full-itt/squad/seed-1/config.json $(ENCODER) \
root/runs/full/mnli/seed-1/scores.json
\t$(LAUNCH) $(PYTHON) reproduce/run.py root/runs/full-itt/squad/seed-1 $(RUN)

root/tables/table2.md: root/runs/full/mnli/seed-1/scores.json root/runs/full/panx/seed-1/scores.json \
root/runs/full-itt/panx/seed-1/scores.json root/runs/full-itt/squad/seed-1/scores.json
\tmkdir -p root/tables; touch root/tables/table2.md
.PHONY: table2
table2: root/tables/table2.md
"""
RUNS = ("full/mnli", "full/panx", "full-itt/panx", "full-itt/squad")


def folder(name: str) -> str:
    return f"root/runs/{name}/seed-1"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan of four runs, and stand-ins for Slurm's commands on PATH."""
    for name in ("sbatch", "squeue", "scancel"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE.replace("{python}", sys.executable), encoding="utf-8")
        path.chmod(0o755)
    for name in RUNS:
        (tmp_path / folder(name)).mkdir(parents=True)
        (tmp_path / folder(name) / "config.json").touch()
    (tmp_path / "prepared.json").touch()
    (tmp_path / "root" / "plan.mk").write_text(PLAN.replace("\\\n", ""), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path))
    return tmp_path


def finish(place: Path, *names: str) -> None:
    for name in names:
        (place / folder(name) / "scores.json").touch()


def script(place: Path, name: str, *options: str, goal: str = "table2") -> subprocess.CompletedProcess[str]:
    """reproduce/slurm.py or status.py in ``place``, with the arguments for make that the Makefile gives."""
    make = ["-f", "root/plan.mk", "PYTHON=python", "ENCODER=prepared.json", "RUN=--data data --threads 1", goal]
    return call(name, "--root", "root", *options, "--", *make, at=place)


def calls(place: Path, name: str) -> list[tuple[list[str], str]]:
    """Arguments and standard input of each call of a stand-in so far."""
    log = place / "calls.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(arguments, text) for called, arguments, text in lines if called == name]


def value(arguments: list[str], option: str) -> str | None:
    return next((each.split("=", 1)[1] for each in arguments if each.startswith(f"{option}=")), None)


def test_runs_with_the_same_needs_form_an_array_that_waits_for_exactly_those(place: Path) -> None:
    done = script(place, "slurm", "--options=--gres=gpu:1 --comment 'two words'", "--threads", "3")
    assert done.returncode == 0, done.stderr
    first, second, last = calls(place, "sbatch")
    assert value(first[0], "--array") == "0-1"
    assert value(first[0], "--dependency") is None
    assert "0) exec python reproduce/run.py root/runs/full/mnli/seed-1 --data data --threads 1 ;;" in first[1]
    assert "1) exec python reproduce/run.py root/runs/full/panx/seed-1 --data data --threads 1 ;;" in first[1]
    assert value(second[0], "--array") == "0-1"
    assert value(second[0], "--dependency") == "afterok:1_0"  # MNLI's job alone, not the array
    assert "--kill-on-invalid-dep=yes" in second[0]
    assert "full-itt/panx" in second[1] and "full-itt/squad" in second[1]
    assert value(last[0], "--dependency") == "afterany:1:2"
    assert "--collect" in last[1]
    for arguments, _ in (first, second, last):
        assert arguments[-3:] == ["--gres=gpu:1", "--comment", "two words"]
        assert value(arguments, "--cpus-per-task") == "3"
        assert "--requeue" in arguments


def test_the_array_script_does_its_own_command_only(place: Path) -> None:
    script(place, "slurm")
    text = calls(place, "sbatch")[0][1].replace("exec python reproduce/run.py", "exec echo did")
    done = subprocess.run(["bash", "-c", text], env={"SLURM_ARRAY_TASK_ID": "1"}, capture_output=True, text=True)
    assert done.stdout == "did root/runs/full/panx/seed-1 --data data --threads 1\n"


def test_what_is_done_is_not_submitted_and_what_is_queued_is_not_submitted_twice(place: Path) -> None:
    finish(place, "full/mnli")
    assert script(place, "slurm").returncode == 0
    array, _ = calls(place, "sbatch")
    assert value(array[0], "--array") == "0-2"  # nothing is left to wait for
    assert value(array[0], "--dependency") is None

    (place / "queue").write_text(
        "1_0|RUNNING|None|n1\n1_1|PENDING|Resources|\n1_2|PENDING|Resources|\n2|PENDING|Dependency|\n"
    )
    again = script(place, "slurm")
    assert again.stdout == "table2: all 3 run(s) that are left are in the queue already; make status shows them\n"
    assert len(calls(place, "sbatch")) == 2

    (place / "queue").write_text("1_0|RUNNING|None|n1\n2|PENDING|Dependency|\n")  # two of them ended without a result
    assert script(place, "slurm").returncode == 0
    array, collector = calls(place, "sbatch")[2:]
    assert value(array[0], "--array") == "0-1"
    assert value(collector[0], "--dependency") == "afterany:1:3"
    assert [arguments for arguments, _ in calls(place, "scancel")] == [["2"]]


def test_a_run_in_the_queue_is_waited_for_by_what_is_made_from_it(place: Path) -> None:
    finish(place, "full-itt/panx", "full-itt/squad")
    script(place, "slurm")  # these two are older than MNLI's result will be, so they are due with it
    (place / "queue").write_text("1_0|RUNNING|None|n1\n")
    assert script(place, "slurm").returncode == 0
    dependencies = [value(arguments, "--dependency") for arguments, _ in calls(place, "sbatch")]
    assert dependencies == [None, "afterok:1_0", "afterany:1:2", None, "afterok:1_0", "afterany:1:4:5"]


def test_with_every_run_done_the_table_is_written_at_once(place: Path) -> None:
    finish(place, "full/mnli", "full/panx")
    finish(place, "full-itt/panx", "full-itt/squad")
    assert script(place, "slurm").returncode == 0
    assert (place / "root/tables/table2.md").exists()
    assert calls(place, "sbatch") == []


def test_collecting_writes_the_table_or_names_what_is_missing(place: Path) -> None:
    finish(place, "full/mnli", "full/panx", "full-itt/panx")
    done = script(place, "slurm", "--collect")
    assert done.returncode == 2
    assert done.stderr == (
        "error: table2: 1 run(s) ended without a result (make status says why): root/runs/full-itt/squad/seed-1\n"
    )
    assert not (place / "root/tables/table2.md").exists()
    finish(place, "full-itt/squad")
    assert script(place, "slurm", "--collect").returncode == 0
    assert (place / "root/tables/table2.md").exists()


def test_a_dry_run_submits_nothing(place: Path) -> None:
    done = script(place, "slurm", "--dry-run")
    assert done.stdout.splitlines()[0] == "# an array of 2"
    assert "# an array of 2, after root/runs/full/mnli/seed-1" in done.stdout
    assert calls(place, "sbatch") == []


def test_what_slurm_refuses_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = script(place, "slurm", "--options=--gres=gpu:99")
    assert done.returncode == 2
    assert done.stderr == (
        "error: sbatch: sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
    )
    only_make = place / "only-make"  # on a machine that has Slurm, its commands are not to be found either
    only_make.mkdir()
    (only_make / "make").symlink_to(str(shutil.which("make")))
    monkeypatch.setenv("PATH", str(only_make))
    done = script(place, "slurm")
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected Slurm's ")


def test_status_gives_every_run_with_the_reason(place: Path) -> None:
    finish(place, "full/panx")
    assert script(place, "slurm").returncode == 0  # job 1: MNLI; job 2: what is made from it
    (place / "queue").write_text("1_0|RUNNING|None|node7\n2_0|PENDING|Dependency|\n2_1|PENDING|Dependency|\n")
    assert script(place, "status").stdout == (
        "table2: 4 runs: 1 done, 1 running, 2 queued, 0 failed, 0 to do\n"
        "  running  root/runs/full/mnli/seed-1  job 1_0 on node7\n"
        "  queued   root/runs/full-itt/panx/seed-1  job 2_0: Dependency\n"
        "  queued   root/runs/full-itt/squad/seed-1  job 2_1: Dependency\n"
    )
    (place / "queue").write_text("")
    (place / "root/slurm/1_0.log").write_text("step 3\nslurmstepd: error: *** CANCELLED DUE TO TIME LIMIT ***\n")
    assert script(place, "status").stdout == (
        "table2: 4 runs: 1 done, 0 running, 0 queued, 1 failed, 2 to do\n"
        "  failed   root/runs/full/mnli/seed-1  job 1_0 ended without a result: "
        "slurmstepd: error: *** CANCELLED DUE TO TIME LIMIT ***\n"
        "  to do    root/runs/full-itt/panx/seed-1  made from root/runs/full/mnli/seed-1, which failed\n"
        "  to do    root/runs/full-itt/squad/seed-1  made from root/runs/full/mnli/seed-1, which failed\n"
    )
    (place / folder("full/mnli") / "failed.json").write_text('{"message": "disk full"}')
    assert "  failed   root/runs/full/mnli/seed-1  disk full\n" in script(place, "status").stdout


def test_status_of_something_that_is_not_planned_is_one_line(place: Path) -> None:
    done = script(place, "status", goal="table9")
    assert done.returncode == 2
    assert done.stderr == "error: root/plan.mk: TABLE: expected one of table2, got table9\n"


def test_a_group_larger_than_an_array_may_be_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from xlt.planning import slurm
    from xlt.planning.pending import PendingWork

    monkeypatch.setattr(slurm, "LARGEST_ARRAY", 2)
    work = [PendingWork(f"late-{number}", "", ("early",)) for number in range(3)] + [PendingWork("early", "", ())]
    groups = [[each.folder for each in group] for group in slurm.grouped(work)]
    assert groups == [["early"], ["late-0", "late-1"], ["late-2"]]
