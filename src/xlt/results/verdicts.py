"""The verdict on a cell: how a measured score stands to the number that was reported for it (docs/verification.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xlt.config import Task
from xlt.results.aggregate import TaskResult, task_result
from xlt.results.compare import Comparer, Comparison
from xlt.results.reported import AVERAGE, Reported
from xlt.results.runs import Plan, Regime, RunProfile, merged_profile
from xlt.results.statistics import half_width, prediction_scale, two_sided

Status = Literal[
    "reproduced", "near", "higher", "lower", "not reported", "not comparable", "not run", "no data", "error"
]
INSIDE, OUTSIDE = 0.95, 0.99
"""Levels of the two prediction intervals: within the first a score is reproduced, within the second it is near."""
FAILED: tuple[Status, ...] = ("lower", "error")
INCOMPLETE: tuple[Status, ...] = ("not run",)
PRINTED = 0.1 / math.sqrt(12)
"""Standard deviation, in points, of the rounding of a number printed with one decimal."""


@dataclass(frozen=True)
class Verdict:
    """One cell. ``tolerance``: half of the 95 % interval, in points; ``basis``: what it was derived from."""

    regime: str
    task: str
    metric: str
    language: str
    status: Status
    measured: float | None = None
    reported: float | None = None
    tolerance: float | None = None
    p: float | None = None
    basis: str = ""
    reason: str = ""
    entry: Reported | None = None


def judge(line: Comparison, result: TaskResult, regime: str, extra_error: float = 0.0) -> Verdict:
    """The verdict on one measured cell.

    Args:
        line: the cell beside its report.
        result: the task it belongs to: examples and scores by language.
        extra_error: standard deviation in points of a further known source, such as weights rounded to 4 bits.
    """
    cell = (regime, line.task, line.metric, line.language)
    entry, measured = line.reported, line.measured
    if entry is None or entry.value is None:
        return Verdict(*cell, "not reported", measured.mean, entry=entry)
    if line.reason is not None:
        return Verdict(*cell, "not comparable", measured.mean, entry.value, reason=line.reason, entry=entry)
    proportion, count = _effective(line, result)
    error, freedom = prediction_scale(
        len(measured.seeds), measured.std, entry.seeds, entry.std, proportion, max(1, round(count))
    )
    error = math.sqrt(error**2 + PRINTED**2 + extra_error**2)
    gap = measured.mean - entry.value
    inside = half_width(error, freedom, INSIDE)
    status: Status = "higher" if gap > 0 else "lower"
    if abs(gap) <= half_width(error, freedom, OUTSIDE):
        status = "reproduced" if abs(gap) <= inside else "near"
    basis = "one seed: error of the test set" if math.isinf(freedom) else f"seeds, {freedom:.0f} degrees of freedom"
    return Verdict(
        *cell, status, measured.mean, entry.value, inside, two_sided(gap, error, freedom), basis, entry=entry
    )


def _effective(line: Comparison, result: TaskResult) -> tuple[float, float]:
    """(score as a proportion, number of examples) that give the error of a score or of an average over languages.

    An average over L languages has the variance ``sum(p (1 - p) / n) / L ** 2``; it is given as the number of examples
    with which a single proportion has the same variance.
    """
    mean = min(max(line.measured.mean / 100, 0.0), 1.0)
    if line.language != AVERAGE:
        return mean, float(line.n)
    values = result.values[line.metric]
    shares = [(sum(values[c].values()) / len(values[c]) / 100, result.n[c]) for c in line.languages]
    variance = sum(share * (1 - share) / count for share, count in shares) / len(shares) ** 2
    return mean, mean * (1 - mean) / variance if variance > 0 else float(sum(count for _, count in shares))


def verdicts(
    plan: Plan,
    regimes: Mapping[str, Regime],
    tasks: Mapping[str, Task],
    reported: list[Reported],
    failed: Mapping[str, str],
    extra_error: float = 0.0,
) -> list[Verdict]:
    """One verdict per regime, task, metric and language, and per average; unfinished cells are there too.

    Args:
        plan: the plan the regimes belong to.
        regimes: the rows, with their runs.
        tasks: the columns.
        reported: all published numbers.
        failed: run folder -> message, of runs that ended with an error.
        extra_error: see ``judge``.
    """
    found: list[Verdict] = []
    for name, regime in regimes.items():
        profile = merged_profile(regime.runs) or RunProfile(name=plan.profile, title=plan.profile)
        comparer = Comparer(reported, plan.model, regime, profile)
        for task in tasks.values():
            result = task_result(regime, task)
            broken = [
                failed[r.planned.dir] for r in regime.runs if r.planned.dir in failed and task.name in r.planned.tasks
            ]
            if broken:
                found.append(Verdict(name, task.name, "", "", "error", reason=broken[0]))
            elif result.status != "ok":
                status: Status = "no data" if result.status == "no data" else "not run"
                found.append(Verdict(name, task.name, "", "", status))
            else:
                lines = [
                    line
                    for metric in task.metrics
                    for line in (*comparer.languages(result, metric), *comparer.averages(result, metric))
                ]
                found += [judge(line, result, name, extra_error) for line in lines]
                found += _incomplete(name, result)
    return found


def _incomplete(regime: str, result: TaskResult) -> list[Verdict]:
    """A verdict for seeds that are planned and did not finish."""
    lacking = sorted(set(result.planned_seeds) - set(result.seeds))
    reason = f"seed {', '.join(str(seed) for seed in lacking)}"
    return [Verdict(regime, result.task, "", "", "not run", reason=reason)] if lacking else []


def counts(found: Sequence[Verdict]) -> dict[str, int]:
    """How many cells have each status, most telling first; statuses without a cell are left out."""
    order: tuple[Status, ...] = Status.__args__  # type: ignore[attr-defined]
    return {status: number for status in order if (number := sum(v.status == status for v in found))}


def exit_code(found: Sequence[Verdict]) -> int:
    """1 when a comparable cell is lower or a run ended with an error, 2 when something did not run, else 0."""
    if any(verdict.status in FAILED for verdict in found):
        return 1
    return 2 if any(verdict.status in INCOMPLETE for verdict in found) else 0
