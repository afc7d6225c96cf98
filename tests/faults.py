"""Real faulty pages: what table 2 scores when something is wrong with its runs. ``python -m tests.faults`` (``make faults``)

From the finished runs of the profile's seed, in copies of their folders: predictions are replaced, or only what a fault
touches is predicted or trained again, through the steps of reproduce/run.py. The scores that differ from the honest page's go
into ``tests/results/faulty_pages.yaml``, where tests/results/test_recorded_pages.py verifies them.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from tests.results.pages import Scores

from xlt.config.benchmark import Table, Task, load
from xlt.config.run_config import RunConfig, Stage, read_run, write_config
from xlt.errors import InputError, exit_status
from xlt.files import read_json, write_atomic
from xlt.results.expectations import DECIMALS, world_digest
from xlt.results.run_folders import Plan, PlannedRun, load_plan

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "tests" / "results" / "faulty_pages.yaml"
SHORT = 32
"""Tokens that are left of a text that should not be cut."""
HEADER = """\
# The page of the verified seed, and what differs from it under each fault, in percent (null: no score). By `make faults`.
"""


class Runs:
    """The runs of table 2 with the profile's seed below a root; ``redo`` does steps again that are no longer current."""

    def __init__(self, root: Path, data: Path, encoder: Path, tasks: Mapping[str, Task], jobs: int) -> None:
        self.root, self.data, self.encoder, self.tasks, self.jobs = root, data, encoder, tasks, jobs
        self.plan: Plan = load_plan(root)
        if len(self.plan.seeds) != 1:
            raise InputError("expected a plan of the verified seed alone; run make plan", root)

    @property
    def regimes(self) -> list[str]:
        """The rows of table 2."""
        return self.plan.tables["table2"].regimes

    def of(self, regimes: Iterable[str], tasks: Iterable[str] | None = None) -> list[PlannedRun]:
        """The runs of some regimes that serve some tasks (all by default)."""
        wanted = set(tasks or self.tasks)
        return [run for name in regimes for run in self.plan.regimes[name].runs if wanted & set(run.tasks)]

    def folder(self, regime: str, task: str) -> Path:
        """The folder of the run that serves a task."""
        (run,) = self.of([regime], [task])
        return self.root / run.dir

    def change(self, runs: Iterable[PlannedRun], how: Callable[[RunConfig], RunConfig]) -> None:
        """Write the configs of some runs anew, as the planner would from other configs."""
        for run in runs:
            folder = self.root / run.dir
            write_config(how(read_run(folder)), folder)

    def redo(self, runs: Sequence[PlannedRun], layer_less: int = 0) -> None:
        """Do what is not current of some runs: those first that others go on from."""
        upstream = {folder for regime in self.plan.regimes.values() for folder in regime.upstream}
        first = [run for run in runs if run.dir in upstream]
        for part in (first, [run for run in runs if run not in first]):
            step = functools.partial(_steps, data=self.data, encoder=self.encoder, layer_less=layer_less)
            folders = [self.root / run.dir for run in part]
            if self.jobs == 1:
                list(map(step, folders))
                continue
            with ProcessPoolExecutor(self.jobs, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(step, folders))

    def copied(self, root: Path) -> Runs:
        """A copy of the plan and of these runs."""
        root.mkdir()
        shutil.copyfile(self.root / "plan.json", root / "plan.json")
        for run in self.of(self.regimes):
            shutil.copytree(self.root / run.dir, root / run.dir)
        return Runs(root, self.data, self.encoder, self.tasks, self.jobs)

    def scores(self) -> Scores:
        """The page: {cell: percent}."""
        found: Scores = {}
        for name in self.regimes:
            for run in self.of([name]):
                path = self.root / run.dir / "scores.json"
                for task, scores in read_json(path)["tasks"].items():
                    if task in self.tasks:
                        found |= {
                            (name, task, metric, code): round(value, DECIMALS)
                            for metric in self.tasks[task].metrics
                            for code, value in scores["metrics"][metric].items()
                        }
        return found


def _steps(folder: Path, data: Path, encoder: Path, layer_less: int) -> None:
    """The steps of reproduce/run.py; ``layer_less``: how many of the last layers sentence embeddings leave out."""
    from xlt.pipeline import context as embedding
    from xlt.pipeline.steps import make_context, predict_step, score_step, train_step

    right = embedding.embed

    def wrong(model: Any, *given: Any, layer: int | None, **more: Any) -> Any:
        return right(model, *given, layer=(layer or len(model.encoder.layer)) - layer_less, **more)

    context = make_context(folder, data, encoder, threads=1)
    model = train_step(context)
    if layer_less:
        (folder / "predicted.json").unlink()
    with mock.patch.object(embedding, "embed", wrong if layer_less else right):
        predict_step(context, model)
    score_step(context)


