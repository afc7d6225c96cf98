#!/usr/bin/env python3
"""Carry out one planned run: train, predict, score. A step whose result is there and current is not repeated.

The steps in one process save start-up time; train.py, predict.py and score.py do them one by one. torchrun starts it as
several processes that train and predict together (docs/parallel.md).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from xlt.errors import InputError, exit_status
from xlt.files import to_json, write_atomic
from xlt.locks import locked
from xlt.options import count, seconds


def arguments(description: str, example: str = "runs/full/mnli/seed-1") -> argparse.Namespace:
    """The command line of the steps of a run, and of a job that runs are made from."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("run", type=Path, help=f"a folder that the planner wrote, e.g. out/tiny/babel/{example}")
    parser.add_argument("--data", type=Path, required=True, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the prepared encoder")
    parser.add_argument(
        "--threads", type=count("--threads"), default=None, help="CPU threads (default: OMP_NUM_THREADS or all)"
    )
    parser.add_argument(
        "--checkpoint-every",
        type=seconds("--checkpoint-every"),
        default=300.0,
        metavar="SECONDS",
        help="least time between checkpoints (300)",
    )
    return parser.parse_args()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Work on a run or job folder as its only process; a second one waits, and then finds what the first has done.

    The lock is given back when a process ends, however it ends (xlt.locks).
    """
    if not folder.is_dir():
        raise InputError("expected a folder that the planner wrote; run make plan first", folder)
    with locked(folder / ".lock", f"{folder}: another process works on it"):
        yield


@contextlib.contextmanager
def noting_failure(folder: Path) -> Iterator[None]:
    """Leave ``failed.json`` with the message when a step ends with an error, so that a table can say why a cell is empty."""
    note = folder / "failed.json"
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):  # the disk may be what failed
            write_atomic(note, to_json({"message": message}))
        raise
    note.unlink(missing_ok=True)


@contextlib.contextmanager
def as_one(folder: Path) -> Iterator[None]:
    """Work on a run folder as its only process, or with the others that torchrun started for this very run."""
    from xlt.modeling.distributed import is_main_launched, joined  # torch: slow import

    with alone(folder) if is_main_launched() else contextlib.nullcontext(), noting_failure(folder), joined():
        yield


def start_faster() -> None:
    """Keep transformers from importing scikit-learn, which takes 2 s, for a way to generate text."""
    from transformers.utils import import_utils

    import_utils._sklearn_available = False


def main() -> None:
    """Run the steps that are not done."""
    options = arguments(str(__doc__))
    start_faster()
    from xlt.modeling.distributed import broadcast_from_main, is_main_launched
    from xlt.pipeline.steps import make_context, predict_step, score_step, train_step

    started = time.perf_counter()
    with as_one(options.run):
        context = make_context(options.run, options.data, options.encoder, options.threads)
        model = train_step(context, options.checkpoint_every)
        predict_step(context, model)
        broadcast_from_main(score_step, context)
    if is_main_launched():
        print(f"{options.run}: done in {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
