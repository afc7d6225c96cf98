"""What make would run for a goal of a plan, and what each of it waits for: make's own decision, not a second one."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlt.errors import InputError
from xlt.layout import CONFIG
from xlt.names import one_of

STEP = re.compile(r"reproduce/\w+\.py (?P<folder>\S+) --data ")
"""The command of a run, or of a job that runs are made from, in a plan's rules (run_rules in plan.py)."""


@dataclass(frozen=True)
class PendingWork:
    """One run or job: its folder, the shell command that makes it, and the folders it is made from."""

    folder: str
    command: str
    needs: tuple[str, ...]


def plan_file(make: Sequence[str]) -> Path:
    """The plan in the arguments of a call of make, e.g. ``-f out/tiny/babel/plan.mk PYTHON=python table2``."""
    return Path(make[make.index("-f") + 1])


def rules(plan: Path) -> dict[str, list[str]]:
    """Prerequisites by target, of the rules that the planner wrote."""
    try:
        text = plan.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("expected the plan; run make plan", plan) from None
    split = (line.partition(":") for line in text.splitlines() if re.match(r"[^\s#.:=]\S*:( |$)", line))
    return {target: needs.split() for target, _, needs in split}


def planned(make: Sequence[str]) -> dict[str, str]:
    """Folder by result file, of every run and job that the goal (the last argument) is made from."""
    known = rules(plan_file(make))
    if make[-1] not in known:
        goals = [name for name in reversed(known) if "/" not in name]  # tables stand behind regimes
        raise InputError(f"TABLE: {one_of(goals, make[-1])}", plan_file(make))
    found: dict[str, str] = {}

    def visit(target: str) -> None:
        for need in known.get(target, []):
            if need in known and need not in found:
                visit(need)
                if f"{Path(need).parent}/{CONFIG}" in known[need]:
                    found[need] = str(Path(need).parent)

    visit(make[-1])
    return found


def dry_run(make: Sequence[str]) -> Iterator[str]:
    """The commands that make would run, in order; run from within make or not."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "-n", *make], capture_output=True, text=True, check=False, env=inherited)
    if done.returncode != 0:
        raise InputError(f"make -n: {done.stderr.strip().splitlines()[-1]}", plan_file(make))
    return iter(done.stdout.splitlines())


def due(make: Sequence[str]) -> list[PendingWork]:
    """What is not done of the goal's runs and jobs, each after what it is made from."""
    known, results = rules(plan_file(make)), planned(make)
    commands = {match["folder"]: line.strip() for line in dry_run(make) if (match := STEP.search(line))}
    targets = {folder: target for target, folder in results.items()}
    return [
        PendingWork(
            folder, command, tuple(results[need] for need in known[targets[folder]] if results.get(need) in commands)
        )
        for folder, command in commands.items()
    ]
