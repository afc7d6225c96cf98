"""``configs/recorded.yaml``: what the finished runs of the tiny profile took and show; its models, and how it is written.

Tables that have not finished and claims whose runs have not finished get no entry. What was measured by hand stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from xlt.config.benchmark import Strict, load_all
from xlt.errors import InputError
from xlt.files import write_atomic
from xlt.planning.cost import spent
from xlt.planning.plan import build
from xlt.planning.result_reader import ResultReader
from xlt.results.claims import Claim, Status
from xlt.results.run_folders import load_plan

MARK = "# From here on written by `make record`"
UNFINISHED = ("not run", "no data", "not covered")


class Wall(Strict):
    """Minutes on the clock, and what they are made of."""

    wall_minutes: int = Field(ge=1)
    note: str


class RecordedTable(Strict):
    """A table of the generated world: its runs and jobs, and minutes of one core."""

    runs: int = Field(ge=1)
    minutes: int = Field(ge=1)


class RecordedEffect(Strict):
    """An effect in points (of word pairs: in per cent) with its 95 % interval."""

    found: float
    low: float
    high: float


class Found(Strict):
    """What ``make claims`` found on a claim, with the fewest seeds of a row; one seed of word pairs has no interval."""

    status: Status
    seeds: int = Field(ge=1)
    effect: RecordedEffect | None = None


class Recorded(Strict):
    """``configs/recorded.yaml``: what was measured so far. ``tiny``: by command of ``asked``, where it has finished."""

    machine: str
    smoke: Wall
    tiny_all: Wall = Field(alias="tiny-all")
    tiny: dict[str, RecordedTable]
    human_minutes: int = Field(ge=1)
    claims: dict[str, Found]


def asked(claims: Mapping[str, Claim]) -> list[tuple[str, bool]]:
    """The tables that the claims rest on, and whether with every row."""
    return list(dict.fromkeys(_made_by(claim.command) for claim in claims.values() if claim.command is not None))


def key(table: str, every: bool) -> str:
    """The name of a table in ``Recorded.tiny``."""
    return f"{table} all" if every else table


def _made_by(command: str) -> tuple[str, bool]:
    """The table that a claim's command makes, and whether with every row."""
    found = re.fullmatch(r"make (table\w+)( ROWS=all)?", command)
    if found is None:
        raise InputError(f"claims: command: expected make <table>, or the same with ROWS=all, got {command}")
    return found[1], found[2] is not None


def tables(root: Path, data: Path, configs: Path) -> dict[str, dict[str, int]]:
    """Runs and minutes of one core of every table that a claim rests on and that has finished with the profile's seeds."""
    planned = load_plan(root)
    plans = {
        every: build(configs, planned.profile, root, data=data, model=planned.model, all_rows=every)
        for every in (False, True)
    }
    found = {}
    for table, every in asked(load_all(Claim, configs / "claims")):
        plan = plans[every]
        seconds = spent(plan, table)
        if seconds is not None:
            runs = sum(folder in plan.runs for folder in plan.needed(table))
            found[key(table, every)] = {"runs": runs, "minutes": max(1, round(seconds / 60))}
    return found


def claims(root: Path, configs: Path) -> dict[str, dict[str, Any]]:
    """What the finished runs show of every claim, with the fewest seeds of a row."""
    found: dict[str, dict[str, Any]] = {}
    for finding in ResultReader(root, configs).findings():
        name = finding.claim.name
        if finding.status in UNFINISHED:
            continue
        found[name] = {"status": finding.status, "seeds": finding.fewest}
        if (effect := finding.effect) is not None:
            values = {"found": effect.estimate, "low": effect.low, "high": effect.high}
            found[name]["effect"] = {key: round(value, 1) for key, value in values.items()}
    return found


def written(text: str, made: Mapping[str, Mapping[str, Any]], path: Path) -> str:
    """The file with other content below the mark; what stands above it, and the mark's comment, stay.

    Raises:
        InputError: there is no mark.
    """
    above, mark, below = text.partition(MARK)
    if not mark:
        raise InputError(f"expected the line {MARK} ... above what this script writes", path)
    lines = [line for line in (mark + below).splitlines() if line.startswith("#")]
    for name, entries in made.items():
        lines.append(f"{name}:" if entries else f"{name}: {{}}")
        lines += [
            f"  {entry}: {yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=1000).strip()}"
            for entry, values in entries.items()
        ]
    return above + "\n".join(lines) + "\n"


def record(root: Path, data: Path, configs: Path) -> str:
    """Write what the runs below ``root`` took and show into ``configs/recorded.yaml``. Returns one line on it.

    Raises:
        InputError: the runs are of another profile, or the file has no mark.
    """
    if (profile := load_plan(root).profile) != "tiny":
        raise InputError(f"expected runs of the profile tiny, got those of {profile}; give PROFILE=tiny", root)
    path = configs / "recorded.yaml"
    made = {"tiny": tables(root, data, configs), "claims": claims(root, configs)}
    write_atomic(path, written(path.read_text(encoding="utf-8"), made, path))
    return f"{path}: {len(made['tiny'])} tables, {len(made['claims'])} claims; make docs writes them into REPRODUCE.md"
