"""What a plan costs before anything starts: hours, disk, memory and downloads, how sure that is, and what is done already."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlt.config.benchmark import Model, Table
from xlt.config.lexical_injection import LexicalRun
from xlt.config.run_config import LanguageAdapterConfig, RunConfig
from xlt.errors import InputError
from xlt.files import read_json
from xlt.modeling.model_sources import PACKAGE
from xlt.planning.flops import Shape, Work, language_adapter_work, lexical_work, make_shape, run_work, shape_of
from xlt.planning.jobs import Job
from xlt.planning.throughput import START_SECONDS, Gpu, Speed, cpu_speed, gpu_speed, recorded_seconds
from xlt.planning.token_counts import Extents

BYTES = 4.0
"""Of a weight: float32."""
TRAINING_BYTES = 16.0
"""Of a trained weight: itself, its gradient, and the two moments of Adam."""
SMALL = 0.02
"""Weights of an adapter or of LoRA as a part of those of the layers, at most, in the regimes of this project."""
FAILURE = "failed.json"


@dataclass(frozen=True)
class Costed:
    """A run or job with its state (``done``, ``failed``, ``to run``), its seconds, and the bytes of the weights it leaves.

    ``seconds`` are those recorded where it is done and recorded them, otherwise estimated.
    """

    folder: str
    state: str
    seconds: float
    size: float
    what: str


@dataclass(frozen=True)
class Plan:
    """What a plan has, by folder below ``root``; ``listed`` are the folders behind every table and regime."""

    root: Path
    runs: Mapping[str, RunConfig]
    jobs: Mapping[str, Job]
    listed: Mapping[str, list[str]]
    tables: Mapping[str, Table]

    def needed(self, target: str) -> list[str]:
        """The runs and jobs behind a table or regime, those that others are made from first.

        Raises:
            InputError: there is no such table or regime.
        """
        if target not in self.listed:
            raise InputError(f"TABLE: expected one of {', '.join(self.listed)}, got {target}")
        found: dict[str, None] = {}

        def visit(folder: str) -> None:
            before = self.runs[folder].needs() if folder in self.runs else self.jobs[folder].needs
            for other in before:
                if other in self.runs or other in self.jobs:
                    visit(other)
            found[folder] = None

        for folder in self.listed[target]:
            visit(folder)
        return list(found)

    def result(self, folder: str) -> Path:
        """The file that a run or job ends with."""
        return self.root / folder / ("scores.json" if folder in self.runs else self.jobs[folder].result)

    def state(self, folder: str) -> str:
        """Whether it is ``done``, ``failed`` or still ``to run``."""
        if self.result(folder).exists():
            return "done"
        return "failed" if (self.root / folder / FAILURE).exists() else "to run"

    def device(self, folder: str) -> str:
        """What a finished run was computed on, as its provenance says; empty where it does not."""
        path = self.root / folder / "provenance.json"
        return str(read_json(path).get("device") or "") if path.exists() else ""

    def recorded(self, folder: str) -> float | None:
        """The seconds a finished run or job recorded."""
        if self.state(folder) != "done":
            return None
        if folder in self.runs:
            path = self.root / folder / "provenance.json"
            return recorded_seconds(read_json(path)["wall_seconds"]) if path.exists() else None
        seconds = read_json(self.result(folder)).get("wall_seconds")
        return None if seconds is None else float(seconds)

    def spent(self, target: str) -> float | None:
        """Seconds of a finished table or regime, start-up of every run and job included; None where one is not recorded."""
        seconds = [self.recorded(folder) for folder in self.needed(target)]
        return sum(START_SECONDS + each for each in seconds if each is not None) if None not in seconds else None


def shape_said(model: Model) -> Shape:
    """The shape of a model that is not there yet, from what its config says: "278 M (...); 12 layers, width 768, ...".

    That of an encoder which comes with this package stands in its config.json.

    Raises:
        InputError: its config does not say it.
    """
    for source in model.sources:
        if source.packaged is not None and (known := shape_of(PACKAGE / source.packaged)) is not None:
            return known
    found = re.search(r"([\d.]+) ([MB])\b.*?(\d+) layers, width (\d+)", model.parameters)
    if found is None:
        raise InputError(f"model {model.name}: its size is not known before it is prepared; run make encoder first")
    total = float(found[1]) * (1e6 if found[2] == "M" else 1e9)
    layers, width = int(found[3]), int(found[4])
    plain = make_shape(width=width, layers=layers, inner=4 * width, vocabulary=0)
    return make_shape(
        width=width, layers=layers, inner=4 * width, vocabulary=max(0, round((total - plain.body) / width))
    )


def work_of(plan: Plan, folder: str, extents: Extents, shape: Shape) -> Work:
    """What a run or job computes."""
    if folder in plan.runs:
        return run_work(plan.runs[folder], extents, shape)
    config = plan.jobs[folder].config
    if isinstance(config, LanguageAdapterConfig):
        return language_adapter_work(config, extents, shape)
    assert isinstance(config, LexicalRun)
    return lexical_work(config, extents, shape)


def size_of(plan: Plan, folder: str, shape: Shape) -> float:
    """Bytes of the weights that a run or job leaves; a run that evaluates another's weights links to them."""
    if folder in plan.jobs:
        return BYTES * (shape.total if isinstance(plan.jobs[folder].config, LexicalRun) else 0.1 * shape.body)
    run = plan.runs[folder]
    if run.weights_of is not None:
        return 0.0
    return BYTES * (shape.total if run.regime.tuning.kind == "full" else SMALL * shape.body)


