"""Turn configs into the runs of a profile and model: run folders with resolved configs, and make rules between them.

Nothing is trained here. A run's config.yaml is rewritten only when its content changes, so make re-runs what depends on it.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from xlt.config.benchmark import Profile, Recipe, Table, Task, load, load_all
from xlt.config.lexical_injection import LexicalConfig
from xlt.config.regimes import Regime
from xlt.config.run_config import write_run
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.files import to_json, write_atomic
from xlt.folders import make_own
from xlt.languages import register
from xlt.modeling.pretrained import resolve_model
from xlt.names import names_config
from xlt.planning.language_adapter_jobs import NO_ADAPTERS, language_adapter_jobs, settings_of
from xlt.planning.lexical_jobs import add_lexical, job_seeds
from xlt.planning.planner import Planner
from xlt.planning.table_rows import Rows, planned_regimes, rows_of
from xlt.planning.taken_names import check_taken

if TYPE_CHECKING:
    from xlt.planning.cost import Plan
    from xlt.planning.token_counts import Extents

LARGEST_SEED = 2**32 - 1
"""NumPy's generators take no larger one."""
Built = tuple[Planner, dict[str, list[str]], dict[str, Table], Rows]
"""A plan: the planner, run folders by regime, tables, and their rows."""


def plan_json(
    planner: Planner,
    regimes: dict[str, list[str]],
    tables: dict[str, Table],
    rows: Rows,
    folder: str | None = None,
) -> dict[str, object]:
    """The plan as tabulate reads it; ``folder``: what MODEL is, where it is no config."""
    listed = {}
    for name, folders in regimes.items():
        runs = [
            {
                "dir": f,
                "recipe": planner.runs[f].recipe.name,
                "seed": planner.runs[f].seed,
                "tasks": planner.runs[f].tasks,
            }
            for f in folders
        ]
        trained = [f for f in folders if planner.runs[f].weights_of is None]
        upstream = sorted({up.folder for f in trained for up in planner.runs[f].upstream})
        listed[name] = {"title": planner.regimes[name].title, "runs": runs, "upstream": upstream}
    return {
        "profile": planner.profile.name,
        "model": planner.model.name,
        **({} if folder is None else {"folder": folder}),
        "seeds": planner.seeds,
        "regimes": listed,
        "recipes": {name: {"title": r.title, "family": r.family} for name, r in planner.recipes.items()},
        "jobs": {folder: job.result for folder, job in planner.jobs.items()},
        "tables": {
            name: {"regimes": rows.shown[name], "left_out": rows.left_out[name], "tasks": table.tasks}
            for name, table in tables.items()
        },
    }


def behind(planner: Planner, table: Table, regimes: dict[str, list[str]], shown: list[str]) -> list[str]:
    """The results a table is made from, as paths below the root: runs of its rows that serve its tasks, and jobs."""
    runs = [f for regime in shown for f in regimes.get(regime, []) if set(planner.runs[f].tasks) & set(table.tasks)]
    jobs = [f for f, job in planner.jobs.items() if any(f.split("/")[:2] == ["lexical", n] for n in table.lexical)]
    return [f"{folder}/scores.json" for folder in runs] + [f"{folder}/{planner.jobs[folder].result}" for folder in jobs]


def own_runs(planner: Planner, folders: list[str]) -> list[str]:
    """The runs that a regime's own page shows: all but those of tasks that only some tables pay for."""
    return [f for f in folders if not any(each.task.separate for each in planner.runs[f].evaluations)]


def run_rules(root: Path, planner: Planner) -> list[str]:
    """One rule per job and per run: what it reads, and the command."""
    results = {folder: f"{root}/{folder}/{job.result}" for folder, job in planner.jobs.items()}
    results |= {folder: f"{root}/{folder}/scores.json" for folder in planner.runs}
    lines = []
    for folder, job in planner.jobs.items():
        before = [f"{root}/{folder}/config.yaml", "$(ENCODER)", *(results[need] for need in job.needs)]
        command = f"$(LAUNCH) $(PYTHON) reproduce/{job.script} {root}/{folder} $(RUN)"
        lines += [f"{results[folder]}: {' '.join(before)}", f"\t{command}", ""]
    for folder, run in planner.runs.items():
        before = [f"{root}/{folder}/config.yaml", "$(ENCODER)", *(results[need] for need in run.needs())]
        command = f"$(LAUNCH) $(SEVERAL) reproduce/run.py {root}/{folder} $(RUN)"
        lines += [f"{results[folder]}: {' '.join(before)}", f"\t{command}", ""]
    return lines


