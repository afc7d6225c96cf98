"""Runs of the generated world in this process, for the scripts that measure: planned from changed configs, then made.

To start a script and import what it needs costs more than these runs do.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests import scripts

from xlt.files import read_json

ROOT = Path(__file__).resolve().parents[1]
Changes = Mapping[str, Mapping[str, Any]]
"""What files of ``configs`` say otherwise: by path below it without suffix; dictionaries are merged, values replaced."""


def call(script: str, *arguments: str | Path) -> None:
    """The command line of one of the project's scripts; ends this process as the script ends when it fails."""
    done = scripts.call(script, *arguments)
    if done.returncode:
        sys.exit(done.stderr or done.returncode)


def plan(out: Path, data: Path, encoder: Path, changes: Changes) -> Path:
    """Plan the profile tiny with changed configs in the folder ``out``; the root of the plan.

    ``encoder`` is any prepared one: it stands in for the profile's model, whose rates and batches it takes.
    """
    configs, root = out / "configs", out / "root"
    shutil.copytree(ROOT / "configs", configs)
    source = read_json(encoder / "prepared.json")["source"]
    for name, change in {"models/babel": {"sources": [source]}, **changes}.items():
        path = configs / f"{name}.yaml"
        content = merged(yaml.safe_load(path.read_text(encoding="utf-8")), change)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    call("plan", "--profile", "tiny", "--configs", configs, "--root", root, "--data", data)
    return root


def merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A config with a change in it."""
    result = dict(content)
    for key, value in change.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return result


def make(run: Path, data: Path, encoder: Path, threads: int = 1) -> None:
    """Train, predict and score a planned run; what is done is not done again."""
    call("run", run, "--data", data, "--encoder", encoder, "--threads", str(threads))
