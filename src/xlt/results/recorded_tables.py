"""Tables and sentences of the docs about the generated world, from the recorded runs (``make docs`` writes them).

A sentence that draws a conclusion is chosen by where the interval lies, so that it cannot outlive the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlt.config.benchmark import Task, load_all, load_yaml
from xlt.errors import InputError
from xlt.results import formatting
from xlt.results.aggregate import SCORE, SOURCE, MeanStd, headline_metrics
from xlt.results.recording import Recording, load_recording
from xlt.results.statistics import Interval, holm, mean_interval

FULL, ADAPTER = "full", "adapter"
"""The two regimes that the project's question is about."""
Array = NDArray[np.float64]
Scores = dict[tuple[str, str], dict[str, Array]]
"""By (regime, task) and language: [runs] the score in percent."""
SHOWN = ("xnli", "udpos", "xquad", "tatoeba")
"""The tasks of the short table."""
LARGEST_AVERAGE, LARGEST_ENGLISH = 2.0, 3.0
"""What the tiny profile was set to keep: the largest standard deviation over runs of a task's average and English score."""
NAMES = ("table2", "all-tasks", "groups", "kernels")
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def blocks(configs: Path) -> dict[str, str]:
    """The text of every block by its name, from ``configs/reported/tiny.yaml``.

    Raises:
        InputError: the file is damaged, or lacks one of the two regimes in question.
    """
    recording = load_recording(configs / "reported", "tiny", "babel")
    if recording is None:
        return dict.fromkeys(NAMES, "Not recorded yet.")
    if not {FULL, ADAPTER} <= {row.regime for row in recording.rows}:
        raise InputError(
            f"expected rows of {FULL} and {ADAPTER}; record them again", configs / "reported" / "tiny.yaml"
        )
    tasks = load_all(Task, configs / "tasks")
    families = {code: each["family"] for code, each in load_yaml(configs / "babel.yaml")["languages"].items()}
    return {
        "table2": overview(recording, tasks),
        "all-tasks": all_tasks(recording, tasks),
        "groups": by_group(recording, tasks, language_groups(families)),
        "kernels": by_kernel(recording, tasks),
    }


def overview(recording: Recording, tasks: Mapping[str, Task]) -> str:
    """The short table of the regimes, and what it says of adapters."""
    found = averages(task_scores(recording, tasks))
    shown = [task for task in SHOWN if task in found[FULL]]
    differences = against_full(found)
    rows = []
    for regime, title in _titles(recording).items():
        means = [found[regime][task] for task in shown] + [over_tasks(found[regime])]
        rows.append([title, *(f"{values.mean():.1f}" for values in means), _difference(differences.get(regime))])
    mean, adapter = f"mean of {_count(len(found[FULL]))} tasks", differences[ADAPTER]
    lines = [
        *_grid(["regime", *(tasks[task].title for task in shown), mean, "difference to full"], rows),
        "",
        f"Means over {_runs(recording)}; in brackets the 95 % interval over the runs, paired by run. "
        f"The adapter's difference is {_difference(adapter)}: {conclusion(adapter)}.",
    ]
    return "\n".join(lines)


def conclusion(adapter: Interval) -> str:
    """What an interval of adapters less full fine-tuning says in words."""
    if adapter.low > 0:
        return "it lies above zero, adapters are ahead of full fine-tuning here"
    if adapter.high < 0:
        return "it lies below zero, full fine-tuning is ahead of adapters here"
    return "it contains zero, so these runs do not tell adapters from full fine-tuning"


