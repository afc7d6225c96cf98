"""Collect the predictions of a regime in the layout of the XTREME and XTREME-R leaderboards, and score them again.

    python reproduce/submission.py --run adapter --seed 1 --root out/paper/xlmr-base --data data

Writes predictions/<task>/test-<language>.<ext>, the gold labels beside them, and submission.json, which names the runs and
what is missing. The lines of Tatoeba are put in the order of XTREME's sorted English side. See docs/protocol.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, cast, get_args

from xlt.config.benchmark import Benchmark, Task
from xlt.config.run_config import Evaluation, RunConfig, read_run
from xlt.errors import InputError, exit_status
from xlt.files import atomic_folder, read_json, to_json, write_atomic
from xlt.layout import CONFIG, PLAN, SCORES
from xlt.names import one_of


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a regime of the plan, or one run folder below the root")
    parser.add_argument("--seed", type=int, default=None, help="which seed of a regime (default: its first)")
    parser.add_argument("--root", type=Path, required=True, help="folder of one profile and model, with plan.json")
    parser.add_argument("--data", type=Path, required=True, help="folder of official files")
    parser.add_argument("--benchmark", choices=get_args(Benchmark), default=None, help="default: the profile's")
    parser.add_argument("--output", type=Path, default=None, help="default: <root>/submissions/<run>-seed-<n>")
    return parser.parse_args()


def tasks_of(benchmark: Benchmark) -> list[str]:
    """The tasks of a benchmark, in its order."""
    from xlt.pipeline.scoring import GROUPS

    return [task for group in GROUPS[benchmark].values() for task in group]


def folders_of(root: Path, name: str, seed: int | None, asked: Benchmark | None) -> tuple[list[Path], int, Benchmark]:
    """The run folders of a regime and seed with a task of the benchmark (or the one folder named), seed and benchmark.

    The benchmark is the one asked for, or the profile's.

    Raises:
        InputError: no such regime, run or seed, or a run is not finished.
    """
    from xlt.results.run_folders import load_plan

    if (root / name / CONFIG).is_file():
        found = {root / name: read_run(root / name)}
        chosen = found[root / name].seed
    else:
        plan = load_plan(root)
        if name not in plan.regimes:
            raise InputError(f"RUN: {one_of(plan.regimes, name)}, or a run folder", root / PLAN)
        seeds = list(dict.fromkeys(run.seed for run in plan.regimes[name].runs))
        chosen = seeds[0] if seed is None and seeds else seed or 0
        found = {root / run.dir: read_run(root / run.dir) for run in plan.regimes[name].runs if run.seed == chosen}
        if not found:
            known = ", ".join(map(str, seeds)) or "none"
            raise InputError(f"expected a planned seed of {name}, got {chosen}; there are {known}", root / PLAN)
    benchmark = cast(Benchmark, asked or next(iter(found.values())).profile.benchmark)
    folders = [folder for folder, config in found.items() if set(tasks_of(benchmark)) & set(config.tasks)]
    if not folders:
        raise InputError(f"expected a task of {benchmark}, got a run without one", root / name)
    for folder in folders:
        if not (folder / SCORES).is_file():
            raise InputError("expected a finished run; run make for this regime first", folder)
    return folders, chosen, benchmark


def english_order(evaluation: Evaluation, language: str, data: Path) -> list[int]:
    """The numbers of Tatoeba's English lines as XTREME sorts them (``tatoeba_preprocess`` of its utils_preprocess.py)."""
    from xlt.data.dataset import first, load_split

    target = first(load_split(data, evaluation.files[language], language, None), evaluation.caps.test).target
    return sorted(range(len(target)), key=lambda number: target[number].strip())


def collect(folder: Path, config: RunConfig, tasks: list[str], data: Path, out: Path) -> dict[str, Any]:
    """Copy one run's predictions and labels of ``tasks``; the entry of ``submission.json`` for each task."""
    from xlt.families import FAMILIES

    scores, entries = read_json(folder / SCORES)["tasks"], {}
    for evaluation in config.evaluations:
        task = evaluation.task.name
        if task not in tasks:
            continue
        found, files = scores[task], FAMILIES[evaluation.task.family].files(evaluation.task)
        for language in found["n"]:
            for kind in ("predictions", "labels"):
                source = files.path(folder / kind, language)
                if evaluation.task.family == "tatoeba":
                    lines, order = files.read(source), english_order(evaluation, language, data)
                    files.write(out / kind, language, [lines[number] for number in order])
                else:
                    write_atomic(files.path(out / kind, language), source.read_bytes())
        entries[task] = {
            "run": "/".join(folder.parts[-4:]),
            "split": found["split"],
            "cap": evaluation.caps.test,
            "missing": found["no_data"],
            "metrics": found["metrics"],
        }
    return entries


def read_back(out: Path, benchmark: Benchmark, tasks: dict[str, Task], entries: dict[str, Any]) -> dict[str, Any]:
    """Score the collected folder as ``score.py`` does.

    Raises:
        InputError: a figure is not that of the run.
    """
    from xlt.pipeline.scoring import score_folder

    report = score_folder(out / "predictions", out / "labels", benchmark, tasks, any_language=True)
    for task, entry in entries.items():
        for metric, values in report["tasks"][task]["scores"].items():
            if metric in entry["metrics"] and values != entry["metrics"][metric]:
                message = f"expected {metric} as in the run's scores.json, got others; predict and score the run again"
                raise InputError(message, out / "predictions" / task)
    return report


def main() -> None:
    """Collect, score again, write, and say what is missing."""
    options = arguments()
    asked = cast("Benchmark | None", options.benchmark)
    folders, seed, benchmark = folders_of(options.root, options.run, options.seed, asked)
    configs, tasks = [read_run(folder) for folder in folders], tasks_of(benchmark)
    name = options.run.replace("/", "-") if options.run.startswith("runs/") else f"{options.run}-seed-{seed}"
    output = options.output or options.root / "submissions" / name
    with atomic_folder(output) as new:
        entries: dict[str, Any] = {}
        for folder, config in zip(folders, configs, strict=True):
            entries |= collect(folder, config, tasks, options.data, new)
        evaluated = {each.task.name: each.task for config in configs for each in config.evaluations}
        report = read_back(new, benchmark, evaluated, entries)
        absent = [task for task in tasks if task not in entries]
        summary = {"benchmark": benchmark, "seed": seed, "tasks": entries, "missing_tasks": absent}
        write_atomic(new / "submission.json", to_json(summary))
    print(f"wrote {output}: {len(entries)} of {len(tasks)} tasks, scored again with the same figures")
    if absent:
        print(f"missing tasks: {', '.join(absent)}")
    for task, entry in entries.items():
        notes = [f"missing languages: {', '.join(entry['missing'])}"] if entry["missing"] else []
        notes += [f"{entry['split']} split, not the test set"] if entry["split"] != "test" else []
        notes += [f"only the first {entry['cap']} examples"] if entry["cap"] is not None else []
        if notes:
            print(f"{task}: {'; '.join(notes)}")
    overall = report["overall"]["score"]
    print(f"overall: {'incomplete' if overall is None else f'{overall:.2f}'}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
