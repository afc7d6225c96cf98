"""How figures are printed: scores, differences, counts, times and the header that every table shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from xlt import languages
from xlt.config.benchmark import Task
from xlt.config.run_config import RunConfig
from xlt.errors import InputError
from xlt.results.aggregate import SCORE, MeanStd, TaskResult
from xlt.results.effects import ENOUGH, Effect
from xlt.results.run_folders import Plan, RegimeRuns, merged_profile
from xlt.results.statistics import Interval

METRIC_TITLES = {
    "accuracy": "accuracy",
    "accuracy_into_english": "accuracy into English",
    "f1": "F1",
    "exact_match": "exact match",
    "map@20": "mAP@20",
    "map": "mAP",
    SCORE: "mean of F1 and exact match",
}


@dataclass
class Footnotes:
    """Footnotes of a table, lettered in the order of their first use; equal texts share a letter."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The letter of a footnote: a to z, then aa, ab and so on."""
        if text not in self.texts:
            self.texts.append(text)
        index = self.texts.index(text)
        return (chr(ord("a") + index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)

    def marks(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The letters of several."""
        return tuple(self.mark(text) for text in texts)

    def lines(self) -> list[str]:
        """The footnotes with their letters."""
        return [f"{self.mark(text)}: {text}" for text in self.texts]


def score(stat: MeanStd) -> str:
    """A score in percent with one decimal, and its standard deviation where there is one: ``54.2 ± 0.3``."""
    return f"{stat.mean:.1f}" + ("" if stat.std is None else f" ± {stat.std:.1f}")


def difference(value: float) -> str:
    """A difference in points with its sign; the minus is the typographic one: ``−1.2``, and ``0.0`` has none."""
    text = f"{value:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def signed(stat: MeanStd) -> str:
    """A difference with its standard deviation where there is one: ``+1.2 ± 0.3``."""
    return difference(stat.mean) + ("" if stat.std is None else f" ± {stat.std:.1f}")


def with_interval(value: float, interval: Interval | None) -> str:
    """A difference with its confidence interval, ``+1.2 [−0.3, 2.7]``; without one, the difference alone."""
    if interval is None:
        return difference(value)
    low, high = (f"{bound:.1f}".replace("-", "−") for bound in (interval.low, interval.high))
    return f"{difference(value)} [{low}, {high}]"


def interval_note(intervals: Iterable[Effect | None]) -> list[str]:
    """What the brackets are, and what they are about with a single seed; no note without an interval."""
    seeds = [interval.seeds for interval in intervals if interval is not None]
    if not seeds:
        return []
    note = (
        "In brackets: 95 % confidence interval of the difference, over seeds and test items, the translations of an item "
        "drawn together (docs/verification.md)"
    )
    return [note + ("; with one seed on a side it is about these trained models only." if min(seeds) == 1 else ".")]


def too_few_seeds(results: Iterable[TaskResult]) -> list[str]:
    """A note where differences decide nothing, because a row has fewer seeds than a conclusion takes."""
    seeds = [len(result.seeds) for result in results if result.status == "ok"]
    if not seeds or min(seeds) >= ENOUGH:
        return []
    return [
        f"Differences here decide nothing between rows of which one has fewer than {ENOUGH} seeds (fewest: {min(seeds)})."
    ]


def count(number: int) -> str:
    """A count with thousands separated: ``2,490``."""
    return f"{number:,}"


def parameters(number: int) -> str:
    """A number of parameters: ``117.5 M``, ``894.5 k``, ``0``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def duration(seconds: float | None) -> str:
    """A wall time: ``41 s``, ``12.5 min``, ``3.2 h``; ``none`` for a step that was not taken."""
    if seconds is None:
        return "none"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def memory(number: int) -> str:
    """Memory in GiB: ``1.9 GiB``."""
    return f"{number / 2**30:.1f} GiB"


def language(code: str) -> str:
    """Name and code of a language, ``Swahili (sw)``; the code alone for what is no single language (a pair, say)."""
    try:
        return f"{languages.name(code)} ({code})"
    except InputError:
        return code


def _first_config(regimes: Iterable[RegimeRuns]) -> RunConfig | None:
    runs = [run for regime in regimes for run in regime.runs]
    return runs[0].config.model_copy(update={"profile": merged_profile(runs)}) if runs else None


def _splits(config: RunConfig | None, results: Iterable[TaskResult], tasks: Mapping[str, Task]) -> str:
    split_of = {} if config is None else dict(config.profile.splits)
    split_of |= {result.task: result.split for result in results if result.split is not None}
    notes = {} if config is None else config.profile.split_notes
    exceptions = [
        f"{tasks[task].title}: dev" + (f", because {notes[task]}" if task in notes else "")
        for task in tasks
        if split_of.get(task) == "dev"
    ]
    return "test" + (f"; except {'; '.join(exceptions)}" if exceptions else " for every task")


def _grouped(caps: Mapping[str, int | None]) -> str:
    """Names by their cap: ``24 (XNLI, TyDiQA-GoldP), 40 (XCOPA), all (Tatoeba)``."""
    numbers = sorted({number for number in caps.values() if number is not None})
    groups = [(count(number), [name for name, cap in caps.items() if cap == number]) for number in numbers]
    groups += [("all", names)] if (names := [name for name, cap in caps.items() if cap is None]) else []
    return ", ".join(f"{shown} ({', '.join(names)})" for shown, names in groups)


def _caps(config: RunConfig | None, regimes: Iterable[RegimeRuns], tasks: Mapping[str, Task]) -> str:
    if config is None:
        return "not known before the first run is planned"
    configs = [run.config for regime in regimes for run in regime.runs]
    recipes = sorted({stage.recipe.name for each in configs for stage in each.stages})
    train = {name: config.profile.cap(name).train for name in recipes}
    scored = {name for each in configs for name in each.languages}
    test = {task.title: config.profile.cap(name).test for name, task in tasks.items() if name in scored}
    texts = []
    if any(cap is not None for cap in train.values()):
        texts.append(f"training: {_grouped(train)}")
    if any(cap is not None for cap in test.values()):
        texts.append(f"scored, in each language: {_grouped(test)}")
    return "; ".join(texts) or "none (all examples)"


def _cut(regimes: Sequence[RegimeRuns], tasks: Mapping[str, Task]) -> str | None:
    """Where the encoder reads less than the protocol says, for tasks and recipes of this table; None where nowhere."""
    recipes = {run.planned.recipe for regime in regimes for run in regime.runs}
    found: dict[int, dict[str, int | None]] = {}
    for made in (run.provenance for regime in regimes for run in regime.finished):
        for name, length in made.cut.items():
            if made.positions is not None and (name in tasks or name in recipes):
                found.setdefault(made.positions, {})[tasks[name].title if name in tasks else f"training {name}"] = (
                    length
                )
    cut = [f"cut to {most}, the encoder's positions, instead of {_grouped(own)}" for most, own in sorted(found.items())]
    return "; ".join(cut) or None


def _data_notes(config: RunConfig | None, regimes: Iterable[RegimeRuns], tasks: Mapping[str, Task]) -> str | None:
    """Notes of the profile and the runs on data that the line on splits has not shown, for this table's tasks and recipes."""
    if config is None:
        return None
    recipes = {run.planned.recipe for regime in regimes for run in regime.runs}
    shown = [
        f"{tasks[name].title if name in tasks else name}: {note}"
        for name, note in config.profile.split_notes.items()
        if (name in tasks and config.profile.splits.get(name) != "dev") or (name in recipes and name not in tasks)
    ]
    finished = [run.scores.tasks for regime in regimes for run in regime.finished]
    found = {name: scores[name].notes for scores in finished for name in tasks if name in scores}
    shown += [f"{tasks[name].title}: {note}" for name, notes in found.items() for note in notes]
    provenances = [run.provenance for regime in regimes for run in regime.finished]
    faults = {name: found for each in provenances for name, found in each.faults.items()}
    titles = {name: task.title for name, task in tasks.items()} | {
        f"training {name}": f"training {name}" for name in recipes
    }
    shown += [f"{title}: {fault}" for name, title in titles.items() for fault in faults.get(name, [])]
    left_out = {name: n for each in provenances for name, n in each.left_out.items()}
    shown += [
        f"{name}: {count(number)} training examples left out, which share a sentence with what is scored or chooses the epoch"
        for name, number in left_out.items()
    ]
    return "; ".join(shown) or None


def _commits(regimes: Sequence[RegimeRuns]) -> str:
    found = {
        (run.provenance.git_commit or "unknown")[:10] + (" with local changes" if run.provenance.git_dirty else "")
        for regime in regimes
        for run in regime.finished
    }
    return ", ".join(sorted(found)) or "no run yet"


def _recorded(regimes: Sequence[RegimeRuns], key: Literal["device", "encoder"]) -> str:
    """What the finished runs recorded under a key of their provenance, each different text once."""
    found = {getattr(run.provenance, key) for regime in regimes for run in regime.finished}
    return "; ".join(sorted(found - {None})) or "not recorded"


def _seeds(plan: Plan, regimes: Sequence[RegimeRuns]) -> str:
    seeds = sorted({run.planned.seed for regime in regimes for run in regime.runs}) or plan.seeds
    shown = ", ".join(str(seed) for seed in seeds)
    if len(seeds) > 1:
        return f"{shown} (mean ± sample standard deviation over seeds)"
    if regimes and all(regime.frozen for regime in regimes):
        return f"{shown} (nothing is trained, so one run is exact)"
    return f"{shown} (one seed only, so there is no standard deviation)"


def header(
    plan: Plan, regimes: Sequence[RegimeRuns], results: Sequence[TaskResult], tasks: Mapping[str, Task]
) -> list[tuple[str, str]]:
    """The lines above a table: what was run, on what, and how much of the benchmark."""
    config = _first_config(regimes)
    notes, cut = _data_notes(config, regimes, tasks), _cut(regimes, tasks)
    dual_encoder = None if config is None else config.profile.dual_encoder
    return [
        ("Profile", plan.profile if config is None else config.profile.title),
        ("Model", plan.model if config is None else config.model.title),
        ("Encoder from", _recorded(regimes, "encoder")),
        ("Scored split", _splits(config, results, tasks)),
        *([("Data", notes)] if notes else []),
        *([("Dual encoder", dual_encoder)] if dual_encoder else []),
        ("Caps on examples", _caps(config, regimes, tasks)),
        *([("Sub-words read", cut)] if cut else []),
        ("Seeds", _seeds(plan, regimes)),
        ("Commit", _commits(regimes)),
        ("Device", _recorded(regimes, "device")),
    ]


def missing(result: TaskResult) -> str:
    """The languages without a score and why: ``no data: Wolof (wo); labels withheld: Polish (pl)``."""
    groups = {
        "no data": [code for code in result.missing if code not in (*result.withheld, *result.uneven)],
        "labels withheld": [code for code in result.missing if code in result.withheld],
        "not in every seed": [code for code in result.missing if code in result.uneven],
    }
    return "; ".join(f"{reason}: {', '.join(language(c) for c in codes)}" for reason, codes in groups.items() if codes)


def part_of_languages(title: str, result: TaskResult) -> list[str]:
    """A note where a task's average is not over all its languages."""
    counted = f"average over {len(result.languages)} of {len(result.expected)} languages"
    return [f"{title}: {counted}; {missing(result)}"] if result.missing else []


def part_of_seeds(result: TaskResult) -> list[str]:
    """A note where not all seeds have finished."""
    ran, planned = len(result.seeds), len(result.planned_seeds)
    return [f"{ran} of {planned} seeds ran"] if ran < planned else []


def fallbacks(regimes: Iterable[RegimeRuns]) -> list[str]:
    """A note for each regime that had no language adapter for some languages, and what served them."""
    notes = []
    for regime in regimes:
        given = [run.provenance.language_fallbacks for run in regime.finished]
        served: dict[str, set[str]] = {}
        for code, by in (item for found in given for item in found.items()):
            served.setdefault(by, set()).add(code)
        for by, codes in sorted(served.items()):
            instead = "read without one" if by == "none" else f"read with that of {by}"
            notes.append(f"{regime.title}: no language adapter of {', '.join(sorted(codes))}; {instead}.")
    return notes


def unscored(regimes: Iterable[RegimeRuns], tasks: Mapping[str, Task]) -> list[str]:
    """A note for each task of which rows without a true label are not scored: how many, and in which languages."""
    finished = [run.scores.tasks for regime in regimes for run in regime.finished]
    notes = []
    for name, task in tasks.items():
        most: Counter[str] = Counter()
        for scores in finished:
            most |= Counter(scores[name].unlabelled if name in scores else {})
        if most:
            by_language = ", ".join(f"{code} {count(number)}" for code, number in sorted(most.items()))
            left_out = f"{count(most.total())} pair{'s' if most.total() > 1 else ''} with an untranslated sentence"
            notes.append(f"{task.title}: {left_out} {'are' if most.total() > 1 else 'is'} not scored ({by_language}).")
    return notes


def left_out(rows: Sequence[str]) -> list[str]:
    """A note that names the rows this profile does not run; none when it runs them all."""
    return [f"Rows this profile leaves out (ROWS=all runs them): {', '.join(rows)}."] if rows else []
