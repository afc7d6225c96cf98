"""A goal seen from outside: one display, a log for each run, and an error as the last thing said; by stand-ins for runs."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tests.conftest import ROOT
from tests.scripts import call

from xlt.planning.display import Display
from xlt.planning.goal import Goal, GoalRun, about

RUN = """
import os, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
assert os.environ["XLT_RUN_LOG"]
log = (folder / "run.log").open("a", buffering=1)
log.write("2026-11-28 16:00:00 full mnli seed 1: epoch 1 of 2, step 3 of 8, loss 0.500, development 70.12\\n")
def stop(number, frame):
    log.write("interrupted (SIGTERM): finished runs are kept\\n")
    sys.exit(143)
match (folder / "config.json").read_text():
    case "wrong":
        log.write("error: x.tsv:3: expected a tag\\n")
        sys.exit(2)
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "noted":
        (folder / "failed.json").write_text('{"message": "ValueError: no"}')
        sys.exit(1)
    case "long":
        signal.signal(signal.SIGTERM, stop)
        (folder / "begun").touch()
        time.sleep(60)
(folder / "scores.json").touch()
log.write(f"{folder}: done in 1 s, xnli 71.2\\n")
"""
FIRST, SECOND = (f"root/runs/full/{name}/seed-1" for name in ("mnli", "panx"))
PLAN = f"""
{FIRST}/scores.json: {FIRST}/config.json $(ENCODER)
\t$(LAUNCH) $(PYTHON) reproduce/run.py {FIRST} $(RUN)
{SECOND}/scores.json: {SECOND}/config.json $(ENCODER) {FIRST}/scores.json
\t$(LAUNCH) $(PYTHON) reproduce/run.py {SECOND} $(RUN)
root/tables/table2.md: {FIRST}/scores.json {SECOND}/scores.json
\t@mkdir -p root/tables; touch $@; echo wrote $@; $(TABULATE)
.PHONY: table2
.DELETE_ON_ERROR:
table2: root/tables/table2.md
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a plan of two runs, one made from the other, and a stand-in for reproduce/run.py."""
    for name in (FIRST, SECOND, "reproduce"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "reproduce" / "run.py").write_text(RUN, encoding="utf-8")
    for name in (f"{FIRST}/config.json", f"{SECOND}/config.json", "prepared.json"):
        (tmp_path / name).touch()
    (tmp_path / "root" / "plan.mk").write_text(PLAN, encoding="utf-8")
    return tmp_path


def arguments(*more: str) -> list[str]:
    make = ["-f", "root/plan.mk", f"PYTHON={sys.executable}", "ENCODER=prepared.json", "LAUNCH=", "RUN=--data data"]
    return ["--root", "root", "--carry-out", "1", "--", "-j1", *make, *more, "table2"]


def test_without_a_terminal_a_line_when_a_run_starts_and_one_when_it_ends(place: Path) -> None:
    done = call("status", *arguments(), at=place)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "table2: 0 of 2 done, 0 running, 2 waiting",
        f"begun   {FIRST} (log: {FIRST}/run.log)",
        f"done    {FIRST}: in 1 s, xnli 71.2 (1 of 2 done, 0 running, 1 waiting)",
        f"begun   {SECOND} (log: {SECOND}/run.log)",
        f"done    {SECOND}: in 1 s, xnli 71.2 (2 of 2 done, 0 running, 0 waiting)",
        "wrote root/tables/table2.md",
    ]
    again = call("status", *arguments(), at=place)
    assert (again.returncode, again.stdout) == (0, "table2: 2 of 2 done, 0 running, 0 waiting\n")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wrong", "x.tsv:3: expected a tag"),
        ("noted", "ValueError: no"),
        (
            "killed",
            "ended with 'Killed' after: full mnli seed 1: epoch 1 of 2, step 3 of 8, loss 0.500, development 70.12",
        ),
    ],
)
def test_an_error_is_the_last_thing_said_and_names_the_log(place: Path, kind: str, message: str) -> None:
    (place / SECOND / "run.log").write_text("error: of an earlier time\n", encoding="utf-8")
    (place / SECOND / "config.json").write_text(kind, encoding="utf-8")
    done = call("status", *arguments(), at=place)
    assert done.returncode == 2
    assert done.stderr == f"error: {SECOND}: {message}; its log: {SECOND}/run.log\n"
    assert done.stdout.splitlines()[-1] == f"failed  {SECOND}: {message} (1 of 2 done, 0 running, 0 waiting, 1 failed)"


def test_what_fails_without_a_log_is_said_last_too(place: Path) -> None:
    done = call("status", *arguments("TABULATE=echo error: no scores >&2; echo more; exit 2"), at=place)
    assert (done.returncode, done.stderr) == (2, "error: no scores\n") and done.stdout.endswith("more\n")
    silent = call("status", *arguments("TABULATE=exit 3"), at=place)
    assert silent.returncode == 2 and "root/tables/table2.md] Error 3" in silent.stderr
    assert silent.stderr.startswith("error: make") and silent.stderr.count("\n") == 1


def test_a_signal_stops_the_runs_and_is_said_last(place: Path) -> None:
    (place / FIRST / "config.json").write_text("long", encoding="utf-8")
    command = [sys.executable, str(ROOT / "reproduce" / "status.py"), *arguments()]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    environment["PYTHONPATH"] = str(ROOT / "src")
    process = subprocess.Popen(
        command, cwd=place, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (place / FIRST / "begun").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 143 and out.splitlines()[-1] == "stopping: each run writes a checkpoint"
    assert err.startswith("interrupted (SIGTERM): ") and err.count("\n") == 1
    assert (place / FIRST / "run.log").read_text().endswith("interrupted (SIGTERM): finished runs are kept\n")


def goal(relative: bool = False) -> Goal:
    """Four runs that the plan takes for 100 s each, two at a time, and two that were done before."""
    runs = {f"root/runs/{n}": GoalRun(Path(f"root/runs/{n}"), Path(f"root/runs/{n}/scores.json")) for n in "abcd"}
    made = Goal("table2", runs, before=2, workers=2, relative=relative)
    made.estimate({f"runs/{n}": 100.0 for n in "abcd"}, Path("root"))
    return made


def test_the_time_left_follows_the_plan_and_then_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    now, other = goal(), goal(relative=True)
    assert now.left() == 200.0 and other.left() is None  # 4 of 100 s, two at a time; another machine's say nothing yet
    for each in (now, other):
        a, b, *_ = each.runs.values()
        a.state, a.seconds = "done", 150.0  # half as long again as planned
        b.state, b.begun = "running", 950.0  # for 50 s: 100 s of 150 s are left
        assert each.left() == 200.0  # (100 + 150 + 150) / 2
    assert now.counts() == "3 of 6 done, 1 running, 2 waiting; about 3 minutes left"
    assert Goal("x", {}, 1, 1).left() == 0.0
    said = {3: "10 seconds", 74: "70 seconds", 100: "2 minutes", 7000: "117 minutes", 9000: "2.5 hours"}
    assert {seconds: about(seconds) for seconds in said} == {seconds: f"about {text}" for seconds, text in said.items()}


def test_a_terminal_shows_the_whole_goal_in_one_place(tmp_path: Path) -> None:
    seen, made = io.StringIO(), goal()
    display = Display(made, Console(file=seen, force_terminal=True, width=100, highlight=False, legacy_windows=False))
    run = made.runs["root/runs/a"]
    run.folder, run.result = tmp_path / "full/mnli/seed-1", tmp_path / "full/mnli/seed-1/scores.json"
    run.folder.mkdir(parents=True)
    run.begin()
    display.begun(run)
    said = "2026-11-28 16:00:00 full mnli seed 1: epoch 1 of 2, step 3 of 8, loss 0.500, development 70.12\n"
    run.log.write_text(said, encoding="utf-8")
    assert not run.look(over=False)
    display.refresh()
    assert display.live is not None
    grid = io.StringIO()
    Console(file=grid, width=100).print(display.live.get_renderable())
    whole, row = grid.getvalue().splitlines()
    assert whole.split()[0] == "table2" and "2 of 6 done, 1 running, 3 waiting" in whole
    assert row.split()[0] == "full/mnli/seed-1" and row.rstrip().endswith("epoch 1 of 2, development 70.1")
    end = f"2026-11-28 16:01:00 XNLI: predicting 8 languages\n{run.folder}: done in 9 s, xnli 71.2\n"
    run.log.write_text(said + end, encoding="utf-8")
    run.result.touch()
    assert run.look(over=False)
    display.ended(run)
    display.close()
    assert "done    full/mnli/seed-1: in 9 s, xnli 71.2\n" in seen.getvalue().replace("\r", "")
