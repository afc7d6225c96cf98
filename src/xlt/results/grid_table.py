"""The grid of intermediate and target tasks (Phang et al. 2020, table 2; Poth et al. 2021): what each pair gains over none.

One section per base regime: the row of the base itself ("none"), then one per intermediate task or mixture. A second
section holds the mean gain by family of intermediate and family of target. Differences are taken seed by seed. A target
whose own training set is the intermediate task is shown and marked, and left out of every mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from xlt.config.regimes import Intermediate
from xlt.errors import InputError
from xlt.results import export, formatting
from xlt.results.aggregate import BySeed, TaskResult, summarize
from xlt.results.render import Document, Ranked, Section, Text, ranked_grid, text_grid
from xlt.results.reported import AVERAGE
from xlt.results.run_folders import RegimeRuns
from xlt.results.score_table import Inputs, ScoreTable

SAME = "same training set"


class GridTable(ScoreTable):
    """Table 5. ``bases``: base regime -> its rows, itself first.

    Raises:
        InputError: the table has no grid, or a row belongs to no base (a regime of the
            grid, or a row without intermediate training).
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        if self.config.grid is None:
            raise InputError(f"{self.config.name}: expected the key grid in a table of kind grid")
        plain = [n for n in self.config.regimes if n in self.regimes and _has_no_intermediate(self.regimes[n])]
        names = list(dict.fromkeys([*self.config.grid.regimes, *plain]))
        rows: dict[str, list[str]] = {base: [] for base in names}
        for name in self.regimes:
            rows[base_of(name, names)].append(name)
        if orphans := [name for base, own in rows.items() if base not in own for name in own]:
            raise InputError(f"{self.config.name}: expected the row of their base beside {', '.join(orphans)}")
        places = list(self.regimes)
        self.bases = {
            base: sorted(own, key=lambda name: (name != base, name in self.config.regimes, places.index(name)))
            for base, own in rows.items()
            if own
        }

    def base(self, regime: str) -> str:
        """The base that a row belongs to."""
        return next(base for base, rows in self.bases.items() if regime in rows)

    def _before(self, regime: str) -> Intermediate | None:
        """The intermediate training of a row; None for a base, and before anything is planned."""
        config = self.regimes[regime].config
        return None if config is None else config.regime.intermediate

    def intermediates(self, regime: str) -> list[str]:
        """The recipes that a row is trained on before the target."""
        before = self._before(regime)
        return [] if before is None else before.recipes

    def same_data(self, regime: str, task: str) -> bool:
        """Whether the target's own training sets are among the row's intermediate tasks."""
        configs = [run.config for run in self.regimes[regime].runs if task in run.planned.tasks]
        own = {stage.recipe.name for config in configs for stage in config.stages}
        return bool(own & set(self.intermediates(regime)))

    def gain(self, regime: str, task: str) -> BySeed:
        """Points over the base by seed, on average over the languages that both have; empty for the base itself."""
        base = self.base(regime)
        return self.gap(regime, base, task) if regime != base else {}

    def transfer(self, regime: str, task: str) -> float | None:
        """The gain of a pair over seeds; None where one side is missing or the training set is the same."""
        stat = None if self.same_data(regime, task) else summarize(self.gain(regime, task))
        return None if stat is None else stat.mean

    def mean_gain(self, regime: str) -> tuple[float, int] | None:
        """(mean gain over targets with other training sets, their number), or None without one."""
        found = [gain for task in self.tasks if (gain := self.transfer(regime, task)) is not None]
        return (statistics.fmean(found), len(found)) if found else None

    def by_family(self, base: str) -> dict[tuple[str, str], list[float]]:
        """Gains of all pairs, by family of the single intermediate task (as planned) and family of the target.

        Only cells of the cross count: one intermediate task whose weights go on, nothing mixed in.
        """
        pairs: dict[tuple[str, str], list[float]] = {}
        for regime in self.bases[base][1:]:
            before, recipes = self._before(regime), self.intermediates(regime)
            plain = before is not None and before.transfer == "continue" and before.masked_text is None
            planned = self.plan.recipes.get(recipes[0]) if plain and len(recipes) == 1 else None
            for task in self.tasks.values() if planned is not None else ():
                gain = self.transfer(regime, task.name)
                if planned is not None and gain is not None:
                    pairs.setdefault((planned.family, task.family), []).append(gain)
        return pairs

    @cached_property
    def document(self) -> Document:
        """A section of scores for each base, then one of families."""
        notes = formatting.Footnotes()
        sections = [self._scores(base, notes) for base in self.bases]
        sections += [section for base in self.bases for section in self._families(base)]
        general = [
            "Scores: average over the languages with data, percent; question answering: the mean of F1 and exact match. "
            "Differences in points, seed by seed, over the languages that both rows have.",
            *formatting.too_few_seeds(self.all_results),
            *formatting.unscored(self.regimes.values(), self.tasks),
            "Families: rows with several intermediate tasks, with masked text, stacked or fused adapters are not counted.",
            "Bold: best of the column; underlined: second best; figures that print alike are tied.",
        ]
        return self.page(sections, [*notes.lines(), *general])

    def _scores(self, base: str, notes: formatting.Footnotes) -> Section:
        rows = self.bases[base]
        columns = [[self._cell(name, task, notes) for name in rows] for task in self.tasks]
        columns.append([self._mean_cell(name) for name in rows])
        headers = ["Intermediate", *(task.title for task in self.tasks.values()), "Mean difference"]
        title = f"{self.regimes[base].title}: score (difference to no intermediate task)"
        return Section(title, ranked_grid(headers, [self._label(name) for name in rows], columns))

    def _label(self, regime: str) -> str:
        names = self.intermediates(regime)
        if regime in self.bases:
            return "none"
        if regime in self.config.regimes or not names:
            return self.regimes[regime].title
        recipes = self.plan.recipes
        return " + ".join(recipes[name].title if name in recipes else name for name in names)

    def _cell(self, regime: str, task: str, notes: formatting.Footnotes) -> Ranked:
        result, stat = self.results[regime][task], summarize(self.average(regime, task))
        if result.status != "ok" or stat is None:
            return Text(result.status if result.status != "ok" else "no data"), None
        gain = summarize(self.gain(regime, task))
        shown = "" if gain is None else f" ({formatting.difference(gain.mean)})"
        marks = notes.marks(self._cell_notes(regime, result))
        return Text(f"{stat.mean:.1f}{shown}", marks=marks), stat.mean

    def _cell_notes(self, regime: str, result: TaskResult) -> list[str]:
        title, base = self.tasks[result.task].title, self.results[self.base(regime)][result.task]
        same = f"{SAME} as the intermediate task, so more epochs rather than transfer; in no mean"
        found = [same] if self.same_data(regime, result.task) else []
        found += formatting.part_of_languages(title, result) + formatting.part_of_seeds(result)
        if base.status == "ok" and set(base.languages) != set(result.languages):
            found.append(f"{title}: the difference is over the languages that both rows have")
        return found

    def _mean_cell(self, regime: str) -> Ranked:
        found, tasks = self.mean_gain(regime), len(self.tasks)
        if found is None:
            return Text(""), None
        counted = "" if found[1] == tasks else f" ({found[1]} of {tasks})"
        return Text(formatting.difference(found[0]) + counted), found[0]

    def _families(self, base: str) -> list[Section]:
        pairs = self.by_family(base)
        if not pairs:
            return []
        targets = list(dict.fromkeys(task.family for task in self.tasks.values()))
        rows = [
            [family, *(_mean(pairs.get((family, target), [])) for target in targets)]
            for family in dict.fromkeys(own for own, _ in pairs)
        ]
        title = f"{self.regimes[base].title}: mean difference by family of intermediate and target task (pairs)"
        related, other = split_by_relation(pairs)
        foot = f"Same family: {_mean(related)}. Other families: {_mean(other)}."
        return [Section(title, text_grid(["Intermediate", *targets], rows), [foot])]

    def further_records(self, regime: str, result: TaskResult) -> list[export.Record]:
        """The metric ``difference`` is to the base regime."""
        gain = self.gain(regime, result.task)
        return export.seed_records(result, regime, AVERAGE, "difference", gain, len(result.languages))

    @property
    def content(self) -> dict[str, Any]:
        """Rows, and gains by family."""
        rows = [self._row(base, name) for base, names in self.bases.items() for name in names]
        return {"rows": rows, "families": {base: _family_json(self.by_family(base)) for base in self.bases}}

    def _row(self, base: str, name: str) -> dict[str, Any]:
        mean = self.mean_gain(name)
        tasks = {
            task: export.result_json(result)
            | {"difference": export.stat_json(self.gain(name, task)), "same_training_set": self.same_data(name, task)}
            for task, result in self.results[name].items()
        }
        return {
            "regime": name,
            "title": self.regimes[name].title,
            "base": base,
            "intermediate": self.intermediates(name),
            "tasks": tasks,
            "mean_difference": None if mean is None else {"mean": mean[0], "tasks": mean[1]},
        }


