#!/usr/bin/env python3
"""Carry out one planned run: train, predict, score. A step whose result is there and current is not repeated.

The steps in one process save start-up time; train.py, predict.py and score.py do them one by one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from xlt.artifacts import to_json, write_atomic
from xlt.errors import InputError, exit_status


def arguments(description: str, example: str = "runs/full/mnli/seed-1") -> argparse.Namespace:
    """The command line of the steps of a run, and of a job that runs are made from."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("run", type=Path, help=f"a folder that the planner wrote, e.g. out/tiny/babel/{example}")
    parser.add_argument("--data", type=Path, required=True, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the prepared encoder")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: OMP_NUM_THREADS or all)")
    return parser.parse_args()


@contextlib.contextmanager
def noting_failure(folder: Path) -> Iterator[None]:
    """Leave ``failed.json`` with the message when a step ends with an error, so that a table can say why a cell is empty."""
    note = folder / "failed.json"
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        write_atomic(note, to_json({"message": message}))
        raise
    note.unlink(missing_ok=True)


def main() -> None:
    """Run the steps that are not done."""
    options = arguments(str(__doc__))
    from xlt.training.steps import make_context, predict_step, score_step, train_step

    started = time.perf_counter()
    with noting_failure(options.run):
        context = make_context(options.run, options.data, options.encoder, options.threads)
        model = train_step(context)
        predict_step(context, model)
        score_step(context)
    print(f"{options.run}: done in {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
