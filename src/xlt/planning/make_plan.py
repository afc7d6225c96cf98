"""Write a plan: the folders of runs and jobs with their resolved configs, plan.json, and make's rules.

Nothing is trained here. A run's config.json is rewritten only when its content changes, so make re-runs what depends on it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Profile, load
from xlt.config.run_config import write_config
from xlt.errors import InputError
from xlt.files import to_json, write_if_changed
from xlt.folders import make_own
from xlt.layout import EXTENTS, PLAN, RULES
from xlt.names import config_of, hub_reference
from xlt.planning.adopting import adopt
from xlt.planning.makefile import make_rules
from xlt.planning.plan import WorkPlan, build

NOT_CARRIED = re.compile(r"""[\s'"`$\\#;&|<>()*?\[\]{}!%:=~^]""")
"""What rules of make and their commands cannot have in a name; the Makefile refuses the same."""


def make_plan(arguments: argparse.Namespace) -> None:
    """Write the folders of runs and jobs, the plan and its make rules; print what ``--show`` asks for.

    Raises:
        InputError: a folder has a name that make cannot carry, or something that is planned from is wrong.
    """
    for folder in (arguments.root, arguments.data or ""):
        if found := NOT_CARRIED.search(str(folder)):
            raise InputError(f"expected a folder without {found[0]!r} in its name; make cannot carry it", folder)
    plan = plan_asked_for(arguments, arguments.root, arguments.data)
    root, planner = plan.root, plan.planner
    make_own(root, PLAN)
    for folder, config in [*plan.runs.items(), *((folder, job.config) for folder, job in plan.jobs.items())]:
        write_config(config, root / folder)
    planner.files.digests.save()
    given: str = arguments.model or planner.profile.model
    checkpoint = None if config_of(given, arguments.configs) else given_again(given)
    write_if_changed(root / PLAN, to_json(plan_json(plan, checkpoint)))
    write_if_changed(root / RULES, make_rules(plan))
    if arguments.records is not None and arguments.goals:
        adopted = adopt(plan, arguments.records, arguments.goals)
        if adopted:
            print(f"{len(adopted)} finished runs are those of {arguments.records} (RESULTS= trains them here)")
    if arguments.show:
        from xlt.planning.cost import show  # scipy: slow import
        from xlt.planning.token_counts import Extents

        show(arguments, plan, Extents(planner.files.data, arguments.encoder, root / EXTENTS))


def given_again(model: str) -> str:
    """What to give as MODEL from any folder: a repository's name with its commit, or a folder's whole path."""
    reference = hub_reference(model)
    return str(Path(model).resolve()) if reference is None else "@".join(part for part in reference if part)


def plan_asked_for(arguments: argparse.Namespace, root: Path, data: Path | str | None, **more: Any) -> WorkPlan:
    """The plan that a command line describes, of the given data below ``root``."""
    given: dict[str, Any] = {name: getattr(arguments, name) for name in ("model", "seeds", "all_rows", "encoder")}
    return build(arguments.configs, arguments.profile, root, data=data, **given, **more)


def plan_json(plan: WorkPlan, checkpoint: str | None = None) -> dict[str, object]:
    """The plan as tables read it; ``checkpoint``: what MODEL is, where it is no config."""
    planner = plan.planner
    listed = {}
    for name, folders in plan.regimes.items():
        runs = [(folder, plan.runs[folder]) for folder in folders]
        listed[name] = {
            "title": planner.regimes[name].title,
            "runs": [
                {"dir": folder, "recipe": run.recipe.name, "seed": run.seed, "tasks": run.tasks} for folder, run in runs
            ],
            "upstream": sorted({up.folder for _, run in runs if run.weights_of is None for up in run.upstream}),
        }
    return {
        "profile": planner.profile.name,
        "model": planner.model.name,
        **({} if checkpoint is None else {"folder": checkpoint}),
        "seeds": planner.seeds,
        "regimes": listed,
        "recipes": {name: {"title": r.title, "family": r.family} for name, r in planner.recipes.items()},
        "jobs": {folder: job.result for folder, job in plan.jobs.items()},
        "tables": {
            name: {"regimes": plan.rows.shown[name], "left_out": plan.rows.left_out[name], "tasks": table.tasks}
            for name, table in plan.tables.items()
        },
    }


def lacks_data(arguments: argparse.Namespace) -> bool:
    """Whether official files are asked for and their folder is not there."""
    profile = load(Profile, arguments.configs / "profiles" / f"{arguments.profile}.yaml")
    return profile.languages_from is None and not Path(arguments.data or profile.data).is_dir()