def memory_of(plan: Plan, folders: list[str], shape: Shape) -> float:
    """Bytes that the weights, gradients and moments of the largest run need; activations come on top."""
    kinds = {plan.runs[folder].regime.tuning.kind for folder in folders if folder in plan.runs}
    return TRAINING_BYTES * shape.total if "full" in kinds else BYTES * shape.total * (1 + 4 * SMALL)


def machine_speed(plan: Plan, extents: Extents, shape: Shape, threads: int, gpu: Gpu | None) -> Speed:
    """The speed of a named GPU, or of this machine, from every run of this profile and model that has finished on it."""
    walls = {folder: plan.recorded(folder) for folder in plan.runs if gpu is None or gpu.device in plan.device(folder)}
    timed = [(work_of(plan, folder, extents, shape), seconds) for folder, seconds in walls.items() if seconds]
    done = [(work, seconds) for work, seconds in timed if work.operations]
    return cpu_speed(done, threads) if gpu is None else gpu_speed(gpu, done)


def cost(plan: Plan, folders: list[str], extents: Extents, shape: Shape, speed: Speed) -> list[Costed]:
    """Every run and job with its state and seconds."""
    found = []
    for folder in folders:
        recorded = plan.recorded(folder)
        computing = recorded if recorded is not None else speed.seconds(work_of(plan, folder, extents, shape))
        what = " ".join(plan.runs[folder].tasks) or "(intermediate)" if folder in plan.runs else "(job)"
        state = plan.state(folder)
        if state == "failed":
            what = f"{what}: {read_json(plan.root / folder / FAILURE)['message']}"
        found.append(Costed(folder, state, START_SECONDS + computing, size_of(plan, folder, shape), what))
    return found


def report(
    target: str,
    plan: Plan,
    model: Model,
    extents: Extents,
    encoder: Path,
    *,
    workers: int,
    threads: int,
    gpu: Gpu | None = None,
) -> str:
    """The plan of a table or regime as text: each run and job with its state and minutes, the sums, and how sure they are.

    Raises:
        InputError: there is no such table or regime, or a data file is not in its format.
    """
    folders = plan.needed(target)
    known = shape_of(encoder)
    shape = known or shape_said(model)
    speed = machine_speed(plan, extents, shape, threads, gpu)
    costed = cost(plan, folders, extents, shape, speed)
    extents.save()
    lines = [f"  {c.state:6s} {c.seconds / 60:7.1f} min  {c.folder:38s} {c.what}" for c in costed]
    fetched = known is None and not any(source.packaged for source in model.sources)
    return "\n".join([*lines, "", *summary(target, plan, costed, speed, workers), *needs(plan, costed, shape, fetched)])


def summary(target: str, plan: Plan, costed: list[Costed], speed: Speed, workers: int) -> list[str]:
    """How many runs and jobs in which state, and the hours left with their range."""
    states = Counter(c.state for c in costed)
    jobs = sum(c.folder in plan.jobs for c in costed)
    counts = ", ".join(f"{states[state]} {state}" for state in ("done", "failed") if states[state])
    left = sum(c.seconds for c in costed if c.state != "done")
    spent = sum(c.seconds for c in costed if c.state == "done")
    low, high = left / speed.factor, left * speed.factor
    kinds = f"{len(costed) - jobs} runs" + (f" and {jobs} jobs" if jobs else "")
    lines = [f"{target}: {kinds}, {len(costed) - states['done']} to do" + (f" ({counts})" if counts else "")]
    if spent:
        lines.append(f"done: {duration(spent)} of computing, as recorded, with start-up")
    if left:
        lines.append(
            f"left: {duration(left)} of computing ({duration(low)} to {duration(high)}), "
            f"{duration(left / workers)} with {workers} at a time"
        )
        lines.append(f"sure: {speed.basis}")
    return lines


def needs(plan: Plan, costed: list[Costed], shape: Shape, fetched: bool) -> list[str]:
    """Disk, memory and downloads, and the data that is not there."""
    folders = [c.folder for c in costed]
    disk = sum(c.size for c in costed if c.state != "done")
    download = f"the encoder, about {amount(BYTES * shape.total)}" if fetched else "nothing"
    lines = [
        f"disk: about {amount(disk)} of weights; download: {download}; "
        f"memory: {amount(memory_of(plan, folders, shape))} a run and what a batch needs"
    ]
    absent = {e.task.title: e.no_data for f in folders if f in plan.runs for e in plan.runs[f].evaluations if e.no_data}
    return lines + [f"no data: {title}: {' '.join(languages)}" for title, languages in sorted(absent.items())]


def duration(seconds: float) -> str:
    """Minutes below two hours, hours above."""
    return (
        f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.{1 if seconds < 36000 else 0}f} hours"
    )


def amount(size: float) -> str:
    """Megabytes below a gigabyte, gigabytes above."""
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def without_files(target: str, plan: Plan) -> list[str]:
    """The tasks of a table that no run is evaluated on, because no language has files."""
    if target not in plan.tables:
        return []
    planned = {task for folder in plan.needed(target) if folder in plan.runs for task in plan.runs[folder].tasks}
    return [f"no data: {task}: no file in any language" for task in plan.tables[target].tasks if task not in planned]
