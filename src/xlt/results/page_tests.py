"""Tests of a verified page as a whole: what many cells show together that none shows alone (docs/verification.md).

The average of every task in every regime, of every task over the regimes, and of every regime and the page over the tasks is
compared with that of the recorded runs, by a prediction interval with a moderated spread, like a cell. How tasks, languages
and regimes of one run move together needs no model then: it is in the spread of the averages. The share of cells outside
their interval is compared with what each recorded run shows beside the others.

Each family of tests has a level of its own (``LEVELS``), kept by Holm's method within it. Their sum bounds the chance that an
honest page is flagged, however the tests depend on each other (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xlt.config.benchmark import Task
from xlt.results.aggregate import headline_metrics
from xlt.results.recording import Key, Recording, positions
from xlt.results.spreads import TAILS, Array, Spreads, average_spreads, cell_spreads, errors_of, scores_of
from xlt.results.statistics import half_width, holm
from xlt.results.verdicts import Verdict

Family = Literal["average", "task", "regime", "share outside"]
LEVELS: dict[Family, float] = {"average": 0.00003, "task": 0.00005, "regime": 0.00002, "share outside": 0.00002}
"""With ``verdicts.OF_RECORDED``, that of cells, their sum is below one in a thousand."""
INSIDE = 0.95
"""Level of the interval that cells are counted outside of, and that is printed beside an average."""
PAGE = "all"


@dataclass(frozen=True)
class PageTest:
    """One figure of the page beside that of the recorded runs; ``tolerance``: half of its 95 % interval, or up to its end.

    ``adjusted``: its p-value, adjusted for its family; it differs when that is below the family's level.
    """

    family: Family
    name: str
    measured: float
    expected: float
    tolerance: float
    p: float
    adjusted: float

    @property
    def differs(self) -> bool:
        """Whether an honest page would hardly show this."""
        return self.adjusted < LEVELS[self.family]


@dataclass(frozen=True)
class PageAverage:
    """A figure of the page: the mean over tasks of the mean over regimes of the tasks' scores; ``weights`` [cells]."""

    family: Family
    name: str
    weights: Array


def averages(keys: Sequence[Key], headline: Mapping[str, Sequence[str]]) -> list[PageAverage]:
    """The averages of a page.

    Args:
        keys: its cells.
        headline: by task the metrics whose mean is its score.
    """
    members: dict[tuple[str, str], list[int]] = {}
    for number, (regime, task, metric, _) in enumerate(keys):
        if metric in headline[task]:
            members.setdefault((regime, task), []).append(number)
    own = {pair: _mean(numbers, len(keys)) for pair, numbers in members.items()}
    found = [PageAverage("average", f"{regime}, {task}", weights) for (regime, task), weights in own.items()]
    regimes, tasks = (list(dict.fromkeys(pair[side] for pair in own)) for side in (0, 1))
    if len(regimes) > 1:
        found += [PageAverage("task", task, _over(own, 1, task)) for task in tasks]
    if len(tasks) > 1:
        found += [PageAverage("regime", regime, _over(own, 0, regime)) for regime in regimes]
    if len(regimes) > 1 and len(tasks) > 1:
        found.append(PageAverage("regime", PAGE, np.mean(list(own.values()), axis=0)))
    return found


def _mean(numbers: Sequence[int], cells: int) -> Array:
    weights = np.zeros(cells)
    weights[list(numbers)] = 1 / len(numbers)
    return weights


def _over(own: Mapping[tuple[str, str], Array], side: int, name: str) -> Array:
    return np.asarray(np.mean([weights for pair, weights in own.items() if pair[side] == name], axis=0))


