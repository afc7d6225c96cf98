"""The cells of the headline table, each with everything it rests on."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xlt.config.benchmark import Task
from xlt.results import formatting
from xlt.results.aggregate import TaskResult, headline_metrics, summarize
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.render import Text
from xlt.results.report.evidence import Anchors, Curve, Register, RunEvidence, hashes, listed, shortened
from xlt.results.reported import AVERAGE, Reported
from xlt.results.run_folders import FinishedRun, Plan, RegimeRuns, Run
from xlt.results.verdicts import Status, Verdict

WORST_FIRST: tuple[Status, ...] = (
    "error",
    "lower",
    "higher",
    "near",
    "reproduced",
    "not comparable",
    "not run",
    "no data",
    "not reported",
)
MARKS: dict[str, str] = {
    "reproduced": "✓",
    "near": "≈",
    "higher": "▲",
    "lower": "▼",
    "error": "✕",
    "not comparable": "≠",
    "not reported": "·",
    "not run": "○",
    "no data": "–",
    "supported": "✓",
    "contradicted": "✕",
    "not shown": "≈",
    "too few seeds": "?",
    "not covered": "–",
}
"""A sign for each verdict, so that colour is never all that tells them apart."""
TOLD = (
    *("Folder", "State", "Goes on from", "Trained parameters", "Training time", "Prediction time", "Peak memory"),
    *("Device", "Weights (SHA-256)"),
)
LABELLED = ("Commit, lock file, versions", "Training data, hashes", "Test data, hashes")
"""What is told of each run behind a cell, and what of it is a label of the appendix."""


@dataclass(frozen=True)
class Line:
    """One language (or average) of one metric: score by seed, and its verdicts."""

    label: str
    examples: str
    seeds: list[str]
    shown: str
    verdict: Verdict | None
    source: str
    average: bool


@dataclass(frozen=True)
class ReportCell:
    """One regime on one task.

    ``text`` is what the headline table prints; ``metrics``: by title, the lines of each; ``runs``: what is told of each of
    its runs, by what it is; ``curves``: seed, recipe and curve of each training.
    """

    anchor: str
    regime: RegimeRuns
    task: Task
    result: TaskResult
    text: Text
    status: Status
    why: str
    command: str
    metrics: dict[str, list[Line]]
    runs: list[dict[str, str]]
    curves: list[tuple[int, str, Curve]]


@dataclass
class Appendix:
    """What cells refer to by label: environments, sets of data files, and sources of reported numbers."""

    environments: Register
    data: Register
    sources: Register

    def source(self, entry: Reported | None) -> str:
        """The label of where a number was read; empty for none."""
        if entry is None:
            return ""
        rows = [("Reported in", entry.citation), ("Table", entry.table), ("Row", entry.method)]
        rows += [("Read in", f"{entry.source} ({entry.confidence})")]
        return self.sources.label([*rows, *([("Note", entry.note)] if entry.note else [])])


def command(plan: Plan, goal: str, seeds: Iterable[int] = ()) -> str:
    """The call of make that makes something of this profile and model."""
    words = ["make", goal, f"PROFILE={plan.profile}", f"MODEL={plan.folder or plan.model}"]
    chosen = " ".join(str(seed) for seed in seeds)
    return shlex.join([*words, *([f"SEEDS={chosen}"] if chosen else [])])


def cells(
    table: BenchmarkTable,
    texts: Mapping[tuple[str, str], Text],
    evidence: Mapping[str, Sequence[RunEvidence]],
    found: Sequence[Verdict],
    goals: Mapping[str, str],
    places: tuple[Anchors, Appendix],
) -> dict[tuple[str, str], ReportCell]:
    """Every cell by (regime, task).

    Args:
        table: the headline table.
        texts: what it prints in each cell.
        evidence: the runs of each regime.
        found: the verdicts on the table's cells.
        goals: regime -> the goal of make that makes its runs.
        places: the page's anchors and its appendix.
    """
    anchors, appendix = places
    made = {}
    for name, by_task in table.results.items():
        for task, result in by_task.items():
            own = [v for v in found if (v.regime, v.task) == (name, task)]
            status, why = _status(own, table.tasks[task])
            runs = [each for each in evidence[name] if task in each.run.planned.tasks]
            metrics = table.tasks[task].metrics if result.status == "ok" else []
            made[name, task] = ReportCell(
                anchor=anchors.new("cell", name, task),
                regime=table.regimes[name],
                task=table.tasks[task],
                result=result,
                text=texts[name, task],
                status=status,
                why=why,
                command=command(table.plan, goals[name], result.planned_seeds),
                metrics={formatting.METRIC_TITLES.get(m, m): _lines(result, m, own, appendix) for m in metrics},
                runs=[_told(each.run, task, appendix) for each in runs],
                curves=[(each.run.planned.seed, stage, own) for each in runs for stage, own in each.curves.items()],
            )
    return made


def _status(own: Sequence[Verdict], task: Task) -> tuple[Status, str]:
    """The worst verdict on the averages of the metrics that make the task's score, and why."""
    metrics = {"", *headline_metrics(task)}
    averages = [v for v in own if v.metric in metrics and v.language in ("", AVERAGE)]
    if not averages:
        return "not reported", ""
    worst = min(averages, key=lambda v: WORST_FIRST.index(v.status))
    return worst.status, worst.reason


def _lines(result: TaskResult, metric: str, own: Sequence[Verdict], appendix: Appendix) -> list[Line]:
    verdicts = {v.language: v for v in own if v.metric == metric}

    def line(label: str, examples: str, by_seed: Mapping[int, float], language: str) -> Line:
        stat, verdict = summarize(by_seed), verdicts.get(language)
        return Line(
            label,
            examples,
            [f"{by_seed[seed]:.1f}" if seed in by_seed else "–" for seed in result.seeds],
            "–" if stat is None else formatting.score(stat),
            verdict,
            appendix.source(verdict.entry) if verdict is not None else "",
            language == AVERAGE,
        )

    rows = [line(f"Average of {len(result.languages)}", "", result.average(metric), AVERAGE)]
    rows += [
        line(formatting.language(code), formatting.count(result.n[code]), result.values[metric][code], code)
        for code in result.languages
    ]
    return rows


def _told(run: Run, task: str, appendix: Appendix) -> dict[str, str]:
    """What is told of a run behind a cell; some of it only of a finished one, some by label."""
    trained_on = hashes(files for stage in run.config.stages for files in (stage.train, stage.dev))
    tested = [each for each in run.config.evaluations if each.task.name == task]
    tested_on = hashes(files for e in tested for files in (*e.files.values(), *e.tuning_files.values()))
    told = {
        "Seed": str(run.planned.seed),
        "Folder": run.planned.dir,
        "State": "finished" if isinstance(run, FinishedRun) else "not run",
        "Goes on from": listed(run.config.needs()) or "the encoder",
        "Training data, hashes": appendix.data.label(trained_on) if trained_on else "",
        "Test data, hashes": appendix.data.label(tested_on) if tested_on else "",
    }
    if not isinstance(run, FinishedRun):
        return told
    made = run.provenance
    return {
        **told,
        "Trained parameters": formatting.count(made.trainable_parameters),
        "Training time": formatting.duration(made.wall_seconds.train),
        "Prediction time": formatting.duration(made.wall_seconds.predict),
        "Peak memory": "not recorded" if made.peak_memory_bytes is None else formatting.memory(made.peak_memory_bytes),
        "Device": made.device or "not recorded",
        "Weights (SHA-256)": shortened(made.weights_sha256),
        "Commit, lock file, versions": appendix.environments.label(made.environment()),
    }
