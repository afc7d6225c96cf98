"""What a plan costs before anything starts: hours, disk and downloads, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from xlt.artifacts import read_json
from xlt.config import Table, Task
from xlt.errors import InputError
from xlt.regimes import Adversarial
from xlt.runs import Evaluation, FileSet, RunConfig, Stage

TOKENS_PER_EXAMPLE = {
    "classification": 45,
    "choice": 30,
    "tagging": 30,
    "span": 230,
    "lareqa": 900,
    "mewslix": 96,
    "tatoeba": 28,
    "bucc": 60,
}
"""Mean sub-words of an example (choice: of an option; LAReQA: of all candidates of a passage), from the official files."""
ANSWER_SHARE = 0.3
"""Part of a LAReQA passage's candidate tokens that a training question is paired with: one answer sentence."""
BYTES_PER_TOKEN = 4.0
"""Bytes of an official file per sub-word, labels and markup included."""
PASSES = {"full": 3.0, "bottleneck": 2.0, "madx": 2.0, "lora": 2.0, "head": 1.0, "frozen": 0.0}
"""Cost of a training step in forward passes: with a frozen encoder there is no gradient of its weights."""
START_SECONDS = 12.0
"""Start-up, loading and writing of one run."""
GUESS = {"cpu": 45e9, "cuda": 40e12}
"""Floating-point operations per second and core (CPU) or device (GPU) when no run has been recorded yet."""


def tokens(files: FileSet, data: Path, cap: int | None, family: str, options: int | None) -> float:
    """Estimated sub-words of a split: its size on disk, or the cap's examples if they are fewer."""
    size = sum((data / path).stat().st_size for path in files.sha256) / BYTES_PER_TOKEN
    each = TOKENS_PER_EXAMPLE[family] * (options or 1)
    return size if cap is None else min(size, cap * each)


def stage_tokens(stage: Stage, data: Path, passes: float) -> float:
    """Forward-pass equivalents, in tokens, of one training with its development scores."""
    recipe = stage.recipe
    train = tokens(stage.train, data, stage.caps.train, recipe.family, recipe.options) * passes
    if recipe.family == "lareqa":
        train *= ANSWER_SHARE
    if stage.augmentation is not None:
        train *= stage.augmentation.copies
    dev = tokens(stage.dev, data, stage.caps.dev, recipe.family, recipe.options) if stage.dev else 0.0
    return recipe.epochs * (train + dev)


def task_tokens(evaluation: Evaluation, data: Path) -> float:
    """Tokens of one prediction of a task in all languages."""
    task: Task = evaluation.task
    return sum(tokens(f, data, evaluation.caps.test, task.family, task.options) for f in evaluation.files.values())


def run_tokens(run: RunConfig, data: Path) -> float:
    """Forward-pass equivalents of a whole run, in tokens."""
    passes = PASSES[run.regime.tuning.kind]
    if isinstance(run.regime.robustness, Adversarial):
        passes += 2.0 * run.regime.robustness.steps  # forward and back to the embeddings, no gradient of weights
    smoothing = run.regime.smoothing
    copies = 1 if smoothing is None else smoothing.votes + smoothing.selection
    stages = run.stages if run.weights_of is None else []
    scored = sum(task_tokens(e, data) for e in run.evaluations)
    return sum(stage_tokens(s, data, passes) for s in stages) + copies * scored


def needed(target: str, runs: dict[str, RunConfig], listed: dict[str, list[str]]) -> list[str]:
    """The runs behind a table or regime, those they are made from first."""
    if target not in listed:
        raise InputError(f"TABLE: expected one of {', '.join(listed)}, got {target}")
    found: dict[str, None] = {}

    def visit(folder: str) -> None:
        for before in runs[folder].needs():
            if before in runs:
                visit(before)
        found[folder] = None

    for folder in listed[target]:
        visit(folder)
    return list(found)


def recorded_rate(root: Path, runs: dict[str, RunConfig], data: Path) -> tuple[float, int]:
    """(tokens per second, number of runs it is measured on) over the finished runs of this profile and model."""
    done = seconds = 0.0
    count = 0
    for folder, run in runs.items():
        path = root / folder / "provenance.json"
        if (root / folder / "scores.json").exists() and path.exists():
            walls = [value for value in read_json(path)["wall_seconds"].values() if value is not None]
            if walls:
                done, seconds, count = done + run_tokens(run, data), seconds + sum(walls), count + 1
    return (done / seconds if seconds else 0.0), count


def weights(encoder: Path) -> tuple[int, int]:
    """(parameters of the layers, all parameters) of an encoder from its config.json; XLM-R base when it is not there."""
    path = encoder / "config.json"
    config = read_json(path) if path.exists() else {}
    width, layers = config.get("hidden_size", 768), config.get("num_hidden_layers", 12)
    inner = config.get("intermediate_size", 4 * width)
    body = layers * (4 * width * width + 2 * width * inner)
    return body, body + width * config.get("vocab_size", 250002)


def report(
    target: str,
    root: Path,
    runs: dict[str, RunConfig],
    listed: dict[str, list[str]],
    tables: dict[str, Table],
    data: Path,
    encoder: Path,
    workers: int,
    threads: int,
) -> str:
    """The plan of a table or regime as text: each run with its state and estimated minutes, and the sums.

    ``listed`` are the run folders of every table and regime.
    """
    folders = needed(target, runs, listed)
    body, total = weights(encoder)
    rate, measured = recorded_rate(root, runs, data)
    if not measured:
        rate = GUESS["cpu"] * threads / (2 * body)
    lines = []
    left = disk = 0.0
    for folder in folders:
        run = runs[folder]
        done = (root / folder / "scores.json").exists()
        seconds = START_SECONDS + run_tokens(run, data) / rate
        if not done:
            left += seconds
            disk += 4.0 * total if run.regime.tuning.kind == "full" else 0.02 * 4 * total
        state = "done   " if done else "to run "
        tasks = " ".join(run.tasks) or "(intermediate)"
        lines.append(f"  {state} {seconds / 60:6.1f} min  {folder:34s} {tasks}")
    todo = sum(not (root / folder / "scores.json").exists() for folder in folders)
    sure = f"measured on {measured} finished runs" if measured else "a guess: no run of this plan has finished yet"
    lines += [
        "",
        f"{target}: {len(folders)} runs, {todo} to do, about {left / 60 / workers:.0f} minutes with {workers} at a time"
        f" ({left / 3600:.2f} hours of computing; {sure})",
        f"disk: about {disk / 1e9:.1f} GB of weights; download: {'nothing' if encoder.exists() else 'the encoder'}",
    ]
    planned = {task for folder in folders for task in runs[folder].tasks}
    lines += (
        [f"no data: {task}: no file in any language" for task in tables[target].tasks if task not in planned]
        if target in tables
        else []
    )
    absent = {e.task.title: e.no_data for f in folders for e in runs[f].evaluations if e.no_data}
    lines += [f"no data: {title}: {' '.join(languages)}" for title, languages in sorted(absent.items())]
    return "\n".join(lines)