def _labels(runs: Runs, regime: str, task: str, relabel: Callable[[list[str]], list[str]]) -> list[PlannedRun]:
    """Replace the predicted labels of a task by what ``relabel`` makes of them; returns the run."""
    folder = runs.folder(regime, task)
    for path in sorted((folder / "predictions" / task).iterdir()):
        labels = relabel(path.read_text(encoding="utf-8").splitlines())
        path.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return runs.of([regime], [task])


def flip(runs: Runs) -> Sequence[PlannedRun]:
    """Entailment and contradiction change places in the predictions of an adapter."""
    other = {"entailment": "contradiction", "contradiction": "entailment", "neutral": "neutral"}
    return _labels(runs, "adapter", "xnli", lambda labels: [other[label] for label in labels])


def chance(runs: Runs, regimes: Sequence[str]) -> Sequence[PlannedRun]:
    """XCOPA is answered by drawing lots."""
    draw = random.Random(1)
    options = ('{"label": 0}', '{"label": 1}')
    made = [_labels(runs, name, "xcopa", lambda labels: [draw.choice(options) for _ in labels]) for name in regimes]
    return [run for part in made for run in part]


def faster(runs: Runs, regime: str) -> Sequence[PlannedRun]:
    """Ten times the learning rate."""

    def change(config: RunConfig) -> RunConfig:
        stages = [stage.model_copy(update={"learning_rate": 10 * stage.learning_rate}) for stage in config.stages]
        return config.model_copy(update={"stages": stages})

    runs.change(runs.of([regime]), change)
    return runs.of([regime])


def half(runs: Runs, regimes: Sequence[str]) -> Sequence[PlannedRun]:
    """Half of the training set."""
    from xlt.pipeline.train_run import training_records

    def halved(stage: Stage) -> Stage:
        records = training_records(stage, runs.data)
        mentions = [record for record in records if hasattr(record, "entity")]
        cap = len(mentions or records) // 2
        return stage.model_copy(update={"caps": stage.caps.model_copy(update={"train": cap})})

    chosen = runs.of(regimes)
    runs.change(chosen, lambda config: config.model_copy(update={"stages": [halved(stage) for stage in config.stages]}))
    return chosen


def cut(runs: Runs) -> Sequence[PlannedRun]:
    """Test texts are cut after 32 tokens; in LAReQA, the answers. For passages to be read, the configs refuse that."""
    from xlt.families.lareqa import QUERY_TOKENS

    def short(config: RunConfig) -> RunConfig:
        evaluations = []
        for each in config.evaluations:
            if each.task.family == "span":
                evaluations.append(each)
                continue
            length = SHORT + (QUERY_TOKENS if each.task.family == "lareqa" else 0)
            evaluations.append(each.model_copy(update={"task": each.task.model_copy(update={"max_length": length})}))
        return config.model_copy(update={"evaluations": evaluations})

    runs.change(runs.of(runs.regimes), short)
    return runs.of(runs.regimes)


@dataclass(frozen=True)
class Fault:
    """A fault: what is wrong, in words; what makes it in a copy of the runs, or which cells of the page have whose scores."""

    title: str
    make: Callable[[Runs], Sequence[PlannedRun]] | None = None
    scores: Callable[[Scores], Mapping[Any, float | None]] | None = None
    layer_less: int = 0


def _lent(page: Scores, to: str, of: str, tasks: Sequence[str] = ()) -> dict[Any, float | None]:
    """The scores of a regime in the place of another's."""
    return {key: page[of, *key[1:]] for key in page if key[0] == to and (not tasks or key[1] in tasks)}


