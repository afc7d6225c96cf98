#!/usr/bin/env python3
"""Record what a profile's runs score, from finished runs of several seeds, for make verify; docs/verification.md.

    python reproduce/expectations.py --root a/tiny/babel b/tiny/babel --world a/tiny/data --encoder a/cache/babel

Give several roots, with other seeds in each, to record runs made with different CPU kernels (or encoders). The seeds of the
profile are the ones that are verified, and are refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Profile, Table, Task, load
from xlt.errors import InputError, exit_status
from xlt.files import read_json, write_atomic
from xlt.layout import PREPARED, PROVENANCE
from xlt.results.run_folders import load_plan


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="table2", help="a table of configs/tables (default: table2)")
    parser.add_argument("--root", type=Path, nargs="+", required=True, help="folders of one profile and model")
    parser.add_argument("--world", type=Path, required=True, help="the generated world the runs were made on")
    parser.add_argument(
        "--encoder", type=Path, nargs="+", required=True, help="the prepared encoders they started from"
    )
    parser.add_argument("--configs", type=Path, default=Path("configs"), help="default: configs")
    parser.add_argument("--output", type=Path, help="default: <configs>/reported/<profile>.yaml")
    return parser.parse_args()


def _made_of(roots: Sequence[Path], regimes: Sequence[str], tasks: set[str]) -> dict[str, list[Any]]:
    """The commits and platforms of the runs of some regimes.

    Raises:
        InputError: a run's files do not belong together.
    """
    from xlt.results.run_faults import swapped

    found: dict[str, set[Any]] = {"commits": set(), "platforms": set()}
    for root in roots:
        plan = load_plan(root)
        if wrong := swapped(root, plan):
            folder, message = next(iter(wrong.items()))
            raise InputError(message, root / folder)
        runs = [run for name in regimes if name in plan.regimes for run in plan.regimes[name].runs]
        for run in [run for run in runs if tasks.intersection(run.tasks)]:
            made = read_json(root / run.dir / PROVENANCE)
            found["commits"].add(made.get("git_commit"))
            found["platforms"].add(made.get("platform"))
    return {key: sorted(value for value in values if value is not None) for key, values in found.items()}


def main() -> None:
    """Check the runs, and write the file."""
    arguments = _arguments()
    from xlt.results.expectations import as_yaml, collect, world_digest

    roots, configs = arguments.root, arguments.configs
    config = load(Table, configs / "tables" / f"{arguments.table}.yaml")
    tasks = {name: load(Task, configs / "tasks" / f"{name}.yaml") for name in config.tasks}
    plans = [load_plan(root) for root in roots]
    if len({(plan.profile, plan.model) for plan in plans}) > 1:
        raise InputError("expected roots of one profile and model", roots[1])
    plan = plans[0]
    rows = plan.tables[config.name].regimes if config.name in plan.tables else config.regimes
    regimes = [name for name in rows if name in plan.regimes]
    verified = load(Profile, configs / "profiles" / f"{plan.profile}.yaml").seeds
    found = collect(roots, regimes, tasks, verified)
    origin = {
        "world": world_digest(arguments.world),
        "encoders": sorted({read_json(path / PREPARED)["sha256"]["model.safetensors"] for path in arguments.encoder}),
        **_made_of(roots, regimes, set(tasks)),
    }
    titles = {name: plan.regimes[name].title for name in regimes}
    output = arguments.output or configs / "reported" / f"{plan.profile}.yaml"
    write_atomic(output, as_yaml(found, titles, config.name, plan.profile, plan.model, origin))
    runs = ", ".join(f"{seed} ({found.kernels[seed]})" for seed in found.seeds)
    print(f"{output}: {len(found.scores)} cells of {len(regimes)} regimes, seeds {runs}")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
