"""What a table is made from; apart, because scripts read it before they load any library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Table, Task
from xlt.results.citations import Cited
from xlt.results.reported import Reported
from xlt.results.run_folders import Plan, RegimeRuns


@dataclass(frozen=True)
class Inputs:
    """What a table is made from.

    ``regimes`` are its rows in order, with their runs; ``left_out`` the rows that the profile does not run; ``tasks`` its
    columns in order; ``root`` the folder of profile and model, below which ``plan.jobs`` lie; ``configs`` the folder of all
    configs.
    """

    config: Table
    plan: Plan
    root: Path
    tasks: Mapping[str, Task]
    regimes: Mapping[str, RegimeRuns]
    left_out: Sequence[str] = ()
    reported: Sequence[Reported] = ()
    configs: Path = Path("configs")
    sizes: Mapping[str, Mapping[str, Mapping[str, int | None]]] | None = None
    """Examples found on disk by set, split and language; counted for kind sizes only."""
    world: bool = False
    cited: Cited | None = None
    """Whom to cite (``to_cite``)."""
