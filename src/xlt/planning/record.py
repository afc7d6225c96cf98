"""What the finished runs of the tiny profile took and show, for ``configs/recorded.yaml`` (``make record``).

Tables that have not finished and claims whose runs have not finished get no entry. What was measured by hand stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xlt.config.benchmark import Task, load_all
from xlt.errors import InputError
from xlt.files import write_atomic
from xlt.results.run_folders import load_plan, load_regime

MARK = "# From here on written by `make record`"
UNFINISHED = ("not run", "no data", "not covered")


def tables(root: Path, data: Path, configs: Path) -> dict[str, dict[str, int]]:
    """Runs and minutes of one core of every table that a claim rests on and that has finished with the profile's seeds."""
    from xlt.planning.cost import spent  # scipy: slow import
    from xlt.planning.plan import build
    from xlt.planning.reproduce_page import asked, key
    from xlt.results.claims import Claim

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
    from xlt.results.claims import Claim, assess  # scipy: slow import

    plan, tasks = load_plan(root), load_all(Task, configs / "tasks")
    regimes = {name: load_regime(root, plan, name) for name in plan.regimes}
    found: dict[str, dict[str, Any]] = {}
    for name, claim in load_all(Claim, configs / "claims").items():
        finding = assess(claim, root, plan, regimes, tasks)
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