def language_adapter_rule(root: Path, planner: Planner) -> list[str]:
    """The goal that makes every language adapter of this profile and model."""
    folders = language_adapter_jobs(planner).values()
    needs = " ".join(f"{root}/{folder}/{planner.jobs[folder].result}" for folder in folders)
    command = [] if folders else [f"\t@echo 'error: {NO_ADAPTERS}' >&2; exit 2"]
    return [".PHONY: language-adapters", f"language-adapters: {needs}", *command, ""]


def make_rules(
    root: Path, planner: Planner, regimes: dict[str, list[str]], tables: dict[str, Table], rows: Rows
) -> str:
    """The rules of ``plan.mk``: one per job and run, one per table, one per regime."""
    world = planner.profile.languages_from
    named = "" if world is None else f" --languages {planner.data / world}"
    lines = ["# Written by reproduce/plan.py; do not edit.", "MAKEFLAGS += --no-builtin-rules", ".DELETE_ON_ERROR:"]
    lines += ["SEVERAL = $(PYTHON)", ""]  # or reproduce/torchrun.py, which starts several of it for one run
    lines += [
        "$(ENCODER):  # made by then; make -n may go on without it",
        "",
        *run_rules(root, planner),
        *language_adapter_rule(root, planner),
    ]
    made = {
        f"regime-{n}": (n, [f"{f}/scores.json" for f in own_runs(planner, folders)], "")
        for n, folders in regimes.items()
    }
    made |= {
        name: (name, behind(planner, table, regimes, rows.shown[name]), f"configs/tables/{name}.yaml")
        for name, table in tables.items()
    }
    for name, (goal, results, config) in made.items():
        target = f"{root}/tables/{name}.md"
        needs = " ".join([*(f"{root}/{result}" for result in results), f"{root}/plan.json", config, "$(REPORTED)"])
        what = f"--table {goal}" if config else f"--regime {goal}"
        counting = f" --data {planner.data}" if name in tables and tables[name].kind == "sizes" else ""
        command = f"$(PYTHON) reproduce/table.py {what} --root {root} --configs configs{named}{counting}"
        phony = (
            f"{goal} {target}" if counting else goal
        )  # sizes are counted anew: no file says what the data folder holds
        lines += [f"{target}: {needs}", f"\t{command}", f".PHONY: {phony}", f"{goal}: {target}", ""]
    return "\n".join(lines)


