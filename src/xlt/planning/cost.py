"""What a plan costs before anything starts: hours, disk, memory and downloads, how sure that is, and what is done already."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass

from xlt.config.lexical_injection import LexicalRun
from xlt.config.run_config import LanguageAdapterConfig, RunConfig
from xlt.files import read_json
from xlt.layout import FAILURE
from xlt.planning.flops import EncoderShape, shape_of, shape_said, work_of
from xlt.planning.plan import WorkPlan
from xlt.planning.throughput import START_SECONDS, Gpu, Speed, cpu_speed, gpu_speed, load_gpu
from xlt.planning.token_counts import Extents

BYTES = 4.0
"""Of a weight: float32."""
TRAINING_BYTES = 16.0
"""Of a trained weight: itself, its gradient, and the two moments of Adam."""
SMALL = 0.02
"""Weights of an adapter or of LoRA as a part of those of the layers, at most, in the regimes of this project."""


@dataclass(frozen=True)
class Costed:
    """A run or job with its state (``done``, ``failed``, ``to run``), its seconds, and the bytes of the weights it leaves.

    ``seconds``: those recorded where it is done and recorded them, otherwise estimated, with start-up.
    """

    folder: str
    state: str
    seconds: float
    size: float


@dataclass(frozen=True)
class TableCost:
    """What a table or regime costs: its runs and jobs, the speed they are estimated with, and bytes of memory a run.

    ``memory``: what weights, gradients and moments of the largest run need; activations come on top.
    """

    runs: list[Costed]
    speed: Speed
    memory: float

    @property
    def done(self) -> float:
        """Seconds of what is done."""
        return sum(run.seconds for run in self.runs if run.state == "done")

    @property
    def left(self) -> float:
        """Seconds of what is to do."""
        return sum(run.seconds for run in self.runs if run.state != "done")

    @property
    def disk(self) -> float:
        """Bytes of weights that are still to be written."""
        return sum(run.size for run in self.runs if run.state != "done")

    @property
    def span(self) -> str:
        """Between which two durations that lies in nineteen of twenty cases."""
        return f"{duration(self.left / self.speed.factor)} to {duration(self.left * self.speed.factor)}"


def table_cost(plan: WorkPlan, target: str, extents: Extents, shape: EncoderShape, speed: Speed) -> TableCost:
    """What a table or regime costs.

    Raises:
        InputError: there is no such table or regime, or a data file is not in its format.
    """
    runs = []
    for folder in plan.needed(target):
        seconds = plan.recorded(folder)
        if seconds is None:
            seconds = speed.seconds(work_of(config_of(plan, folder), extents, shape))
        runs.append(Costed(folder, plan.state(folder), START_SECONDS + seconds, size_of(plan, folder, shape)))
    kinds = {plan.runs[run.folder].regime.tuning.kind for run in runs if run.folder in plan.runs}
    memory = TRAINING_BYTES * shape.total if "full" in kinds else BYTES * shape.total * (1 + 4 * SMALL)
    return TableCost(runs, speed, memory)


def config_of(plan: WorkPlan, folder: str) -> RunConfig | LanguageAdapterConfig | LexicalRun:
    """The config of a run or job."""
    return plan.runs[folder] if folder in plan.runs else plan.jobs[folder].config


def size_of(plan: WorkPlan, folder: str, shape: EncoderShape) -> float:
    """Bytes of the weights that a run or job leaves; a run that evaluates another's weights links to them."""
    match config_of(plan, folder):
        case LexicalRun():
            return BYTES * shape.total
        case LanguageAdapterConfig():
            return BYTES * 0.1 * shape.body
        case run if run.weights_of is not None:
            return 0.0
        case run:
            return BYTES * (shape.total if run.regime.tuning.kind == "full" else SMALL * shape.body)


def machine_speed(plan: WorkPlan, extents: Extents, shape: EncoderShape, threads: int, gpu: Gpu | None) -> Speed:
    """The speed of a named GPU, or of this machine, from every run of this profile and model that has finished on it."""
    here = [folder for folder in plan.runs if gpu is None or gpu.device in plan.device(folder)]
    timed = [(folder, seconds) for folder in here if (seconds := plan.recorded(folder))]
    done = [(work_of(plan.runs[folder], extents, shape), seconds) for folder, seconds in timed]
    done = [(work, seconds) for work, seconds in done if work.operations]
    return cpu_speed(done, threads) if gpu is None else gpu_speed(gpu, done)


