"""Every command of README.md and REPRODUCE.md, run as written in a copy of the project with a finished miniature world.

What would train for more than a moment is planned by ``make -n`` here; ``tests/commands.py`` runs it at full size.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.commands import DRY, PAGES, RUN, SKIP, Way, commands, environment, goals, prepared, run, way
from tests.conftest import ROOT, stamp_as_prepared
from tests.reproduce.test_end_to_end import run_here

from xlt.files import read_json

COMMANDS = list(dict.fromkeys(command for page in PAGES for command in commands(page)))
ROWS = ["full"]
FINISHED = {"smoke", "table2", "verify", "claims", "report", "submission", "archive", "encoder", "help", "plan", "data"}
"""What only looks at the finished table 2; the rest of the targets would train, test or write the pages again."""


def way_here(command: str) -> Way:
    """As in tests/commands.py, but what trains, tests or takes seconds is only planned."""
    found = way(command)
    more = "ROWS=all" in command or "path/to/it" in command
    if found.how == RUN and command.startswith("make") and (more or not goals(command) <= {*FINISHED, "verify-data"}):
        return Way(DRY, "trains, tests or writes the pages")
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, mini_data: Path, mini_encoder: Path) -> Path:
    """A copy of the project in git whose table 2 has one row and whose generated world is the miniature one."""
    folder = tmp_path_factory.mktemp("checkout") / "xlt"
    unwanted = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", ".git", ".venv", "out", "data.tar")
    shutil.copytree(
        ROOT, folder, ignore=lambda at, names: unwanted(at, names) | ({"data"} if at == str(ROOT) else set())
    )
    path = folder / "configs" / "profiles" / "tiny.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    (train,), (dev,) = (profile["sources"]["tydiqa"][split] for split in ("train", "dev"))
    train["take"] = dev["skip"] = 12
    profile |= {"rows": {**profile["rows"], "table2": ROWS}, "epochs": {"default": 1}}
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    (folder / "configs" / "reported" / "tiny.yaml").unlink(missing_ok=True)  # what the real generated world scores
    shutil.copytree(mini_data, folder / "out" / "tiny" / "data")
    (folder / "out" / "tiny" / "data" / "babel.stamp.json").touch()  # newer than its generator: make leaves it alone
    shutil.copytree(mini_encoder, folder / "out" / "cache" / "babel")
    stamp_as_prepared(folder / "out" / "cache" / "babel", "babel")
    for git in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *git], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def finished(checkout: Path) -> Path:
    """The same with the runs done, in this process; one process for each run would take a minute."""
    root = Path("out/tiny/babel")
    assert run("make plan", Way(RUN), checkout, here(), None).status == 0
    before = Path.cwd()
    os.chdir(checkout)
    try:
        plan = read_json(root / "plan.json")
        for name in ROWS:
            for each in plan["regimes"][name]["runs"]:
                if set(each["tasks"]) & set(plan["tables"]["table2"]["tasks"]):
                    folder = each["dir"].removeprefix("runs/")
                    assert run_here(root, folder, root.parent / "data", Path("out/cache/babel")) == 0
    finally:
        os.chdir(before)
    return checkout


def here() -> dict[str, str]:
    """The environment of the commands: this interpreter, one thread."""
    return environment() | {"XLT_PYTHON": sys.executable, "JOBS": "1", "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("command", [command for command in COMMANDS if way(command).how != SKIP])
def test_it_runs_as_written(command: str, finished: Path) -> None:
    how = way_here(command)
    if goals(command) != {"plan"}:  # the plan is looked at before there is a folder of data
        (finished / "data").mkdir(exist_ok=True)
    with prepared(command, finished):
        outcome = run(command, how, finished, here(), None)
    shutil.rmtree(finished / "data", ignore_errors=True)
    assert outcome.ended_as(how), f"{outcome.status}: {outcome.output[-2000:]}"


def test_a_plan_before_there_are_data_counts_all_official_files_and_writes_nothing(checkout: Path) -> None:
    page = (ROOT / "REPRODUCE.md").read_text(encoding="utf-8")
    expected = re.search(r"^\| `make table2` +\|[^|]+\|[^|]+\| (\d+) +\|", page, re.MULTILINE)
    assert expected is not None
    outcome = run("make plan PROFILE=paper MODEL=xlmr-base DATA=nowhere OUT=fresh", Way(RUN), checkout, here(), None)
    assert f", {expected[1]} to do" in outcome.output
    assert outcome.output.splitlines()[-1].startswith("no data folder yet: counted for all official files")
    assert not (checkout / "fresh").exists() and not (checkout / "nowhere").exists()
