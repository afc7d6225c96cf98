"""Hand-made run folders, as the other stages would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import run_configs


class Folders:
    """Writes a root folder with a plan and runs. ``scores[task][metric][language]`` is a percentage."""

    def __init__(self, root: Path, profile: str = "pilot", model: str = "e5-small", caps: Any = None) -> None:
        self.root = root
        notes = {"xnli": "XTREME blanks its test labels"}
        self.profile = run_configs.profile(profile, splits={"xnli": "dev"}, split_notes=notes, caps=caps or {})
        self.model = model
        self.plan: dict[str, Any] = {
            "profile": profile,
            "model": model,
            "seeds": [1, 2],
            "regimes": {},
            "tables": {},
        }

    def regime(self, name: str, title: str | None = None, upstream: list[str] | None = None) -> None:
        """Plan a regime without runs."""
        self.plan["regimes"][name] = {"title": title or name, "runs": [], "upstream": upstream or []}
        self.write_plan()

    def write_plan(self) -> None:
        """Write ``plan.json``."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "plan.json").write_text(json.dumps(self.plan), encoding="utf-8")

    def run(
        self,
        regime: str,
        recipe: str,
        seed: int,
        scores: dict[str, dict[str, dict[str, float]]] | None,
        *,
        tasks: list[str] | None = None,
        no_data: dict[str, list[str]] | None = None,
        split: str = "test",
        n: int = 100,
        trained: int = 1000,
        total: int = 10000,
        train: float = 60.0,
        predict: float = 30.0,
        tuning: str = "full",
        **recipe_values: Any,
    ) -> Path:
        """Plan one run and, unless ``scores`` is None, write what it leaves behind. Returns its folder.

        ``recipe_values``: in which its recipes differ from the configured ones.
        """
        names = tasks or list(scores or {})
        absent = no_data or {}
        relative = f"runs/{regime}/{recipe}/seed-{seed}"
        self.plan["regimes"][regime]["runs"].append({"dir": relative, "recipe": recipe, "seed": seed, "tasks": names})
        self.write_plan()
        folder = self.root / relative
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            task: list(dict.fromkeys(c for m in (scores or {}).get(task, {}).values() for c in m)) for task in names
        }
        sets = ["siqa", "copa"] if recipe == "copa" else [recipe] if tuning != "frozen" else []
        config = run_configs.run_config(
            regime,
            recipe,
            seed,
            tuning=tuning,
            model=run_configs.model(self.model),
            profile=self.profile,
            stages=[run_configs.stage(name, **recipe_values) for name in sets],
            tasks=names,
            languages={task: found[task] + absent.get(task, []) for task in names},
        )
        (folder / "config.json").write_text(json.dumps(config, sort_keys=False), encoding="utf-8")
        if scores is None:
            return folder
        entries = {
            task: {
                "split": split,
                "metrics": scores[task],
                "n": dict.fromkeys(found[task], n),
                "no_data": absent.get(task, []),
            }
            for task in names
        }
        (folder / "scores.json").write_text(json.dumps({"tasks": entries, "dev": {}}), encoding="utf-8")
        self.provenance(relative, trained, total, train, predict)
        return folder

    def provenance(self, relative: str, trained: int, total: int, train: float, predict: float) -> None:
        """Write ``provenance.json`` of a run folder."""
        content = {
            "trainable_parameters": trained,
            "total_parameters": total,
            "wall_seconds": {"train": train, "predict": predict},
            "peak_memory_bytes": 2**30,
            "git_commit": "0123456789abcdef",
            "git_dirty": False,
            "device": "cpu",
            "cpu_kernel": "AVX2",
            "encoder": "hub: the encoder",
            "code_hash": "00",
        }
        (self.root / relative).mkdir(parents=True, exist_ok=True)
        (self.root / relative / "provenance.json").write_text(json.dumps(content), encoding="utf-8")


def keep_examples(folder: Path, scores: dict[str, Any], items: dict[str, Any] | None = None) -> None:
    """Write ``examples.npz`` of a run folder: ``scores["xnli/accuracy/de"]`` by example.

    ``items["xnli/de"]`` are the numbers of its items; without, they are the places in the array.
    """
    arrays = {name: np.asarray(values) for name, values in scores.items()}
    for name, values in list(arrays.items()):
        task, _, language = name.split("/")
        numbers = (items or {}).get(f"{task}/{language}", range(len(values)))
        arrays[f"{task}/item/{language}"] = np.array(numbers, dtype=np.uint64)
    np.savez(folder / "examples.npz", **arrays)  # type: ignore[arg-type]


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Folders]:
    """Make a root folder: ``folders(profile=..., model=...)``."""

    def make(**options: Any) -> Folders:
        return Folders(tmp_path / "root", **options)

    return make