class Page:
    """The recorded runs of the cells of a page, ready to be compared with new runs.

    Args:
        keys: the cells.
        scores: [runs, cells] what was recorded, in percent.
        spreads: of the cells.
        headline: as in ``averages``.
    """

    def __init__(
        self, keys: Sequence[Key], scores: Array, spreads: Spreads, headline: Mapping[str, Sequence[str]]
    ) -> None:
        self.keys, self.scores, self.spreads = list(keys), scores, spreads
        self.averages = averages(keys, headline)
        self.families: list[Family] = list(dict.fromkeys(average.family for average in self.averages))
        self._fitted = {family: self._fit(family) for family in self.families}
        self.shares = _Shares(keys, scores, spreads)

    def _fit(self, family: Family) -> tuple[Array, Spreads]:
        weights = np.array([average.weights for average in self.averages if average.family == family])
        return weights, average_spreads(self.scores, weights, self.spreads.std)

    def differences(self, family: Family, measured: Array, runs: int = 1) -> tuple[Array, Array, Array, Array]:
        """Of each average of a family: measured, expected, standard error of their difference, degrees of freedom.

        Args:
            measured: [..., cells] means over ``runs`` runs, in percent.
        """
        weights, spreads = self._fitted[family]
        error = spreads.std * np.sqrt(1 / runs + 1 / len(self.scores))
        return measured @ weights.T, self.scores.mean(axis=0) @ weights.T, error, spreads.freedom

    def p_values(self, measured: Array, runs: int = 1) -> dict[Family, Array]:
        """By family: [..., tests] the two-sided p-value of each average, the one-sided one of each share outside."""
        found: dict[Family, Array] = {}
        for family in self.families:
            own, expected, error, freedom = self.differences(family, measured, runs)
            found[family] = np.asarray(2 * stats.t.sf(np.abs(own - expected) / error, freedom))
        found["share outside"] = self.shares.p_values(self.shares.of(measured, runs))
        return found

    def tests(self, measured: Array, runs: int = 1) -> list[PageTest]:
        """Every test of one page of [cells] means over ``runs`` runs."""
        p_values = self.p_values(measured, runs)
        found: list[PageTest] = []
        for family in self.families:
            own, expected, error, freedom = self.differences(family, measured, runs)
            names = [average.name for average in self.averages if average.family == family]
            widths = [half_width(e, f, INSIDE) for e, f in zip(error, freedom, strict=True)]
            found += _tests(family, names, own, expected, widths, p_values[family])
        outside = self.shares.of(measured, runs)
        most = [100 * value for value in self.shares.most()]
        expected = np.full(len(most), 100 * self.shares.mean)
        widths = [value - 100 * self.shares.mean for value in most]
        return found + _tests(
            "share outside", self.shares.names, 100 * outside, expected, widths, p_values["share outside"]
        )


def _tests(
    family: Family, names: Sequence[str], own: Array, expected: Array, widths: Sequence[float], p_values: Array
) -> list[PageTest]:
    adjusted = holm([float(p) for p in p_values])
    rows = zip(names, own, expected, widths, p_values, adjusted, strict=True)
    return [PageTest(family, name, float(x), float(y), float(w), float(p), a) for name, x, y, w, p, a in rows]


