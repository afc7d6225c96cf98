"""The verdict on a cell: how a measured score stands to the number that was reported for it (docs/verification.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xlt.config.benchmark import Task
from xlt.results.aggregate import SCORE, TaskResult, task_result
from xlt.results.comparability import ANOTHER_WORLD, Comparer, Comparison
from xlt.results.differences import average_error
from xlt.results.reported import AVERAGE, Reported
from xlt.results.run_folders import Plan, RegimeRuns
from xlt.results.statistics import half_width, holm, prediction_scale, two_sided

Status = Literal[
    "reproduced", "near", "higher", "lower", "not reported", "not comparable", "not run", "no data", "error"
]
INSIDE, OUTSIDE = 0.95, 0.99
"""Levels of the prediction interval of one cell, within which it is reproduced, and of all cells of a page together, within
which it is near."""
OF_RECORDED = 1 - 0.0001
"""The same as ``OUTSIDE`` for this artifact's own expectations, where the page as a whole is tested, too (``page_tests``)."""
FAILED: tuple[Status, ...] = ("lower", "error")
INCOMPLETE: tuple[Status, ...] = ("not run",)
PRINTED = 0.1 / math.sqrt(12)
"""Standard deviation, in points, of the rounding of a number printed with one decimal."""


@dataclass(frozen=True)
class Verdict:
    """One cell. ``tolerance``: half of the 95 % interval, in points; ``basis``: what it was derived from.

    ``p``: probability of a difference at least this large by chance; ``adjusted``: the same, allowing for all cells judged
    together (``settled``). ``seeds``: how many runs the score is the mean of.
    """

    regime: str
    task: str
    metric: str
    language: str
    status: Status
    measured: float | None = None
    reported: float | None = None
    tolerance: float | None = None
    p: float | None = None
    adjusted: float | None = None
    basis: str = ""
    reason: str = ""
    entry: Reported | None = None
    seeds: int = 1


ItemError = Callable[[Sequence[str], str], float | None]
"""(languages, metric) -> standard error in points of their average over samples of items; None where it is not known."""


def judge(
    line: Comparison, result: TaskResult, regime: str, extra_error: float = 0.0, item_error: ItemError | None = None
) -> Verdict:
    """The verdict on one measured cell.

    Args:
        line: the cell beside its report.
        result: the task it belongs to: examples and scores by language.
        extra_error: standard deviation in points of a further known source, such as weights rounded to 4 bits.
        item_error: of the regime's averages on the task, from the scores of single examples.
    """
    cell = (regime, line.task, line.metric, line.language)
    entry, measured = line.reported, line.measured
    if entry is None or entry.value is None:
        return Verdict(*cell, "not reported", measured.mean, entry=entry)
    if line.reason is not None:
        return Verdict(*cell, "not comparable", measured.mean, entry.value, reason=line.reason, entry=entry)
    error, freedom, basis = _scale(line, result, entry, item_error)
    error = math.sqrt(error**2 + PRINTED**2 + extra_error**2)
    gap = measured.mean - entry.value
    tolerance = half_width(error, freedom, INSIDE)
    status: Status = "reproduced" if abs(gap) <= tolerance else "higher" if gap > 0 else "lower"
    p = two_sided(gap, error, freedom)
    return Verdict(
        *cell, status, measured.mean, entry.value, tolerance, p, basis=basis, entry=entry, seeds=len(measured.seeds)
    )