FAULTS = {
    "flipped-labels": Fault("XNLI's labels entailment and contradiction exchanged in `adapter`'s predictions", flip),
    "dropped-language": Fault(
        "Ithari missing from XQuAD in `full`",
        scores=lambda page: {k: None for k in page if k[:2] == ("full", "xquad") and k[3] == "qag"},
    ),
    "another-regime": Fault(
        "`full-itt`'s checkpoints in `full`'s folder", scores=lambda page: _lent(page, "full", "full-itt")
    ),
    "another-tuning": Fault(
        "`lora`'s predictions in `adapter`'s folder", scores=lambda page: _lent(page, "adapter", "lora")
    ),
    "another-checkpoint": Fault(
        "`lora`'s SQuAD run in `adapter`'s folder",
        scores=lambda page: _lent(page, "adapter", "lora", ("xquad", "mlqa")),
    ),
    "chance": Fault("XCOPA at chance in `full`", lambda runs: chance(runs, ["full"])),
    "chance-everywhere": Fault("XCOPA at chance in every regime", lambda runs: chance(runs, runs.regimes)),
    "rate-full-itt": Fault("ten times the learning rate in `full-itt`", lambda runs: faster(runs, "full-itt")),
    "rate-lora": Fault("ten times the learning rate in `lora`", lambda runs: faster(runs, "lora")),
    "half-full-itt": Fault("half the training set in `full-itt`", lambda runs: half(runs, ["full-itt"])),
    "half-lora": Fault("half the training set in `lora`", lambda runs: half(runs, ["lora"])),
    "half-everywhere": Fault("half the training set in every regime", lambda runs: half(runs, runs.regimes)),
    "layer": Fault(
        "sentence embeddings from the last layer but one, in every regime",
        lambda runs: runs.of(runs.regimes, [t for t, task in runs.tasks.items() if task.family in RETRIEVAL]),
        layer_less=1,
    ),
    "truncation": Fault("test texts cut after 32 tokens in every regime (reading comprehension refuses it)", cut),
}
RETRIEVAL = ("lareqa", "mewslix", "tatoeba")


def faulty(fault: Fault, runs: Runs) -> dict[Any, float | None]:
    """The scores that a fault changes."""
    honest = runs.scores()
    if fault.make is None:
        found = fault.scores(honest) if fault.scores is not None else {}
    else:
        with tempfile.TemporaryDirectory(dir=runs.root.parent, prefix=".fault-") as folder:
            copy = runs.copied(Path(folder) / runs.root.name)
            changed = fault.make(copy)
            for run in changed:
                (copy.root / run.dir / "scores.json").unlink()
            copy.redo(changed, fault.layer_less)
            found = copy.scores()
    return {key: value for key, value in found.items() if value != honest[key]}


def nested(scores: Mapping[Any, float | None]) -> dict[str, Any]:
    """{regime: {task: {metric: {language: percent}}}}"""
    tree: dict[str, Any] = {}
    for (regime, task, metric, code), value in scores.items():
        tree.setdefault(regime, {}).setdefault(task, {}).setdefault(metric, {})[code] = value
    return tree


def flat(tree: Mapping[str, Any]) -> dict[Any, float | None]:
    """The inverse of ``nested``."""
    return {
        (regime, task, metric, code): value
        for regime, tasks in tree.items()
        for task, metrics in tasks.items()
        for metric, values in metrics.items()
        for code, value in values.items()
    }


def main() -> None:
    """Make every fault's page, or those of ``--only``, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the finished runs of table 2, e.g. out/tiny/babel")
    parser.add_argument("--data", type=Path, required=True, help="the generated world")
    parser.add_argument("--encoder", type=Path, required=True, help="the prepared encoder")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (default: 2)")
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=list(FAULTS), help="these; others stay as they are"
    )
    parser.add_argument("--configs", type=Path, default=ROOT / "configs", help="default: the project's")
    parser.add_argument("--output", type=Path, default=PAGES, help="default: tests/results/faulty_pages.yaml")
    given = parser.parse_args()
    table = load(Table, given.configs / "tables" / "table2.yaml")
    tasks = {name: load(Task, given.configs / "tasks" / f"{name}.yaml") for name in table.tasks}
    runs = Runs(given.root.resolve(), given.data.resolve(), given.encoder.resolve(), tasks, given.jobs)
    content = yaml.safe_load(given.output.read_text(encoding="utf-8")) if given.output.exists() else {"faults": {}}
    made = dict(content["faults"])
    honest = nested(runs.scores())
    if content.get("honest") not in (None, honest) and set(given.only) != set(FAULTS):
        raise InputError(
            "expected the honest page that the other faults were made from; leave --only out", given.output
        )
    for name in given.only:
        changed = faulty(FAULTS[name], runs)
        made[name] = nested(changed)
        print(f"{name}: {len(changed)} cells differ", flush=True)
    content = {
        "seed": runs.plan.seeds[0],
        "world": world_digest(given.data),
        "honest": honest,
        "faults": {name: made[name] for name in FAULTS if name in made},
    }
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)
    write_atomic(given.output, HEADER + text)


if __name__ == "__main__":
    sys.exit(exit_status(main))
