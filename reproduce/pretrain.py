"""Pre-train the embedded default's small multilingual encoder on the raw text of a Babel world."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "babel.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of a Babel world (see babel.py)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the encoder to")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the dials (default: configs/babel.yaml)")
    parser.add_argument("--threads", type=int, default=2, help="threads; the figures depend on it (default: 2)")
    arguments = parser.parse_args()

    from xlt import babel
    from xlt.artifacts import digest, sha256_file, to_json, write_atomic
    from xlt.training.pretraining import pretrain

    started = time.monotonic()
    config = babel.load(arguments.config)
    log = pretrain(arguments.data, arguments.out, config.encoder, config.seed, arguments.threads)
    files = {path.name: sha256_file(path) for path in sorted(arguments.out.iterdir()) if path.is_file()}
    files.pop("encoder.stamp.json", None)
    seconds = round(time.monotonic() - started, 1)
    stamp = {"config": digest(config.model_dump(mode="json")), "wall_seconds": seconds, "sha256": files}
    write_atomic(arguments.out / "encoder.stamp.json", to_json(stamp))
    print(f"{arguments.out}: loss {log['history'][-1]['loss']}, {seconds} s")


if __name__ == "__main__":
    from xlt.errors import exit_status

    sys.exit(exit_status(main))
