#!/usr/bin/env python3
"""Write the file to deposit for a DOI: source, image recipe, locks and results in one .tar.gz with checksums.

    python reproduce/archive.py --out out

The source is that of the last commit (the recipe of the image and the locks are part of it). Results are the tables, reports
and claims of every profile and model below --out, and what each run says of itself; no weights, no predictions, no data.
The same commit and results give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt.errors import exit_status
from xlt.files import SOURCE_ROOT
from xlt.results.archive import archive


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder of results; the archive goes there (default: out)"
    )
    parser.add_argument("--root", type=Path, default=SOURCE_ROOT, help="the checkout (default: this one)")
    parser.add_argument(
        "--allow-dirty", action="store_true", help="also with changes that are not committed; they are left out"
    )
    arguments = parser.parse_args()
    archive(arguments.root, arguments.out, allow_dirty=arguments.allow_dirty)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
