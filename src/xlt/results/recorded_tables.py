"""Tables and sentences of the docs about the generated world, from the recorded runs (``make docs`` writes them).

A sentence that draws a conclusion is chosen by where the interval lies, so that it cannot outlive the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from xlt.config.benchmark import Task, load_all, load_yaml
from xlt.errors import InputError
from xlt.results import formatting
from xlt.results.aggregate import (
    SCORE,
    SOURCE,
    BySeed,
    TaskResult,
    headline,
    headline_metrics,
    mean_over_tasks,
    paired,
    summarize,
)
from xlt.results.recording import Recording, load_recording
from xlt.results.statistics import Interval, holm, mean_interval

FULL, ADAPTER = "full", "adapter"
"""The two regimes that the project's question is about."""
ByTask = Mapping[str, TaskResult]
"""The results of a regime by task, in the order of the recording; a run of the recording is a seed."""
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
    found = results_of(recording, tasks)
    shown = [task for task in SHOWN if task in found[FULL]]
    differences = against_full(found)
    rows = []
    for regime, title in _titles(recording).items():
        means = [found[regime][task].average(SCORE) for task in shown] + [over_tasks(found[regime])]
        rows.append([title, *(f"{fmean(by_seed.values()):.1f}" for by_seed in means), _said(differences.get(regime))])
    mean, adapter = f"mean of {_count(len(found[FULL]))} tasks", differences[ADAPTER]
    lines = [
        *_grid(["regime", *(tasks[task].title for task in shown), mean, "difference to full"], rows),
        "",
        f"Means over {_runs(recording)}; in brackets the 95 % interval over the runs, paired by run. "
        f"The adapter's difference is {_said(adapter)}: {conclusion(adapter)}.",
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
    found, titles = results_of(recording, tasks), _titles(recording)
    differences, names = against_full(found), [tasks[task].title for task in found[FULL]]
    rows = []
    for regime, title in titles.items():
        scores = [*(result.average(SCORE) for result in found[regime].values()), over_tasks(found[regime])]
        rows.append([title, *map(_score, scores), _said(differences.get(regime))])
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
    found = results_of(recording, tasks)
    rows = []
    for task in found[FULL]:
        cells = []
        for members in groups.values():
            own = [code for code in members if code in found[FULL][task].languages]
            means = [found[regime][task].average(SCORE, own) for regime in (FULL, ADAPTER)] if own else []
            cells.append(" / ".join(f"{fmean(by_seed.values()):.0f}" for by_seed in means) or "-")
        parts = headline_metrics(tasks[task])
        metric = formatting.METRIC_TITLES[parts[0] if len(parts) == 1 else SCORE]
        rows.append([tasks[task].title, metric, *cells, _chance(tasks[task])])
    head = f"Full fine-tuning / adapter, percent, means over {_runs(recording)} and the languages of a group."
    return "\n".join([head, "", *_grid(["task", "metric", *groups, "chance"], rows)])


def by_kernel(recording: Recording, tasks: Mapping[str, Task]) -> str:
    """Means under each CPU kernel, and how far runs of any seed and kernel lie apart: whether fine-tuning has settled."""
    found, titles = results_of(recording, tasks), _titles(recording)
    kernels: dict[str, list[int]] = {}
    for run in recording.recorded.runs:
        kernels.setdefault(run.kernel, []).append(run.seed)
    rows, beyond = [], []
    for task in found[FULL]:
        own = {title: found[name][task] for name, title in titles.items()}
        scores = [result.average(SCORE) for result in own.values()]
        means = [fmean(by_seed[seed] for by_seed in scores for seed in seeds) for seeds in kernels.values()]
        overall = {title: stdev(result.average(SCORE).values()) for title, result in own.items()}
        english = {t: stdev(r.average(SCORE, [SOURCE]).values()) for t, r in own.items() if SOURCE in r.languages}
        rows.append([tasks[task].title, *(f"{mean:.1f}" for mean in means), _largest(overall), _largest(english)])
        for where, stds, bound in (("", overall, LARGEST_AVERAGE), (" in English", english, LARGEST_ENGLISH)):
            large = {title: std for title, std in stds.items() if std > bound}
            beyond += [f"{std:.2f} for {tasks[task].title}{where}, {title}" for title, std in large.items()]
    headers = ["task", *(f"{kernel} ({len(seeds)})" for kernel, seeds in kernels.items())]
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


def _score(by_seed: BySeed) -> str:
    stat = summarize(by_seed)
    return "" if stat is None else formatting.score(stat)


def _said(found: Interval | None) -> str:
    return "" if found is None else formatting.with_interval(found.estimate, found)


def _chance(task: Task) -> str:
    """Chance in a task with a fixed number of answers; retrieval's depends on how many candidates a world has."""
    return f"{task.chance:.0f}" if task.chance is not None and task.family != "tatoeba" else ""


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return ["| " + " | ".join(line) + " |" for line in (headers, ["---"] * len(headers), *rows)]


def results_of(recording: Recording, tasks: Mapping[str, Task]) -> dict[str, dict[str, TaskResult]]:
    """The recorded scores by regime and task, as those of finished runs."""
    seeds = tuple(run.seed for run in recording.recorded.runs)
    rows = {(row.regime, row.task, row.metric): row.scores for row in recording.rows}
    found: dict[str, dict[str, TaskResult]] = {}
    for regime, task in dict.fromkeys((regime, task) for regime, task, _ in rows):
        values = {
            metric: {code: dict(zip(seeds, scores, strict=True)) for code, scores in rows[regime, task, metric].items()}
            for metric in tasks[task].metrics
        }
        values[SCORE], codes = headline(values, tasks[task]), tuple(values[tasks[task].metrics[0]])
        of = (task, True, seeds, seeds, "test", codes, codes, (), (), values, recording.examples[task])
        found.setdefault(regime, {})[task] = TaskResult(*of)
    return found


def over_tasks(by_task: ByTask) -> BySeed:
    """Mean of the tasks' scores by run."""
    return mean_over_tasks(by_task, list(by_task))


def against_full(found: Mapping[str, ByTask]) -> dict[str, Interval]:
    """For every other regime, the difference of the mean over tasks to full fine-tuning, over the runs, paired by run."""
    full = over_tasks(found[FULL])
    others = {name: over_tasks(by_task) for name, by_task in found.items() if name != FULL}
    return {name: mean_interval(list(paired(own, full).values())) for name, own in others.items()}


def beyond_chance(found: Mapping[str, ByTask]) -> dict[tuple[str, str], float]:
    """The differences to full fine-tuning by (regime, task) whose p, adjusted for all of them (Holm 1979), is below 5 %."""
    full = found[FULL]
    cells = {
        (regime, task): mean_interval(list(paired(own.average(SCORE), full[task].average(SCORE)).values()))
        for regime, by_task in found.items()
        for task, own in by_task.items()
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
