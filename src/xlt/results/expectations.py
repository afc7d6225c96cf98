"""The artifact's own expectations of a profile: recorded from finished runs of several seeds, verified against ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xlt.config.benchmark import Task, parse
from xlt.errors import InputError
from xlt.files import digest, read_json, sha256_file
from xlt.layout import WORLD_STAMP
from xlt.results.aggregate import TaskResult, task_result
from xlt.results.recording import Key, Recording
from xlt.results.run_folders import RegimeRuns, load_plan, load_regime

DECIMALS = 2
UNKNOWN = "unknown"
HEADER = """\
# What every recorded run of the {profile} profile scored, for `make verify`: by language a score of each of `runs`, in that
# order. Written by `make expectations` from finished runs, not edited by hand. docs/verification.md: when to record again.
"""


@dataclass
class Collected:
    """What runs below several roots score: ``scores[cell][seed]`` in percent, test examples by task and language."""

    kernels: dict[int, str] = field(default_factory=dict)
    scores: dict[Key, dict[int, float]] = field(default_factory=dict)
    examples: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted(self.kernels)


def world_digest(folder: Path) -> str:
    """A hash of a generated world: its dials (which say how its encoder is made, too) and the content of its files.

    Raises:
        InputError: the folder holds no generated world, or a file of it is not there.
    """
    stamp = read_json(folder / WORLD_STAMP)
    lost = [name for name in stamp["files"] if not (folder / name).exists()]
    if lost:
        raise InputError(
            f"expected {lost[0]} of the generated world; delete {WORLD_STAMP} and make the world again", folder
        )
    files = {name: sha256_file(folder / name) for name in stamp["files"]}
    return digest({"config": stamp["config"], "files": files})


def collect(
    roots: Sequence[Path], regimes: Sequence[str], tasks: Mapping[str, Task], verified: Sequence[int] = ()
) -> Collected:
    """The scores of every regime, task, metric and language, from the runs below several roots together.

    ``verified``: the seeds that are verified against what is recorded here, and hence must not be among it.

    Raises:
        InputError: a run is not finished, a seed is verified or is there twice, there are fewer than three, seeds or
            kernels differ from run to run, or languages or examples from root to root.
    """
    found = Collected()
    for name in regimes:
        parts = [_planned(root, name) for root in roots]
        for task in tasks.values():
            if not any(task.name in part.tasks for part in parts):
                continue
            results = [task_result(part, task) for part in parts]
            _check(name, task.name, results, roots, verified)
            _note_kernels(found, name, task.name, parts, roots)
            first = results[0]
            if found.examples.setdefault(task.name, dict(first.n)) != first.n:
                raise InputError(f"{name}, {task.name}: expected the same examples in every regime", roots[0])
            for metric in task.metrics:
                for code in first.languages:
                    found.scores[name, task.name, metric, code] = {
                        seed: value for result in results for seed, value in result.values[metric][code].items()
                    }
    if not found.scores:
        raise InputError("expected runs of this table in the plan; run make plan", roots[0])
    return found


def _planned(root: Path, name: str) -> RegimeRuns:
    plan = load_plan(root)
    return load_regime(root, plan, name) if name in plan.regimes else RegimeRuns(name, name, [])


def _check(name: str, task: str, results: Sequence[TaskResult], roots: Sequence[Path], verified: Sequence[int]) -> None:
    for result, root in zip(results, roots, strict=True):
        if result.status != "ok" or result.seeds != result.planned_seeds:
            raise InputError(f"expected finished runs of {name} on {task}; make the table first", root)
        if own := sorted(set(verified) & set(result.seeds)):
            raise InputError(
                f"expected other seeds than {own[0]}, which is the one that is verified: a run says nothing about itself",
                root,
            )
    seeds = [seed for result in results for seed in result.seeds]
    if len(seeds) < 3 or len(set(seeds)) < len(seeds):
        listed = ", ".join(str(seed) for seed in seeds)
        raise InputError(f"{name}, {task}: expected runs with at least three seeds, each once, got {listed}", roots[0])
    if len({(result.languages, result.split, tuple(result.n.items())) for result in results}) > 1:
        raise InputError(f"{name}, {task}: expected the same languages, split and examples in every root", roots[0])


def _note_kernels(found: Collected, name: str, task: str, parts: Sequence[RegimeRuns], roots: Sequence[Path]) -> None:
    own = {}
    for part, root in zip(parts, roots, strict=True):
        for run in part.finished:
            if task in run.planned.tasks:
                own[run.planned.seed] = kernel = run.provenance.cpu_kernel or UNKNOWN
                if found.kernels.setdefault(run.planned.seed, kernel) != kernel:
                    before = found.kernels[run.planned.seed]
                    raise InputError(
                        f"{run.planned.dir}: expected the CPU kernel {before} of this seed, got {kernel}", root
                    )
    if set(own) != set(found.kernels):
        raise InputError(f"{name}, {task}: expected the seeds {', '.join(map(str, found.seeds))} here, too", roots[0])


def as_yaml(
    found: Collected, titles: Mapping[str, str], table: str, profile: str, model: str, origin: Mapping[str, Any]
) -> str:
    """The file of ``configs/reported``. ``titles``: of the regimes; ``origin``: what ``Origin`` has besides the runs."""
    rows: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for (regime, task, metric, code), by_seed in found.scores.items():
        values = [round(by_seed[seed], DECIMALS) for seed in found.seeds]
        rows.setdefault((regime, task, metric), {})[code] = values
    content = {
        "paper": profile,
        "citation": f"this artifact's own runs of the {profile} profile",
        "rank": 1,
        "model": model,
        "table": table,
        "source": "make expectations",
        "recorded": {
            "world": origin["world"],
            "runs": [{"seed": seed, "kernel": found.kernels[seed]} for seed in found.seeds],
            **{key: origin[key] for key in ("encoders", "commits", "platforms")},
        },
        "examples": found.examples,
        "rows": [
            {"regime": regime, "method": titles[regime], "task": task, "metric": metric, "scores": scores}
            for (regime, task, metric), scores in rows.items()
        ],
    }
    parse(Recording, content, Path(f"{profile}.yaml"))
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return HEADER.format(profile=profile) + text
