"""The content of a folder of results as hashes, to compare two versions of the code (docs/architecture.md).

    python tests/golden.py out/tiny/babel > before.txt      # at one commit
    python tests/golden.py out/tiny/babel > after.txt       # at another, from nothing
    diff before.txt after.txt

hashes weights, predictions, labels, scores, scores of single examples, plan and tables. What differs from run to run
(seconds, memory, commit, hash of the code) is left out.
"""

from __future__ import annotations

import json
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

PATTERNS = (
    "plan.json",
    "runs/**/weights.safetensors",
    "runs/**/scores.json",
    "runs/**/examples.npz",
    "runs/**/predictions/**/*.*",
    "runs/**/labels/**/*.*",
    "lexical/**/lexical.json",
    "language-adapters/**/adapter.json",
    "tables/*.*",
)
PASSING = re.compile(r"seconds|memory|commit|code_hash|hours|minutes|^(train|predict|intermediate)$", re.IGNORECASE)
"""Keys of what differs from run to run; the last three where they are seconds."""
COST_CELL = re.compile(r"\d[\d.,]* ?~?(s|min|h|GB|MB|MiB|GiB)\b|Commit: \w+|[-\s]+")
"""What differs from run to run in a printed table, and the widths that follow from it."""


def steady(value: Any) -> Any:
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        kept = (key for key, each in value.items() if isinstance(each, dict) or not PASSING.search(key))
        return {key: steady(value[key]) for key in kept}
    return [steady(each) for each in value] if isinstance(value, list) else value


def content(path: Path) -> bytes:
    """What is compared of a file."""
    if path.suffix == ".json":
        return json.dumps(steady(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True).encode()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays.files))
    if path.parent.name == "tables":
        return COST_CELL.sub("", path.read_text(encoding="utf-8")).encode()
    return path.read_bytes()


def main() -> None:
    """Print a line for each file: its hash, and its path below the folder."""
    (folder,) = map(Path, sys.argv[1:])
    for path in sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()}):
        print(sha256(content(path)).hexdigest(), path.relative_to(folder).as_posix())


if __name__ == "__main__":
    main()
