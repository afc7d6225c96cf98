"""What the scripts that show results read, each file once: the plan and its runs, configs, published numbers, data sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt import languages
from xlt.config.benchmark import Model, Recipe, Table, Task, load, load_all
from xlt.errors import InputError
from xlt.layout import PLAN
from xlt.results.reported import Reported, load_reported
from xlt.results.run_faults import failures, swapped
from xlt.results.run_folders import Plan, RegimeRuns, load_plan, load_regime

if TYPE_CHECKING:
    from xlt.results.claims import Finding
    from xlt.results.score_table import Inputs
    from xlt.results.verdicts import Verdict


class ResultReader:
    """The results of one profile and model.

    Args:
        root: the folder of the runs, with plan.json.
        configs: the folder of all configs.
        data: the folder of official files, which a table of sizes counts.
        world: the folder of the generated world that the runs were made on.
        languages_file: ``languages.yaml`` of such a world, where that is all that is known of it.
    """

    def __init__(
        self,
        root: Path,
        configs: Path,
        *,
        data: Path | None = None,
        world: Path | None = None,
        languages_file: Path | None = None,
    ) -> None:
        self.root, self.configs, self.data, self.world = root, configs, data, world
        known = languages_file if world is None else world / "languages.yaml"
        self.world_languages = None if known is None else list(languages.register(known))
        self.plan: Plan = load_plan(root)
        self._regimes: dict[str, RegimeRuns] = {}

    @cached_property
    def tables(self) -> dict[str, Table]:
        """All tables that are configured."""
        return load_all(Table, self.configs / "tables")

    @cached_property
    def reported(self) -> list[Reported]:
        """All published numbers."""
        return load_reported(self.configs / "reported")

    def tasks(self, names: Sequence[str]) -> dict[str, Task]:
        """The configs of some tasks, in that order."""
        return {name: load(Task, self.configs / "tasks" / f"{name}.yaml") for name in names}

    def regimes(self, names: Sequence[str] | None = None) -> dict[str, RegimeRuns]:
        """Those of some regimes that are planned (of all without ``names``), with their runs."""
        wanted = [name for name in (self.plan.regimes if names is None else names) if name in self.plan.regimes]
        for name in wanted:
            if name not in self._regimes:
                self._regimes[name] = load_regime(self.root, self.plan, name)
        return {name: self._regimes[name] for name in wanted}

    def inputs(self, config: Table) -> Inputs:
        """What a table is made from.

        Raises:
            InputError: the plan has none of its rows, or a run or config is damaged.
        """
        from xlt.results.citations import to_cite
        from xlt.results.score_table import Inputs  # numpy: slow import

        planned = self.plan.tables.get(config.name)
        names = config.regimes if planned is None else planned.regimes
        rows, tasks = self.regimes(names), self.tasks(config.tasks)
        if names and not rows:
            known = ", ".join(self.plan.regimes) or "none"
            raise InputError(f"expected a regime of {config.name} in the plan, got {known}", self.root / PLAN)
        return Inputs(
            config=config,
            plan=self.plan,
            root=self.root,
            tasks=tasks,
            regimes={name: rows.get(name) or RegimeRuns(name, name, []) for name in names},
            cited=to_cite(self.plan, tasks, rows, self.configs, self.world_languages is not None),
            left_out=[] if planned is None else planned.left_out,
            reported=self.reported,
            configs=self.configs,
            sizes=self.sizes(tasks) if config.kind == "sizes" else None,
            world=self.world_languages is not None,
        )

    def sizes(self, tasks: Mapping[str, Task]) -> dict[str, Any]:
        """The sizes found in the data folder: in all official languages, or in the generated world's that have files."""
        from xlt.data.sizes import count_all

        if self.data is None:
            raise InputError("expected --data, the folder that a table of sizes counts")
        recipes = load_all(Recipe, self.configs / "recipes")
        trained = {task.recipe for task in tasks.values()}
        trained |= {after for name in trained if (after := recipes[name].after) is not None}
        recipes = {name: recipe for name, recipe in recipes.items() if name in trained}
        if self.world_languages is None:
            official = {name: list(dict.fromkeys(chain(*task.languages.values()))) for name, task in tasks.items()}
            return count_all(self.data, tasks, recipes, official)
        found = count_all(self.data, tasks, recipes, dict.fromkeys(tasks, self.world_languages))
        return {
            name: {split: {code: n for code, n in own.items() if n is not None} for split, own in by_split.items()}
            for name, by_split in found.items()
            if any(n is not None for own in by_split.values() for n in own.values())
        }

    @cached_property
    def failed(self) -> dict[str, str]:
        """Run folder -> what went wrong: it ended with an error, or has others' weights."""
        return failures(self.root, self.plan) | swapped(self.root, self.plan)

    def verdicts(self, regimes: Mapping[str, RegimeRuns], tasks: Mapping[str, Task]) -> list[Verdict]:
        """The verdict on every cell of some rows and columns."""
        from xlt.results.expectations import world_digest
        from xlt.results.verdicts import verdicts

        world = None if self.world is None else world_digest(self.world)
        extra = self.rounding_error()
        return verdicts(self.plan, regimes, tasks, self.reported, self.failed, extra, world, self.root)

    def rounding_error(self) -> float:
        """The error, in points, of an encoder whose weights were rounded; 0 for one that was not."""
        path = self.configs / "models" / f"{self.plan.model}.yaml"
        rounded = load(Model, path).rounding_error if path.exists() else None
        if rounded is None:
            return 0.0
        finished = [run for regime in self.regimes().values() for run in regime.finished]
        origins = [run.provenance.encoder or "" for run in finished]
        return rounded.points if any(rounded.origin in origin for origin in origins) else 0.0

    def findings(self) -> list[Finding]:
        """The finding on every claim.

        Raises:
            InputError: a claim names a task that is not configured.
        """
        from xlt.results.claims import Claim, assess

        tasks, claims = load_all(Task, self.configs / "tasks"), load_all(Claim, self.configs / "claims")
        for name, claim in claims.items():
            asked = [task for cells in (claim.cells, claim.less) if cells is not None for task in cells.tasks]
            if unknown := [task for task in asked if task not in tasks]:
                message = f"tasks: expected one of {', '.join(tasks)}, got {unknown[0]}"
                raise InputError(message, self.configs / "claims" / f"{name}.yaml")
        regimes = self.regimes(
            [name for c in claims.values() for each in c.contrasts for name in (each.first, each.second)]
        )
        return [assess(claim, self.root, self.plan, regimes, tasks) for claim in claims.values()]

    @property
    def papers(self) -> dict[str, str]:
        """How each paper is named ("Huang et al. 2021")."""
        return {entry.paper: entry.citation.split(",")[0] for entry in self.reported}
