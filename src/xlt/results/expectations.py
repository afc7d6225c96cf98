"""The artifact's own expectations of a profile: recorded from finished runs of several seeds, verified against ever after.

A cell's value is the mean over the runs. How much another run may differ from it is not read off the cell's own few runs
alone: their standard deviation is drawn towards that of cells like it (``statistics.moderated``), each relative to the error
of its test set. Alike are all languages and regimes of a task's metric; and all averages over languages.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xlt.artifacts import digest, read_json, sha256_file
from xlt.config import Task
from xlt.errors import InputError
from xlt.results.aggregate import TaskResult, task_result
from xlt.results.reported import AVERAGE, tuned_retrieval
from xlt.results.runs import Regime, load_plan, load_regime
from xlt.results.statistics import moderated

STAMP = "babel.stamp.json"
DECIMALS = 4
HEADER = """\
# What runs of the {profile} profile score, for `make verify`. Written by `make expectations` from finished runs; not edited
# by hand. docs/verification.md says when to record it again.
"""


@dataclass
class Cell:
    """A language of a task in a regime, or the average over ``languages``; ``values`` by seed, in percent.

    ``unit``: standard error of a score like this on its test set, in points.
    """

    values: dict[int, float]
    languages: tuple[str, ...]
    unit: float
    spread: float = math.nan

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return statistics.fmean(self.values.values())

    @property
    def std(self) -> float:
        """The sample standard deviation over the runs."""
        return statistics.stdev(self.values.values())


Row = tuple[str, str, str]
"""(regime, task, metric)"""


def world_digest(folder: Path) -> str:
    """A hash of a generated world: its dials (which say how its encoder is made, too) and the content of its files.

    Raises:
        InputError: the folder holds no generated world, or a file of it is not there.
    """
    stamp = read_json(folder / STAMP)
    lost = [name for name in stamp["files"] if not (folder / name).exists()]
    if lost:
        raise InputError(f"expected {lost[0]} of the generated world; delete {STAMP} and make the world again", folder)
    files = {name: sha256_file(folder / name) for name in stamp["files"]}
    return digest({"config": stamp["config"], "files": files})


def collect(roots: Sequence[Path], regimes: Sequence[str], tasks: Mapping[str, Task]) -> dict[Row, dict[str, Cell]]:
    """The cells of every regime, task and metric by language, from the runs below several roots together.

    Raises:
        InputError: a run is not finished, a seed is there twice, there is only one, or the roots differ in languages.
    """
    found: dict[Row, dict[str, Cell]] = {}
    for name in regimes:
        parts = [_planned(root, name) for root in roots]
        for task in tasks.values():
            if not any(task.name in part.tasks for part in parts):
                continue
            results = [task_result(part, task) for part in parts]
            _check(name, task.name, results, roots)
            for metric in task.metrics:
                found[name, task.name, metric] = _cells(results, metric)
    if not found:
        raise InputError("expected runs of this table in the plan; run make plan", roots[0])
    return found


def _planned(root: Path, name: str) -> Regime:
    plan = load_plan(root)
    return load_regime(root, plan, name) if name in plan.regimes else Regime(name, name, [])


def _check(name: str, task: str, results: Sequence[TaskResult], roots: Sequence[Path]) -> None:
    for result, root in zip(results, roots, strict=True):
        if result.status != "ok" or result.seeds != result.planned_seeds:
            raise InputError(f"expected finished runs of {name} on {task}; make the table first", root)
    seeds = [seed for result in results for seed in result.seeds]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        listed = ", ".join(str(seed) for seed in seeds)
        raise InputError(f"{name}, {task}: expected runs with at least two seeds, each once, got {listed}", roots[0])
    if len({(result.languages, result.split, tuple(result.n.items())) for result in results}) > 1:
        raise InputError(f"{name}, {task}: expected the same languages, split and examples in every root", roots[0])


def _cells(results: Sequence[TaskResult], metric: str) -> dict[str, Cell]:
    first = results[0]
    values = {
        code: {seed: value for result in results for seed, value in result.values[metric][code].items()}
        for code in first.languages
    }
    errors = {code: _error(values[code], first.n[code]) for code in first.languages}
    cells = {code: Cell(values[code], (code,), errors[code]) for code in first.languages}
    averages = {seed: value for result in results for seed, value in result.average(metric).items()}
    unit = math.sqrt(sum(error**2 for error in errors.values())) / len(errors)
    return {**cells, AVERAGE: Cell(averages, first.languages, unit)}


def _error(values: Mapping[int, float], n: int) -> float:
    """Standard error, in points, of a proportion on n examples; half an example keeps it above 0 where all are right."""
    share = (statistics.fmean(values.values()) / 100 * n + 0.5) / (n + 1)
    return 100 * math.sqrt(share * (1 - share) / n)


def spread(rows: Mapping[Row, Mapping[str, Cell]]) -> dict[tuple[str, str], float]:
    """Set every cell's ``spread``; returns its degrees of freedom by (task, metric), and of averages by ("", "").

    Raises:
        InputError: no two runs differ anywhere in such a group.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    sources: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for (regime, task, metric), by_language in rows.items():
        for language, cell in by_language.items():
            key = ("", "") if language == AVERAGE else (task, metric)
            groups.setdefault(key, []).append(cell)
            sources.setdefault(key, set()).add((regime, task))
    freedoms = {}
    for key, cells in groups.items():
        if not any(cell.std for cell in cells):
            raise InputError(f"{' '.join(key) or 'averages'}: expected runs that differ; the same run is there twice")
        freedom = len(cells[0].values) - 1
        found = moderated([c.std for c in cells], [c.unit for c in cells], freedom, len(sources[key]))
        freedoms[key] = found.freedom
        for cell, std in zip(cells, found.std, strict=True):
            cell.spread = std
    return freedoms