def write_if_changed(path: Path, text: str) -> None:
    """Write ``text`` unless the file has it already."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomic(path, text)


def world_languages(profile: Profile, data: Path) -> list[str] | None:
    """The languages of a generated world, source first, or None for a profile on real data."""
    if profile.languages_from is None:
        return None
    return list(register(data / profile.languages_from))


def build(arguments: argparse.Namespace, kind: type[Planner] = Planner) -> Built:
    """Read all configs and plan every regime with a planner of the given ``kind``."""
    configs: Path = arguments.configs
    profile = load(Profile, configs / "profiles" / f"{arguments.profile}.yaml")
    data = Path(arguments.data or profile.data)
    if not data.is_dir():
        raise InputError("expected the folder of data files; give DATA=<folder> (docs/data-layout.md)", data)
    root: Path = arguments.root
    tables = load_all(Table, configs / "tables")
    regimes = planned_regimes(load_all(Regime, configs / "regimes"), tables, configs / "tables")
    model = resolve_model(arguments.model or profile.model, configs)
    planner = kind(
        profile=profile,
        model=model,
        data=data,
        seeds=seeds_of(arguments.seeds) or profile.seeds,
        tasks=load_all(Task, configs / "tasks"),
        recipes=load_all(Recipe, configs / "recipes"),
        regimes=regimes,
        digests=Digests(root / "data-digests.json"),
        world=world_languages(profile, data),
        lexical=load_all(LexicalConfig, configs / "lexical"),
        language_adapters=settings_of(configs, model.name),
    )
    check_taken(planner.tasks, planner.recipes, tables, regimes, configs)
    from xlt.families.outputs import check_task  # numpy: help does without

    for task in planner.tasks.values():
        check_task(task, planner.recipes, configs / "tasks" / f"{task.name}.yaml")
    for name, table in tables.items():
        for task_name in table.tasks:
            if task_name not in planner.tasks:
                raise InputError(f"tasks: no task {task_name}", configs / "tables" / f"{name}.yaml")
    check_names(planner, set(tables), configs / "profiles" / f"{profile.name}.yaml")
    rows = rows_of(tables, profile, regimes, all_rows=arguments.all_rows, path=configs / "profiles")
    for name, table in tables.items():
        for regime in [*rows.shown[name], *rows.left_out[name]]:
            planner.extra.setdefault(regime, set()).update(table.tasks)
        plan_lexical(planner, table)
    return planner, {name: planner.plan_regime(regime) for name, regime in planner.regimes.items()}, tables, rows


def plan_lexical(planner: Planner, table: Table) -> None:
    """Plan the lexical injections a table shows, with as many seeds as each asks for."""
    for name in table.lexical:
        least = planner.lexical[name].seeds if name in planner.lexical else 1
        for seed in job_seeds(planner.seeds, least):
            add_lexical(planner, name, seed, f"table {table.name}")


def check_names(planner: Planner, tables: set[str], path: Path) -> None:
    """Refuse entries of a profile for tasks, recipes or tables that do not exist: they would be ignored."""
    profile, tasks, recipes = planner.profile, set(planner.tasks), set(planner.recipes)
    allowed: dict[str, tuple[Collection[str], set[str]]] = {
        "caps": (profile.caps, tasks | recipes | {"default"}),
        "epochs": (profile.epochs, recipes | {"default"}),
        "sources": (profile.sources, tasks | recipes),
        "splits": (profile.splits, tasks),
        "split_notes": (profile.split_notes, tasks | recipes),
        "rows": (profile.rows, tables),
    }
    for key, (entries, names) in allowed.items():
        for name in entries:
            if name not in names:
                raise InputError(f"{key}: expected one of {', '.join(sorted(names))}, got {name}", path)


def seeds_of(text: str | None) -> list[int]:
    """Seeds from "1 2 3" or "1,2,3"; they must be distinct."""
    if not text:
        return []
    try:
        seeds = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        seeds = []
    if not seeds or not all(0 <= seed <= LARGEST_SEED for seed in seeds):
        raise InputError(f"SEEDS: expected whole numbers up to {LARGEST_SEED} such as 1 2 3, got {text!r}")
    if len(set(seeds)) != len(seeds):
        raise InputError(f"SEEDS: expected distinct seeds, got {text!r}")
    return seeds


def make_plan(arguments: argparse.Namespace) -> None:
    """Write the folders of runs and jobs, the plan and its make rules; print what ``--show`` asks for."""
    built = planner, regimes, tables, rows = build(arguments)
    root: Path = arguments.root
    make_own(root, "plan.json")
    for folder, config in [*planner.runs.items(), *((folder, job.config) for folder, job in planner.jobs.items())]:
        write_run(config, root / folder / "config.yaml")
    planner.digests.save()
    given: str = arguments.model or planner.profile.model
    checkpoint = None if names_config(given, arguments.configs) else str(Path(given).resolve())
    write_if_changed(root / "plan.json", to_json(plan_json(planner, regimes, tables, rows, checkpoint)))
    write_if_changed(root / "plan.mk", make_rules(root, planner, regimes, tables, rows) + "\n")
    if arguments.show:
        from xlt.planning.token_counts import Extents

        show(arguments, built, Extents(planner.data, arguments.encoder, root / "extents.json"))


def lacks_data(arguments: argparse.Namespace) -> bool:
    """Whether official files are asked for and their folder is not there."""
    profile = load(Profile, arguments.configs / "profiles" / f"{arguments.profile}.yaml")
    return profile.languages_from is None and not Path(arguments.data or profile.data).is_dir()


def show(arguments: argparse.Namespace, built: Built, extents: Extents) -> None:
    """Print what a table or regime would run, what that costs, and what is done."""
    from xlt.planning.cost import report, without_files  # scipy: slow import
    from xlt.planning.throughput import load_gpu

    planner, _, _, rows = built
    plan = listed_plan(arguments.root, built)
    gpu = None if arguments.gpu is None else load_gpu(arguments.gpu, arguments.configs / "gpus.yaml")
    target, workers, threads = arguments.show, arguments.jobs, arguments.threads
    print(report(target, plan, planner.model, extents, arguments.encoder, workers=workers, threads=threads, gpu=gpu))
    print("\n".join(without_files(target, plan)), end="\n" if without_files(target, plan) else "")
    for regime in rows.shown.get(target, [target]):
        if regime in planner.without_runs:
            print(f"no runs: {regime}: {planner.without_runs[regime]}")


def listed_plan(root: Path, built: Built) -> Plan:
    """A plan with the folders behind every table and regime."""
    from xlt.planning.cost import Plan  # scipy: slow import

    planner, regimes, tables, rows = built
    shown = {name: own_runs(planner, folders) for name, folders in regimes.items()}
    listed = {**shown, **{name: folders_behind(planner, t, regimes, rows, name) for name, t in tables.items()}}
    return Plan(root, planner.runs, planner.jobs, listed, tables)


def folders_behind(planner: Planner, table: Table, regimes: dict[str, list[str]], rows: Rows, name: str) -> list[str]:
    """The folders of the runs and jobs whose results a table is made from."""
    return [Path(path).parent.as_posix() for path in behind(planner, table, regimes, rows.shown[name])]
