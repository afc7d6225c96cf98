"""Pre-train the generated world's small multilingual encoder again, as the files that come with this package.

A developer's command (`make encoder REBUILD=1`): users get the encoder with the package, since another processor's rounding
makes another encoder. What it learns from is written first, from the dials of configs/babel.yaml.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xlt.files import SOURCE_ROOT, atomic_folder

ENCODER = "babel/encoder"
DIALS = SOURCE_ROOT / "configs" / "babel.yaml"


def main(arguments: Sequence[str]) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="job.py encoder", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=SOURCE_ROOT / "src/xlt" / ENCODER, help="folder to write (default: the package's)"
    )
    parser.add_argument("--config", type=Path, default=DIALS, help="the dials (default: configs/babel.yaml)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the training (default: the world's)")
    parser.add_argument("--threads", type=int, default=2, help="threads; the figures depend on it (default: 2)")
    parser.add_argument("--checkpoint-every", type=float, default=300.0, help="least seconds between checkpoints")
    options = parser.parse_args(arguments)

    # threads that wait should not spin: on a busy machine that makes two threads slower than one
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from xlt import babel
    from xlt.config.benchmark import ModelSource
    from xlt.modeling.pretrained import stamp_folder
    from xlt.training.checkpointer import Checkpointer, checkpoint_key
    from xlt.training.pretraining import pretrain

    config = babel.load(options.config)
    seed = config.seed if options.seed is None else options.seed
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        babel.write_corpus(data, config)
        made_from = babel.corpus_key(config)
        checkpoints = options.out.with_name(f".{options.out.name}.checkpoint")
        kernels = torch.backends.cpu.get_cpu_capability()
        key = checkpoint_key(f"{made_from} {seed} {kernels} {options.threads}", "cpu")
        checkpointer = Checkpointer(checkpoints, key, options.checkpoint_every)
        with atomic_folder(options.out) as new:
            log = pretrain(data, new, config.encoder, seed, options.threads, checkpointer=checkpointer)
            how = f"seed {seed}, {kernels}, threads: {options.threads}"
            origin = f"pre-trained on the Babel world of seed {config.seed} ({how})"
            stamp_folder(new, name="babel", source=ModelSource(packaged=ENCODER), origin=origin, made_from=made_from)
        checkpointer.clear()
    last = log["history"][-1]
    print(f"{options.out}: masked-word loss {last['mlm']}, {checkpointer.elapsed():.0f} s")