def as_yaml(
    rows: Mapping[Row, Mapping[str, Cell]], titles: Mapping[str, str], table: str, recorded: Mapping[str, Any]
) -> str:
    """The file of ``configs/reported``. ``recorded``: profile, model, dual encoder, and what ``reported.Recorded`` says."""
    freedoms = spread(rows)
    profile, model = recorded["profile"], recorded["model"]
    content = {
        "paper": profile,
        "citation": f"this artifact's own runs of the {profile} profile",
        "rank": 1,
        "recorded": {key: recorded[key] for key in ("world", "seeds", "encoders", "commits", "platforms")},
        "tables": [
            {
                "table": table,
                "source": "make expectations",
                "confidence": "recomputed",
                "scale": "percent",
                "profile": profile,
                "rows": [
                    {"model": model, "regime": regime, "method": titles[regime], "task": task, "metric": metric}
                    | ({"dual_encoder": recorded["dual_encoder"]} if tuned_retrieval(task, regime) else {})
                    | _row(cells, freedoms[task, metric], freedoms["", ""])
                    for (regime, task, metric), cells in rows.items()
                ],
            }
        ],
    }
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return HEADER.format(profile=profile) + text


def _row(cells: Mapping[str, Cell], freedom: float, of_averages: float) -> dict[str, Any]:
    own = {code: cell for code, cell in cells.items() if code != AVERAGE}
    average = cells[AVERAGE]
    return {
        "seeds": len(average.values),
        "values": {code: round(cell.mean, DECIMALS) for code, cell in own.items()},
        "std": {code: round(cell.std, DECIMALS) for code, cell in own.items()},
        "spread": {code: round(cell.spread, DECIMALS) for code, cell in own.items()},
        "freedom": {"languages": round(freedom, 2), "averages": round(of_averages, 2)},
        "averages": [
            {
                "value": round(average.mean, DECIMALS),
                "std": round(average.std, DECIMALS),
                "spread": round(average.spread, DECIMALS),
                "over": list(average.languages),
            }
        ],
    }
