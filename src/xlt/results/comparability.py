"""A measured score beside the number that was reported for it, and whether the two may be compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from xlt.config.run_config import ProfileSummary
from xlt.results.aggregate import MeanStd, TaskResult, summarize
from xlt.results.protocol_facts import Facts, facts_of_run, reason_against
from xlt.results.reported import AVERAGE, Reported, matches
from xlt.results.run_folders import RegimeRuns, merged_profile

ANOTHER_WORLD = (
    "recorded on another generated world, or with another recipe for its encoder; when the change is meant, record again "
    "with make expectations"
)


@dataclass(frozen=True)
class Comparison:
    """One line of a regime's table.

    ``language`` is a code, or ``avg`` for an average over ``languages``. ``reported`` is the entry compared with (a gap
    when its value is None); ``reason`` says why the two are not comparable, and is None when they are (or when nothing
    was reported).
    """

    task: str
    metric: str
    language: str
    languages: tuple[str, ...]
    measured: MeanStd
    n: int
    reported: Reported | None
    reason: str | None

    @property
    def difference(self) -> float | None:
        """Measured minus reported, in points; None when not comparable or not reported."""
        if self.reported is None or self.reported.value is None or self.reason is not None:
            return None
        return self.measured.mean - self.reported.value


@dataclass(frozen=True)
class Comparer:
    """What decides whether the scores of a regime may be compared with published ones.

    ``world``: digest of the generated world the runs were made on; the artifact's own expectations are left out without it.
    """

    reported: list[Reported]
    model: str
    regime: RegimeRuns
    world: str | None = None

    @cached_property
    def _profile(self) -> ProfileSummary:
        profile = merged_profile(self.regime.runs)
        assert profile is not None, "only asked for finished runs, which have a config"
        return profile

    def _reason(self, result: TaskResult, languages: Sequence[str], entry: Reported | None) -> str | None:
        if entry is None or entry.value is None:
            return None
        if self._profile.name != entry.profile and not self.regime.frozen:
            return "capped profile" if entry.profile == "paper" else f"profile {self._profile.name}"
        cap = self._profile.cap(result.task).test
        if entry.profile == "paper" and cap is not None and any(result.n[code] >= cap for code in languages):
            return "capped test set"
        if entry.world not in (None, self.world):
            return ANOTHER_WORLD
        if result.split != entry.split:
            return f"{result.split} split scored"
        if reason := self._another_protocol(result.task, languages, entry):
            return reason
        if entry.language == AVERAGE and entry.averages_over(result.expected) != frozenset(languages):
            return "average over other languages"
        return None

    def _facts(self, task: str) -> tuple[Facts | None, dict[str, str]]:
        """The facts of the runs that score a task, and the languages that had no adapter of their own in them."""
        runs = [run for run in self.regime.finished if task in run.planned.tasks]
        served = [run.provenance.language_fallbacks for run in runs]
        ours = facts_of_run(runs[0].config, task) if runs else None
        return ours, {code: by for found in served for code, by in found.items()}

    def _another_protocol(self, task: str, languages: Sequence[str], entry: Reported) -> str | None:
        """What the facts of a published number and of the runs say against a comparison."""
        ours, fallbacks = self._facts(task)
        if ours is None or entry.world is not None:
            return None
        return reason_against(entry.facts, ours, entry.metric, languages, fallbacks)

    def _entries(self, result: TaskResult, language: str, metric: str) -> list[Reported]:
        """Every entry for a cell, the nearest protocol first: those of the regime, and published ones of its method."""
        task, method = result.task, self.regime.method
        found = matches(self.reported, self.model, self.regime.name, task, language, metric)
        if method is not None:
            others = matches(self.reported, self.model, method, task, language, metric)
            found += [entry for entry in others if entry.world is None]
        known = [entry for entry in found if entry.world is None or self.world is not None]
        return sorted(known, key=lambda entry: (entry.value is None, self._distance(result, entry)))

    def _distance(self, result: TaskResult, entry: Reported) -> int:
        """0 for a number of the runs' protocol, 1 with their training sets but otherwise another, 2 with others."""
        over = entry.averages_over(result.expected) if entry.language == AVERAGE else {entry.language}
        languages = result.languages if over is None else sorted(over)
        if self._another_protocol(result.task, languages, entry) is None:
            return 0
        ours, _ = self._facts(result.task)
        return 1 if ours is not None and entry.facts.trained_on == ours.trained_on else 2

    def lost(self, result: TaskResult) -> list[str]:
        """The languages with an expectation for this profile that the runs have no score in."""
        own = (self.model, self.regime.name, result.task, self._profile.name)
        found = {
            entry.language: None
            for entry in self.reported
            if (entry.model, entry.regime, entry.task, entry.profile) == own
            and self.world is not None
            and entry.world is not None
            and entry.language not in (AVERAGE, *result.languages)
        }
        return list(found)

    def languages(self, result: TaskResult, metric: str) -> list[Comparison]:
        """One line per language with data, in the configuration's order."""
        lines = []
        for code in result.languages:
            measured = summarize(result.values[metric][code])
            if measured is None:
                continue
            entry = next(iter(self._entries(result, code, metric)), None)
            reason = self._reason(result, (code,), entry)
            lines.append(Comparison(result.task, metric, code, (code,), measured, result.n[code], entry, reason))
        return lines

    def averages(self, result: TaskResult, metric: str) -> list[Comparison]:
        """The average over all languages with data, then over each other set that a published average is taken over.

        A published average over languages that were not all measured, or not named, stands beside the first line when
        there is no better one, as not comparable.
        """
        best: dict[frozenset[str] | None, Reported] = {}
        for entry in self._entries(result, AVERAGE, metric):
            best.setdefault(entry.averages_over(result.expected), entry)
        everything = frozenset(result.languages)
        subsets = {over: entry for over, entry in best.items() if over is not None and over < everything}
        rest = [entry for over, entry in best.items() if over not in subsets and over != everything]
        chosen: list[tuple[frozenset[str], Reported | None]] = [
            (everything, best.get(everything, next(iter(rest), None)))
        ]
        chosen.extend(subsets.items())
        lines = []
        for over, candidate in chosen:
            codes = tuple(code for code in result.languages if code in over)
            measured = summarize(result.average(metric, codes))
            if measured is not None:
                reason = self._reason(result, codes, candidate)
                line = Comparison(result.task, metric, AVERAGE, codes, measured, len(codes), candidate, reason)
                lines.append(line)
        return lines
