"""How likely a run of one regime scores above a run of another, over seeds and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xlt.results.aggregate import SCORE, TaskResult
from xlt.results.effects import ENOUGH
from xlt.results.render import Section, text_grid
from xlt.results.statistics import Interval, probability_of_improvement, stochastic_order

DRAWS = 1000


@dataclass(frozen=True)
class Improvement:
    """``probability`` that a run of the first regime scores above one of the second on a task drawn at random, from 0 to 1.

    ``violation``: the violation ratio of "the first is stochastically larger", averaged over tasks in the same way: 0 when
    it holds on each, above 0.5 when the reverse is closer (almost stochastic order, ``statistics.stochastic_order``).
    """

    probability: Interval
    violation: float
    seeds: tuple[int, int]


def improvement(
    first: Mapping[str, TaskResult], second: Mapping[str, TaskResult], tasks: Sequence[str]
) -> Improvement | None:
    """Compare the scores of two regimes on each task and average over tasks (Agarwal et al. 2021, section 4).

    The 95 % interval is that of their stratified bootstrap: runs are drawn with replacement within each task and side. ``p``
    is of a probability as far from one half by chance.

    Returns:
        None where a side has too few seeds on a task (``effects.ENOUGH``), or there is no task.
    """
    scores = [[np.array(list(side[task].average(SCORE).values())) for side in (first, second)] for task in tasks]
    if not scores or min(len(values) for pair in scores for values in pair) < ENOUGH:
        return None
    generator = np.random.default_rng(1)
    draws = np.zeros(DRAWS)
    for one, other in scores:
        ours = one[generator.integers(0, len(one), (DRAWS, len(one)))]
        theirs = other[generator.integers(0, len(other), (DRAWS, len(other)))]
        gaps = ours[:, :, None] - theirs[:, None, :]
        draws += ((gaps > 0) + (gaps == 0) / 2).mean(axis=(1, 2)) / len(scores)
    estimate = float(np.mean([probability_of_improvement(one.tolist(), other.tolist()) for one, other in scores]))
    low, high = (float(bound) for bound in np.quantile(draws, [0.025, 0.975]))
    tail = min(int((draws <= 0.5).sum()), int((draws >= 0.5).sum()))
    p = min(1.0, 2 * (tail + 1) / (DRAWS + 1))
    violation = float(np.mean([stochastic_order(one.tolist(), other.tolist()) for one, other in scores]))
    seeds = (min(len(one) for one, _ in scores), min(len(other) for _, other in scores))
    return Improvement(Interval(estimate, low, high, p), violation, seeds)


def section(found: Mapping[str, Improvement | None], titles: Mapping[str, str], reference: str) -> list[Section]:
    """The improvements over a reference as a table; none when no regime has seeds enough."""
    rows = [
        [
            titles[name],
            f"{own.probability.estimate:.2f} [{own.probability.low:.2f}, {own.probability.high:.2f}]",
            f"{own.violation:.2f}",
            f"{own.seeds[0]} and {own.seeds[1]}",
        ]
        for name, own in found.items()
        if own is not None
    ]
    if not rows:
        return []
    headers = ["Regime", "Probability of improvement", "Violation of stochastic order", "Seeds"]
    foot = [
        "Probability that a run scores above one of the reference on a task drawn at random, with its 95 % bootstrap "
        "interval (Agarwal et al. 2021); violation ratio of being stochastically larger, 0 when it holds on every task "
        "(Dror et al. 2019). A bootstrap of few runs is too narrow, so no conclusion rests on this interval."
    ]
    return [Section(f"Improvement over {reference}", text_grid(headers, rows), foot)]