def spent(plan: WorkPlan, target: str) -> float | None:
    """Seconds of a finished table or regime, start-up of every run and job included; None where one is not recorded."""
    seconds = [plan.recorded(folder) for folder in plan.needed(target)]
    return sum(START_SECONDS + each for each in seconds if each is not None) if None not in seconds else None


def show(options: Namespace, plan: WorkPlan, extents: Extents) -> None:
    """Print what a table or regime would run, with the state and minutes of each, what that costs, and how sure it is.

    Args:
        options: the planner's command line: ``show``, ``encoder``, ``configs``, ``gpu``, ``jobs``, ``threads``, ``seconds``.
        plan: the plan.
        extents: how much text its splits have.

    Raises:
        InputError: there is no such table, regime or GPU, or a data file is not in its format.
    """
    gpu = None if options.gpu is None else load_gpu(options.gpu, options.configs / "gpus.yaml")
    target, model = options.show, plan.planner.model
    plan.behind(target)  # refused before anything is measured
    known = shape_of(options.encoder)
    shape = known or shape_said(model)
    speed = machine_speed(plan, extents, shape, options.threads, gpu)
    cost = table_cost(plan, target, extents, shape, speed)
    extents.save()
    if options.seconds:
        print(json.dumps({run.folder: run.seconds for run in cost.runs}))
        return
    fetched = known is None and not any(source.packaged for source in model.sources)
    download = f"the encoder, about {amount(BYTES * shape.total)}" if fetched else "nothing"
    lines = [f"  {run.state:6s} {run.seconds / 60:7.1f} min  {run.folder:38s} {what(plan, run)}" for run in cost.runs]
    lines += ["", *summary(target, plan, cost, options.jobs)]
    lines += [
        f"disk: about {amount(cost.disk)} of weights; download: {download}; "
        f"memory: {amount(cost.memory)} a run and what a batch needs"
    ]
    print("\n".join([*lines, *without_data(target, plan)]))


def what(plan: WorkPlan, run: Costed) -> str:
    """The tasks of a run, and why it failed."""
    tasks = " ".join(plan.runs[run.folder].tasks) or "(intermediate)" if run.folder in plan.runs else "(job)"
    return tasks if run.state != "failed" else f"{tasks}: {read_json(plan.root / run.folder / FAILURE)['message']}"


def summary(target: str, plan: WorkPlan, cost: TableCost, workers: int) -> list[str]:
    """How many runs and jobs in which state, and the hours left with their range."""
    states = Counter(run.state for run in cost.runs)
    jobs = sum(run.folder in plan.jobs for run in cost.runs)
    counts = ", ".join(f"{states[state]} {state}" for state in ("done", "failed") if states[state])
    kinds = f"{len(cost.runs) - jobs} runs" + (f" and {jobs} jobs" if jobs else "")
    lines = [f"{target}: {kinds}, {len(cost.runs) - states['done']} to do" + (f" ({counts})" if counts else "")]
    if cost.done:
        lines.append(f"done: {duration(cost.done)} of computing, as recorded, with start-up")
    if cost.left:
        at_once = f"{duration(cost.left / workers)} with {workers} at a time"
        lines.append(f"left: {duration(cost.left)} of computing ({cost.span}), {at_once}")
        lines.append(f"sure: {cost.speed.basis}")
    return lines


def without_data(target: str, plan: WorkPlan) -> list[str]:
    """The languages, tasks and regimes of a table that have no data."""
    runs = [plan.runs[folder] for folder in plan.needed(target) if folder in plan.runs]
    absent = {e.task.title: e.no_data for run in runs for e in run.evaluations if e.no_data}
    planned = {task for run in runs for task in run.tasks}
    tasks = plan.tables[target].tasks if target in plan.tables else []
    reasons = plan.planner.without_runs
    return [
        *(f"no data: {title}: {' '.join(languages)}" for title, languages in sorted(absent.items())),
        *(f"no data: {task}: no file in any language" for task in tasks if task not in planned),
        *(f"no runs: {row}: {reasons[row]}" for row in plan.rows.shown.get(target, [target]) if row in reasons),
    ]


def duration(seconds: float) -> str:
    """Minutes below two hours, hours above."""
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.{1 if seconds < 36000 else 0}f} hours"


def amount(size: float) -> str:
    """Megabytes below a gigabyte, gigabytes above."""
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
