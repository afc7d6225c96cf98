"""Whole configs of runs as JSON-like values, made from the project's own configs, for a test to change."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Caps, Model, Recipe, Task, load

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@cache
def _content(kind: type[Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(kind, path).model_dump(mode="json")
    return found


def files(**sha256: str) -> dict[str, Any]:
    """Files of a split by path."""
    return {"format": "xnli-tsv", "files": list(sha256), "sha256": sha256}


def stage(
    recipe: str, *, learning_rate: float = 1e-5, train: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """One training on a recipe, with other values of it; a recipe that is not configured looks like MNLI."""
    path = CONFIGS / "recipes" / f"{recipe}.yaml"
    base = _content(Recipe, path if path.exists() else path.with_name("mnli.yaml"))
    content = {**base, "name": recipe, "batch_size": 32, **changes}
    own = train or files()
    return {"recipe": content, "learning_rate": learning_rate, "caps": Caps().model_dump(), "train": own, "dev": None}


def evaluation(task: str, by_language: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """One task, with other values of it, and its files by language."""
    content = {**_content(Task, CONFIGS / "tasks" / f"{task}.yaml"), **changes}
    given = {
        "split": "test",
        "caps": Caps().model_dump(),
        "files": by_language or {},
        "tuning_files": {},
        "no_data": [],
    }
    return {"task": content, **given}


def profile(name: str, **more: Any) -> dict[str, Any]:
    """What a config says of its profile."""
    given = {"title": f"{name} profile", "benchmark": "xtreme-r", "splits": {}, "split_notes": {}, "caps": {}}
    return {"name": name, **given, **more}


def model(name: str, **changes: Any) -> dict[str, Any]:
    """A configured model; one that is not configured looks like multilingual-e5-small."""
    path = CONFIGS / "models" / f"{name}.yaml"
    base = _content(Model, path if path.exists() else path.with_name("e5-small.yaml"))
    return {**base, "name": name, "title": f"the {name} encoder", **changes}


def run_config(regime: str, recipe: str, seed: int = 1, *, tuning: str = "full", **more: Any) -> dict[str, Any]:
    """The config of a run: one stage on its recipe, no evaluations."""
    axes = {"name": regime, "title": regime, "description": "", "tuning": {"kind": tuning}}
    return {
        "regime": axes,
        "recipe": {"name": recipe, "title": recipe},
        "seed": seed,
        "model": model("e5-small"),
        "profile": profile("pilot"),
        "stages": [stage(recipe)] if tuning != "frozen" else [],
        "tasks": [],
        "languages": {},
        "evaluations": [],
        **more,
    }
