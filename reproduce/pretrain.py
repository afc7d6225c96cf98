"""Pre-train the embedded default's small multilingual encoder on the raw text of a Babel world."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# In place of this script's own folder, where a script would hide the package of its name.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "babel.yaml"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of a Babel world (see babel.py)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the encoder to")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the dials (default: configs/babel.yaml)")
    parser.add_argument("--threads", type=int, default=2, help="threads; the figures depend on it (default: 2)")
    parser.add_argument("--checkpoint-every", type=float, default=300.0, help="least seconds between checkpoints")
    options = parser.parse_args()

    # threads that wait should not spin: on a busy machine that makes two threads slower than one
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from xlt import babel
    from xlt.artifacts import atomic_folder
    from xlt.config import ModelSource
    from xlt.modeling.checkpoints import stamp_folder
    from xlt.training.checkpoint import Keeper, checkpoint_key
    from xlt.training.pretraining import pretrain, pretraining_key

    config = babel.load(options.config)
    made_from = pretraining_key(options.data, config.encoder, config.seed, options.threads)
    checkpoints = options.out.with_name(f".{options.out.name}.checkpoint")
    keeper = Keeper(checkpoints, checkpoint_key(made_from, "cpu"), options.checkpoint_every)
    with atomic_folder(options.out) as new:
        log = pretrain(options.data, new, config.encoder, config.seed, options.threads, keeper=keeper)
        origin = f"pre-trained on the Babel world of seed {config.seed} with {options.threads} threads"
        stamp_folder(new, name="babel", source=ModelSource(pretrained=True), origin=origin)
    keeper.clear()
    last = log["history"][-1]
    print(f"{options.out}: masked-word loss {last['mlm']}, {keeper.elapsed():.0f} s")


if __name__ == "__main__":
    from xlt.errors import exit_status

    sys.exit(exit_status(main))