def all_tasks(recording: Recording, tasks: Mapping[str, Task]) -> str:
    """Every task with its standard deviation over the runs, and which differences to full fine-tuning are beyond chance."""
    found, titles = averages(task_scores(recording, tasks)), _titles(recording)
    differences, names = against_full(found), [tasks[task].title for task in found[FULL]]
    rows = []
    for regime, title in titles.items():
        scores = [*found[regime].values(), over_tasks(found[regime])]
        rows.append([title, *(_score(values) for values in scores), _difference(differences.get(regime))])
    rows.append(["chance", *(_chance(tasks[task]) for task in found[FULL]), "", ""])
    beyond = beyond_chance(found)
    lines = [
        f"Percent, mean ± standard deviation over {_runs(recording)}; in brackets the 95 % interval over the runs.",
        "",
        *_grid(["regime", *names, "mean", "difference to full"], rows),
        "",
        "Tasks on which a regime differs from full fine-tuning beyond chance (paired by run, p below 5 % after Holm's "
        f"correction for all {len(differences) * len(names)} comparisons):",
        "",
    ]
    for regime in differences:
        ahead, behind = (
            ", ".join(tasks[task].title for (name, task), gain in beyond.items() if name == regime and sign * gain > 0)
            for sign in (1, -1)
        )
        lines.append(f"- {titles[regime]}: ahead in {ahead or 'none'}; behind in {behind or 'none'}.")
    return "\n".join(lines)


def by_group(recording: Recording, tasks: Mapping[str, Task], groups: Mapping[str, Sequence[str]]) -> str:
    """Full fine-tuning and the adapter by group of languages, task by task."""
    scores = task_scores(recording, tasks)
    rows = []
    for task in averages(scores)[FULL]:
        cells = []
        for members in groups.values():
            own = [code for code in members if code in scores[FULL, task]]
            pair = [f"{average(scores[regime, task], own).mean():.0f}" for regime in (FULL, ADAPTER)] if own else ["-"]
            cells.append(" / ".join(pair))
        parts = headline_metrics(tasks[task])
        metric = formatting.METRIC_TITLES[parts[0] if len(parts) == 1 else SCORE]
        rows.append([tasks[task].title, metric, *cells, _chance(tasks[task])])
    head = f"Full fine-tuning / adapter, percent, means over {_runs(recording)} and the languages of a group."
    return "\n".join([head, "", *_grid(["task", "metric", *groups, "chance"], rows)])


def by_kernel(recording: Recording, tasks: Mapping[str, Task]) -> str:
    """Means under each CPU kernel, and how far runs of any seed and kernel lie apart: whether fine-tuning has settled."""
    scores, titles = task_scores(recording, tasks), _titles(recording)
    found, kernels = averages(scores), np.array([run.kernel for run in recording.recorded.runs])
    names = list(dict.fromkeys(kernels.tolist()))
    rows, beyond = [], []
    for task in found[FULL]:
        means = [np.mean([found[name][task][kernels == kernel] for name in titles]) for kernel in names]
        overall = {title: _std(found[name][task]) for name, title in titles.items()}
        english = {t: _std(scores[name, task][SOURCE]) for name, t in titles.items() if SOURCE in scores[name, task]}
        rows.append([tasks[task].title, *(f"{mean:.1f}" for mean in means), _largest(overall), _largest(english)])
        for where, stds, bound in (("", overall, LARGEST_AVERAGE), (" in English", english, LARGEST_ENGLISH)):
            large = {title: std for title, std in stds.items() if std > bound}
            beyond += [f"{std:.2f} for {tasks[task].title}{where}, {title}" for title, std in large.items()]
    headers = ["task", *(f"{kernel} ({np.sum(kernels == kernel)})" for kernel in names)]
    lines = [
        f"Means over the {_count(len(titles))} regimes under each kernel (with the number of its runs), and the largest "
        f"standard deviation, over {_runs(recording)}, of a regime's average and of its English score.",
        "",
        *_grid([*headers, "deviation of an average", "of English"], rows),
        "",
        f"The bounds set for these deviations, {LARGEST_AVERAGE:.0f} points for an average and {LARGEST_ENGLISH:.0f} for "
        f"English, are {'not kept: ' + '; '.join(beyond) if beyond else 'kept everywhere'}.",
    ]
    return "\n".join(lines)


def _largest(spreads: Mapping[str, float]) -> str:
    """The largest of some standard deviations, and the title it belongs to."""
    title = max(spreads, key=lambda each: spreads[each], default=None)
    return "-" if title is None else f"{spreads[title]:.1f} ({title})"