def settled(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with what many cells show by chance allowed for: of a hundred honest ones five are outside their interval.

    A cell outside its interval is near unless its p-value, adjusted by Holm's method for all judged cells, is below 1 %, or
    0.01 % where it is compared with recorded runs. The chance that any cell of an honest page is higher or lower is then at
    most that, however the cells depend on each other.
    """
    judged = [number for number, verdict in enumerate(found) if verdict.p is not None]
    adjusted = dict(zip(judged, holm([found[number].p or 0.0 for number in judged]), strict=True))
    return [
        verdict
        if number not in adjusted
        else replace(
            verdict,
            adjusted=adjusted[number],
            status="near"
            if verdict.status in ("higher", "lower") and adjusted[number] >= _level(verdict)
            else verdict.status,
        )
        for number, verdict in enumerate(found)
    ]


def _level(verdict: Verdict) -> float:
    recorded = verdict.entry is not None and verdict.entry.world is not None
    return 1 - (OF_RECORDED if recorded else OUTSIDE)


def _scale(
    line: Comparison, result: TaskResult, entry: Reported, item_error: ItemError | None
) -> tuple[float, float, str]:
    """Standard error of the difference, its degrees of freedom, and what they were derived from."""
    runs = len(line.measured.seeds)
    ours = "one seed" if runs == 1 else f"{runs} seeds"
    if entry.spread is not None and entry.freedom is not None and entry.seeds is not None:
        error = entry.spread * math.sqrt(1 / runs + 1 / entry.seeds)
        return error, entry.freedom, f"{ours}; {entry.seeds} recorded runs, {entry.freedom:.0f} degrees of freedom"
    mean = min(max(line.measured.mean / 100, 0.0), 1.0)
    error, freedom = prediction_scale(runs, line.measured.std, entry.seeds, entry.std, mean, line.n)
    if not math.isinf(freedom):
        return error, freedom, f"{'' if runs > 1 else 'one seed; '}seeds, {freedom:.0f} degrees of freedom"
    if line.language != AVERAGE:
        return error, freedom, f"{ours}: error of the test set"
    known = None if item_error is None else item_error(line.languages, line.metric)
    if known is not None:
        return known, freedom, f"{ours}: error of the test sets, items drawn once for all languages"
    return _most(line, result), freedom, f"{ours}: error of the test sets, at most: no scores of single examples"


def _most(line: Comparison, result: TaskResult) -> float:
    """The largest error an average over languages can have from its test sets, in points: that of one shared by all.

    Standard deviations add up when the languages' scores vary together, as they do on translations of the same items.
    """
    values = result.values[line.metric]
    shares = [(sum(values[code].values()) / len(values[code]) / 100, result.n[code]) for code in line.languages]
    return 100 * sum(math.sqrt(max(share * (1 - share), 1e-12) / count) for share, count in shares) / len(shares)


def verdicts(
    plan: Plan,
    regimes: Mapping[str, RegimeRuns],
    tasks: Mapping[str, Task],
    reported: list[Reported],
    failed: Mapping[str, str],
    extra_error: float = 0.0,
    world: str | None = None,
    root: Path | None = None,
) -> list[Verdict]:
    """One verdict per regime, task, metric and language, and per average; unfinished cells are there too.

    Args:
        plan: the plan the regimes belong to.
        regimes: the rows, with their runs.
        tasks: the columns.
        reported: all published numbers.
        failed: run folder -> message, of runs that ended with an error.
        extra_error: see ``judge``; world: see ``Comparer``.
        root: where the runs lie, for the scores of single examples; None for none.
    """
    found: list[Verdict] = []
    for name, regime in regimes.items():
        comparer = Comparer(reported, plan.model, regime, world)
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
                found += _lost(name, result, comparer)
            else:
                lines = [
                    line
                    for metric in task.metrics
                    for line in (*comparer.languages(result, metric), *comparer.averages(result, metric))
                ]
                error = None if root is None else _item_error(root, regime, task)
                found += [judge(line, result, name, extra_error, error) for line in lines]
                found += _incomplete(name, result) + _lost(name, result, comparer)
    return settled(found)


def _item_error(root: Path, regime: RegimeRuns, task: Task) -> ItemError:
    return lambda languages, metric: average_error(root, regime, task, languages, None if metric == SCORE else [metric])


def _lost(regime: str, result: TaskResult, comparer: Comparer) -> list[Verdict]:
    """A verdict for each language that was scored when the expectations were recorded, and is not now."""
    if result.status == "not run":
        return []
    return [
        Verdict(regime, result.task, "", code, "not run", reason=f"{code}: recorded with a score, has none here")
        for code in comparer.lost(result)
    ]


def _incomplete(regime: str, result: TaskResult) -> list[Verdict]:
    """A verdict for seeds that are planned and did not finish."""
    lacking = sorted(set(result.planned_seeds) - set(result.seeds))
    reason = f"seed {', '.join(str(seed) for seed in lacking)}"
    return [Verdict(regime, result.task, "", "", "not run", reason=reason)] if lacking else []


def counts(found: Sequence[Verdict]) -> dict[str, int]:
    """How many cells have each status, most telling first; statuses without a cell are left out."""
    order: tuple[Status, ...] = Status.__args__  # type: ignore[attr-defined]
    return {status: number for status in order if (number := sum(v.status == status for v in found))}


def exit_code(found: Sequence[Verdict], differs: bool = False) -> int:
    """1 when a comparable cell is lower or a run ended with an error, 2 when something did not run, else 0.

    ``differs``: whether a test of the page as a whole says so; that is 1, too. Expectations recorded on another world cannot
    be verified; that counts as not run, lest it passes for success.
    """
    if differs or any(verdict.status in FAILED for verdict in found):
        return 1
    return 2 if any(v.status in INCOMPLETE or v.reason == ANOTHER_WORLD for v in found) else 0
