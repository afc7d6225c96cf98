#!/usr/bin/env python3
"""Make one planned language adapter: train it on raw text, or take the ready-made one; adapter.json is written last."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

from xlt.errors import exit_status


def main() -> None:
    """Do the job unless its result is there and current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "job", type=Path, help="a job's folder that the planner wrote, e.g. out/tiny/babel/language-adapters/qag"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of data files (docs/data-layout.md)")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the prepared encoder")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: OMP_NUM_THREADS or all)")
    options = parser.parse_args()

    import logging

    import torch
    import transformers

    from xlt.runs import ADAPTER
    from xlt.training.language_adapter import is_made, make_job, make_language_adapter

    transformers.logging.set_verbosity_error()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    job = make_job(options.job, options.data, options.encoder)
    if is_made(job):
        (options.job / ADAPTER).touch()  # newer than the config, which may say the same in other words
        print(f"{options.job}: made already")
        return
    started = time.perf_counter()
    print(f"{options.job}: {make_language_adapter(job)}, {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