class _Shares:
    """The share of cells outside their 95 % interval, of the page and of each regime.

    Cells of a run move together, so the share varies more than a binomial one. What it is in honest pages is read off the
    recorded runs, each set beside the others: its mean (at least 5 %), and its variance, once from the shares of tasks (or
    of regimes) taken as independent, once from the shares of whole pages; the largest counts, widened for the few runs that
    it is known from. A beta distribution with these two moments gives the probability.
    """

    def __init__(self, keys: Sequence[Key], scores: Array, spreads: Spreads) -> None:
        self.scores, self.spreads = scores, spreads
        regimes = np.array([key[0] for key in keys])
        tasks = np.array([key[1] for key in keys])
        self.names = list(dict.fromkeys(regimes)) if len(set(regimes)) > 1 else []
        self.members = np.array([regimes == name for name in self.names] + [np.ones(len(keys), dtype=bool)])
        self.names.append(PAGE)
        outside = self._left_out()
        self.mean = max(1 - INSIDE, float(outside.mean()))
        by_regime = [
            self._variance(outside, [(tasks == t) & own for t in dict.fromkeys(tasks)]) for own in self.members[:-1]
        ]
        page = [[tasks == task for task in dict.fromkeys(tasks)]]
        if by_regime:
            page.append(list(self.members[:-1]))
        variances = [float(np.mean(by_regime))] * len(by_regime) if by_regime else []
        variances.append(max(self._variance(outside, clusters) for clusters in page))
        runs, limit = len(scores), self.mean * (1 - self.mean)
        ahead = (
            (1 + 1 / runs) * (runs - 1) / max(runs - 3, 1)
        )  # a new value's variance by Student's t, to the known one
        precision = limit / np.minimum(ahead * np.array(variances), 0.9 * limit) - 1
        self._beta = stats.beta(self.mean * precision, (1 - self.mean) * precision)

    def _left_out(self) -> NDArray[np.bool_]:
        """[runs, cells] whether a recorded run is outside the interval that the others give."""
        runs, spreads = len(self.scores), self.spreads
        freedom = runs - 2 + spreads.prior
        quantile = stats.t.ppf((1 + INSIDE) / 2, np.minimum(freedom, TAILS))
        outside = np.empty(self.scores.shape, dtype=bool)
        for run in range(runs):
            others = np.delete(self.scores, run, axis=0)
            own = (runs - 2) * others.var(axis=0, ddof=1)
            std = np.sqrt((own + spreads.prior * spreads.common) / freedom)
            width = quantile * std * np.sqrt(1 + 1 / (runs - 1))
            outside[run] = np.abs(self.scores[run] - others.mean(axis=0)) > width
        return outside

    def _variance(self, outside: NDArray[np.bool_], clusters: Sequence[NDArray[np.bool_]]) -> float:
        """Of the share of cells outside in all clusters: that of independent clusters, or of whole runs if it is larger."""
        cells = sum(int(cluster.sum()) for cluster in clusters)
        parts = [(outside[:, cluster].mean(axis=1), cluster.sum() / cells) for cluster in clusters if cluster.any()]
        independent = sum(share**2 * ((own - self.mean) ** 2).mean() for own, share in parts)
        whole = sum(share * own for own, share in parts)
        return max(float(independent), float(((whole - self.mean) ** 2).mean()), self.mean * (1 - self.mean) / cells)

    def of(self, measured: Array, runs: int) -> Array:
        """[..., shares] of pages of [..., cells] means over ``runs`` runs."""
        error = self.spreads.std * np.sqrt(1 / runs + 1 / len(self.scores))
        width = stats.t.ppf((1 + INSIDE) / 2, self.spreads.freedom) * error
        outside = np.abs(measured - self.scores.mean(axis=0)) > width
        return np.asarray(outside.astype(float) @ self.members.T / self.members.sum(axis=1))

    def p_values(self, shares: Array) -> Array:
        """The probability of a share at least as large on an honest page."""
        return np.asarray(self._beta.sf(shares - 1e-9))

    def most(self) -> Array:
        """What 95 % of honest pages stay below."""
        return np.asarray(self._beta.ppf(INSIDE))


def page_tests(found: Sequence[Verdict], recording: Recording, tasks: Mapping[str, Task]) -> list[PageTest]:
    """The tests of a verified page; none when fewer than two of its cells could be compared with recorded ones.

    Args:
        found: the verdicts on its cells.
        recording: what was recorded.
        tasks: the columns.
    """
    where = positions(recording.keys)
    judged = {
        key: verdict
        for verdict in found
        if verdict.p is not None
        and verdict.entry is not None
        and verdict.entry.world is not None
        and (key := (verdict.regime, verdict.task, verdict.metric, verdict.language)) in where
    }
    if len(judged) < 2:
        return []
    scores, numbers = scores_of(recording), [where[key] for key in judged]
    spreads = cell_spreads(recording.keys, scores, errors_of(recording)).of(numbers)
    headline = {name: headline_metrics(task) for name, task in tasks.items()}
    measured = np.array([verdict.measured for verdict in judged.values()], dtype=np.float64)
    runs = min(verdict.seeds for verdict in judged.values())
    return Page(list(judged), scores[:, numbers], spreads, headline).tests(measured, runs)
