"""Generate the embedded default: the Babel world as a DATA folder in the owners' file formats."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

# In place of this script's own folder, where a script would hide the package of its name.

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "babel.yaml"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the world's dials (default: configs/babel.yaml)")
    arguments = parser.parse_args()

    from xlt import babel

    started = time.monotonic()
    babel.write_world(arguments.out, babel.load(arguments.config))
    files = [path for path in sorted(arguments.out.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{arguments.out}: {len(files)} files, {size:.1f} MB, {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    from xlt.errors import exit_status

    sys.exit(exit_status(main))
