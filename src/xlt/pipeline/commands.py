"""What run.py and job.py do. torch is imported by what needs it, so that their ``--help`` stays fast."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from xlt.errors import InputError
from xlt.files import read_json
from xlt.layout import ADAPTER, CONFIG, LEXICAL, TRAINED
from xlt.options import count, seconds
from xlt.pipeline.folder_lock import alone, as_one
from xlt.run_log import begin

STEPS = ("train", "predict", "score")
GRACE = 300
"""Seconds for a large model's checkpoint when the processes are asked to stop (torchrun's own default is 30)."""


def folder_parser(description: str, example: str) -> argparse.ArgumentParser:
    """The command line of what works on one folder: a run or a job."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"a folder that the planner wrote, e.g. out/tiny/babel/{example}")
    parser.add_argument("--data", type=Path, required=True, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the prepared encoder")
    parser.add_argument("--threads", type=count("--threads"), help="CPU threads (default: OMP_NUM_THREADS or all)")
    parser.add_argument(
        "--checkpoint-every",
        type=seconds("--checkpoint-every"),
        default=300.0,
        metavar="SECONDS",
        help="least time between checkpoints (300)",
    )
    return parser


def run(options: argparse.Namespace) -> None:
    """Do the steps of a run that are not done, or ``options.only`` one of them.

    Raises:
        InputError: the step that is asked for needs another one first, or something in the run's input is wrong.
    """
    begin(options.folder)
    _start_faster()
    from xlt.modeling.distributed import broadcast_from_main, is_main_launched
    from xlt.pipeline.predict_run import is_predicted
    from xlt.pipeline.steps import make_context, predict_step, score_step, train_step
    from xlt.pipeline.train_run import is_trained

    folder, steps = options.folder, [options.only] if options.only else STEPS
    started, model = time.perf_counter(), None
    with as_one(folder):
        context = make_context(folder, options.data, options.encoder, options.threads)
        if "train" in steps:
            model = train_step(context, options.checkpoint_every)
        elif not broadcast_from_main(is_trained, context):
            raise InputError("expected current weights in this run; use --only train first", folder)
        if "predict" in steps:
            predict_step(context, model)
        elif "score" in steps and not is_predicted(context, read_json(folder / TRAINED)["weights_sha256"]):
            raise InputError("expected current predictions in this run; use --only predict first", folder)
        scores = broadcast_from_main(score_step, context) if "score" in steps else {"tasks": {}}
    if is_main_launched():
        told = "".join(f", {name} {mean:.1f}" for name, mean in _means(scores["tasks"]).items())
        print(f"{folder}: done in {time.perf_counter() - started:.0f} s{told}", flush=True)


def _means(tasks: Mapping[str, Any]) -> dict[str, float]:
    """By task, the mean over the languages that were scored of its first metric."""
    first = {name: list(next(iter(task["metrics"].values()), {}).values()) for name, task in tasks.items()}
    return {name: fmean(values) for name, values in first.items() if values}


def _start_faster() -> None:
    """Keep transformers from importing scikit-learn, which takes 2 s, for a way to generate text."""
    from transformers.utils import import_utils

    import_utils._sklearn_available = False


def launch(processes: int, command: Sequence[str]) -> int:
    """Have torchrun start a Python command several times on this machine.

    Returns:
        The exit status of the process that failed first, 128 + n after signal n, or 0; nothing more is said.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the run itself says what went wrong
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="run",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=GRACE,
    )
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def job(options: argparse.Namespace) -> None:
    """Make a language adapter or a lexical injection, as the job's config says, unless it is there and current.

    Raises:
        InputError: the folder is no job's, or something in the job's input is wrong.
    """
    from xlt.pipeline.steps import set_up

    folder: Path = options.folder
    begin(folder)
    set_up(options.threads)
    with alone(folder):
        config = read_json(folder / CONFIG)
        if "lexical" in config:
            told = _inject(options)
        elif "language" in config:
            told = _make_language_adapter(options)
        else:
            raise InputError("expected the folder of a job; runs are carried out by reproduce/run.py", folder)
        print(f"{folder}: {told}", flush=True)


def _inject(options: argparse.Namespace) -> str:
    from xlt.training.lexical_injection import inject, is_done, make_job

    made = make_job(options.folder, options.data, options.encoder)
    if is_done(made):
        return _current(options.folder / LEXICAL)
    result = inject(made, options.checkpoint_every)
    return f"layer {result['layer']} of {result['layers']}, {result['wall_seconds']:.0f} s"


def _make_language_adapter(options: argparse.Namespace) -> str:
    from xlt.training.language_adapter import is_made, make_job, make_language_adapter

    started = time.perf_counter()
    made = make_job(options.folder, options.data, options.encoder)
    if is_made(made):
        return _current(options.folder / ADAPTER)
    told = make_language_adapter(made, options.checkpoint_every)
    return f"{told}, {time.perf_counter() - started:.0f} s"


def _current(result: Path) -> str:
    """Make a result newer than the config, which may say the same in other words."""
    result.touch()
    return "done already"
