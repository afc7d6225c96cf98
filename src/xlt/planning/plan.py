"""The plan of a profile and model: its runs and jobs, the rows of its tables, and what each table or regime needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Profile, Recipe, Table, Task, load, load_all
from xlt.config.lexical_injection import LexicalConfig
from xlt.config.regimes import Regime
from xlt.config.run_config import RunConfig
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.files import read_json
from xlt.languages import register
from xlt.layout import DIGESTS, FAILURE, PROVENANCE, SCORES
from xlt.modeling.architectures import refusal
from xlt.modeling.preparation import config_of_encoder, resolve_model
from xlt.names import one_of
from xlt.planning.checks import check_configs
from xlt.planning.data_files import DataFiles
from xlt.planning.jobs import PlannedJob, job_seeds, language_adapter_settings
from xlt.planning.planner import Planner
from xlt.planning.table_rows import TableRows, planned_regimes, rows_of

LARGEST_SEED = 2**32 - 1
"""NumPy's generators take no larger one."""


@dataclass(frozen=True)
class WorkPlan:
    """What is planned below ``root``; ``regimes`` are the folders of the runs by regime."""

    root: Path
    planner: Planner
    regimes: Mapping[str, list[str]]
    tables: Mapping[str, Table]
    rows: TableRows

    @property
    def runs(self) -> Mapping[str, RunConfig]:
        """The runs by folder below the root."""
        return self.planner.runs

    @property
    def jobs(self) -> Mapping[str, PlannedJob]:
        """The jobs by folder below the root."""
        return self.planner.jobs

    def behind(self, target: str) -> list[str]:
        """The runs and jobs whose results a table or a regime's own page is made from.

        A table: runs of its rows that serve its tasks, and lexical injections. A regime: all its runs but those of tasks
        that only some tables pay for.

        Raises:
            InputError: there is no such table or regime.
        """
        if target in self.tables:
            table, rows = self.tables[target], self.rows.shown[target]
            served = set(table.tasks)
            runs = [f for row in rows for f in self.regimes.get(row, []) if served & set(self.runs[f].tasks)]
            return runs + [f for f in self.jobs if any(f.split("/")[:2] == ["lexical", name] for name in table.lexical)]
        if target not in self.regimes:
            raise InputError(f"TABLE: {one_of([*self.tables, *self.regimes], target)}")
        return [f for f in self.regimes[target] if not any(e.task.separate for e in self.runs[f].evaluations)]

    def needed(self, target: str) -> list[str]:
        """The runs and jobs behind a table or regime, those that others are made from first.

        Raises:
            InputError: there is no such table or regime.
        """
        found: dict[str, None] = {}

        def visit(folder: str) -> None:
            for other in self.runs[folder].needs() if folder in self.runs else []:
                if other in self.runs or other in self.jobs:
                    visit(other)
            found[folder] = None

        for folder in self.behind(target):
            visit(folder)
        return list(found)

    def result(self, folder: str) -> Path:
        """The file that a run or job ends with."""
        return self.root / folder / (SCORES if folder in self.runs else self.jobs[folder].result)

    def state(self, folder: str) -> str:
        """Whether it is ``done``, ``failed`` or still ``to run``."""
        if self.result(folder).exists():
            return "done"
        return "failed" if (self.root / folder / FAILURE).exists() else "to run"

    def device(self, folder: str) -> str:
        """What a finished run was computed on, as its provenance says; empty where it does not."""
        path = self.root / folder / PROVENANCE
        return str(read_json(path).get("device") or "") if path.exists() else ""

    def recorded(self, folder: str) -> float | None:
        """The seconds a finished run or job recorded; None where it recorded none, as a run that was only scored again."""
        path = self.root / folder / PROVENANCE if folder in self.runs else self.result(folder)
        if self.state(folder) != "done" or not path.exists():
            return None
        walls = read_json(path).get("wall_seconds")
        known = [seconds for seconds in (walls.values() if isinstance(walls, dict) else [walls]) if seconds is not None]
        return float(sum(known)) if known else None


def build(
    configs: Path,
    profile_name: str,
    root: Path,
    *,
    data: Path | str | None = None,
    model: str | None = None,
    seeds: str | None = None,
    all_rows: bool = False,
    encoder: Path | None = None,
    kind: type[DataFiles] = DataFiles,
) -> WorkPlan:
    """Read all configs and plan every regime.

    Args:
        configs: the folder of configs.
        profile_name: a name of ``configs/profiles``.
        root: folder of this profile and model.
        data: folder of official files; None for the profile's own.
        model: a name of ``configs/models`` or a checkpoint's folder; None for the profile's own.
        seeds: as ``SEEDS``, e.g. "1 2 3"; None for the profile's own.
        all_rows: plan every row of every table.
        encoder: folder of the prepared encoder, where it is there: its architecture may refuse rows, and its size chooses
            what no config does.
        kind: what finds the files of a split.

    Raises:
        InputError: a config, or something it names, is wrong, or there is no data folder.
    """
    profile = load(Profile, configs / "profiles" / f"{profile_name}.yaml")
    folder = Path(data or profile.data)
    if not folder.is_dir():
        raise InputError("expected the folder of data files; give DATA=<folder> (docs/data-layout.md)", folder)
    tables, tasks = load_all(Table, configs / "tables"), load_all(Task, configs / "tasks")
    regimes = planned_regimes(load_all(Regime, configs / "regimes"), tables, configs / "tables")
    chosen = resolve_model(model or profile.model, configs, encoder)
    world = None if profile.languages_from is None else list(register(folder / profile.languages_from))
    planner = Planner(
        files=kind(profile, folder, tasks, Digests(root / DIGESTS), world),
        model=chosen,
        seeds=seeds_of(seeds) or profile.seeds,
        recipes=load_all(Recipe, configs / "recipes"),
        regimes=regimes,
        lexical=load_all(LexicalConfig, configs / "lexical"),
        language_adapters=language_adapter_settings(configs, chosen.name),
        without_runs=refused_rows(regimes, encoder),
    )
    check_configs(profile, tasks, planner.recipes, tables, regimes, configs)
    rows = rows_of(tables, profile, regimes, all_rows=all_rows, path=configs / "profiles")
    for name, table in tables.items():
        for regime in [*rows.shown[name], *rows.left_out[name]]:
            planner.extra.setdefault(regime, set()).update(table.tasks)
        plan_lexical(planner, table)
    return WorkPlan(root, planner, {name: planner.plan_regime(each) for name, each in regimes.items()}, tables, rows)


def refused_rows(regimes: Mapping[str, Regime], encoder: Path | None) -> dict[str, str]:
    """Why the architecture of a prepared encoder cannot have a regime, by regime."""
    config = None if encoder is None else config_of_encoder(encoder)
    found = {}
    for name, regime in {} if config is None else regimes.items():
        mixed = regime.intermediate is not None and regime.intermediate.masked_text is not None
        for kind in (regime.tuning.kind, *(["masked_text"] if mixed else [])):
            if (reason := refusal(config, kind)) is not None:
                found[name] = reason
    return found


def plan_lexical(planner: Planner, table: Table) -> None:
    """Plan the lexical injections a table shows, with as many seeds as each asks for."""
    for name in table.lexical:
        least = planner.lexical[name].seeds if name in planner.lexical else 1
        for seed in job_seeds(planner.seeds, least):
            planner.add_lexical(name, seed, f"table {table.name}")


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