def base_of(regime: str, bases: Iterable[str]) -> str:
    """The base a row belongs to: the longest whose name it begins with.

    Raises:
        InputError: there is none.
    """
    fitting = [base for base in bases if regime == base or regime.startswith(f"{base}-")]
    if not fitting:
        raise InputError(f"regimes: expected a name that begins with {' or '.join(bases)}, got {regime}")
    return max(fitting, key=len)


def _has_no_intermediate(regime: RegimeRuns) -> bool:
    """Whether a row is a base of its own, crossed or not: nothing is trained before its target tasks."""
    return bool(regime.runs) and all(run.config.regime.intermediate is None for run in regime.runs)


def split_by_relation(pairs: Mapping[tuple[str, str], Sequence[float]]) -> tuple[list[float], list[float]]:
    """The gains of pairs of one family, and those of pairs of two."""
    related = [gain for (own, target), gains in pairs.items() if own == target for gain in gains]
    return related, [gain for (own, target), gains in pairs.items() if own != target for gain in gains]


def _mean(gains: Sequence[float]) -> str:
    return f"{formatting.difference(statistics.fmean(gains))} ({len(gains)})" if gains else "none"


def _family_json(pairs: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, Any]:
    related, other = split_by_relation(pairs)
    return {
        "pairs": [{"intermediate": own, "target": target, "gains": g} for (own, target), g in pairs.items()],
        "same_family": statistics.fmean(related) if related else None,
        "other_families": statistics.fmean(other) if other else None,
    }