def _titles(recording: Recording) -> dict[str, str]:
    """The regimes with their titles, in the order of the recording."""
    return {row.regime: row.method for row in recording.rows}


def _runs(recording: Recording) -> str:
    """How many runs, with which seeds and kernels: "six runs (seeds 2, 3, ...; kernels AVX2, ...)"."""
    runs = recording.recorded.runs
    seeds = ", ".join(str(run.seed) for run in runs)
    kernels = list(dict.fromkeys(run.kernel for run in runs))
    noun = "CPU kernel" if len(kernels) == 1 else f"{_count(len(kernels))} CPU kernels:"
    return f"{_count(len(runs))} runs (seeds {seeds}; {noun} {', '.join(kernels)})"


def _count(number: int) -> str:
    return COUNTS[number] if number < len(COUNTS) else str(number)


def _std(values: Array) -> float:
    return float(np.std(values, ddof=1))


def _score(values: Array) -> str:
    return formatting.score(MeanStd(float(values.mean()), _std(values), ()))


def _difference(found: Interval | None) -> str:
    return "" if found is None else formatting.with_interval(found.estimate, found)


def _chance(task: Task) -> str:
    """Chance in a task with a fixed number of answers; retrieval's depends on how many candidates a world has."""
    return f"{task.chance:.0f}" if task.chance is not None and task.family != "tatoeba" else ""


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return ["| " + " | ".join(line) + " |" for line in (headers, ["---"] * len(headers), *rows)]


def task_scores(recording: Recording, tasks: Mapping[str, Task]) -> Scores:
    """The score of each regime on each task, the mean of the task's headline metrics, by language and run."""
    rows = {(row.regime, row.task, row.metric): row.scores for row in recording.rows}
    found: Scores = {}
    for regime, task in dict.fromkeys((regime, task) for regime, task, _ in rows):
        parts = [rows[regime, task, metric] for metric in headline_metrics(tasks[task])]
        found[regime, task] = {code: np.mean([part[code] for part in parts], axis=0) for code in parts[0]}
    return found


def average(by_language: Mapping[str, Array], languages: Sequence[str] | None = None) -> Array:
    """[runs] mean over languages, all or those given."""
    return np.asarray(np.mean([by_language[code] for code in languages or by_language], axis=0))


def averages(scores: Scores) -> dict[str, dict[str, Array]]:
    """By regime and task: [runs] the task's score over its languages."""
    found: dict[str, dict[str, Array]] = {}
    for (regime, task), by_language in scores.items():
        found.setdefault(regime, {})[task] = average(by_language)
    return found


def over_tasks(by_task: Mapping[str, Array]) -> Array:
    """[runs] mean of the tasks' scores."""
    return np.asarray(np.mean(list(by_task.values()), axis=0))


def against_full(found: Mapping[str, Mapping[str, Array]]) -> dict[str, Interval]:
    """For every other regime, the difference of the mean over tasks to full fine-tuning, over the runs, paired by run."""
    full = over_tasks(found[FULL])
    return {
        name: mean_interval((over_tasks(by_task) - full).tolist()) for name, by_task in found.items() if name != FULL
    }


def beyond_chance(found: Mapping[str, Mapping[str, Array]]) -> dict[tuple[str, str], float]:
    """The differences to full fine-tuning by (regime, task) whose p, adjusted for all of them (Holm 1979), is below 5 %."""
    cells = {
        (regime, task): mean_interval((values - found[FULL][task]).tolist())
        for regime, by_task in found.items()
        for task, values in by_task.items()
        if regime != FULL
    }
    adjusted = holm([cell.p for cell in cells.values()])
    return {key: cell.estimate for (key, cell), p in zip(cells.items(), adjusted, strict=True) if p < 0.05}


def language_groups(families: Mapping[str, str]) -> dict[str, list[str]]:
    """The languages of each group: English, and the others by the first word of their family ("Near Isles": near)."""
    groups: dict[str, list[str]] = {}
    for code, family in families.items():
        groups.setdefault("English" if code == SOURCE else family.split()[0].lower(), []).append(code)
    return groups
