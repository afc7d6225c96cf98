"""Runs that are no use: those that ended with an error, and those whose scores were not made with their own weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlt.files import read_json
from xlt.layout import CONFIG, FAILURE, PROVENANCE, SCORES, TRAINED
from xlt.results.run_folders import Plan

Swapped = dict[str, str]
"""Run folder -> what is wrong with it."""


def failures(root: Path, plan: Plan) -> dict[str, str]:
    """Run folder -> message, for the planned runs that ended with an error and have not finished since."""
    folders = [run.dir for regime in plan.regimes.values() for run in regime.runs]
    return {
        folder: str(read_json(root / folder / FAILURE)["message"])
        for folder in folders
        if (root / folder / FAILURE).exists() and not (root / folder / SCORES).exists()
    }


def swapped(root: Path, plan: Plan) -> Swapped:
    """The finished runs of a plan whose scores were not made with weights of their own.

    A run's ``provenance.json`` names the weights that were scored and ``trained.json`` those that were trained; they must be
    the same. Two runs that were both trained never have the same weights: then one's checkpoint lies in the other's
    folder. Runs that train nothing, and runs that evaluate another's weights (``weights_of``), have others' by right.
    """
    folders = dict.fromkeys(run.dir for regime in plan.regimes.values() for run in regime.runs)
    finished = [folder for folder in folders if (root / folder / SCORES).exists()]
    scored = {folder: read_json(root / folder / PROVENANCE).get("weights_sha256") for folder in finished}
    wrong: Swapped = {}
    for folder, weights in scored.items():
        trained = root / folder / TRAINED
        if trained.exists() and read_json(trained).get("weights_sha256") != weights:
            wrong[folder] = "scored with other weights than trained.json names; run it again"
    owners: dict[str | None, list[str]] = {}
    for folder, weights in scored.items():
        owners.setdefault(weights, []).append(folder)
    for weights, sharing in owners.items():
        same = sharing if len(sharing) > 1 and weights is not None else []
        trained_here = [folder for folder in same if _trains(read_json(root / folder / CONFIG))]
        for folder in trained_here if len(trained_here) > 1 else []:
            others = ", ".join(other for other in trained_here if other != folder)
            wrong[folder] = f"scored with the same weights as {others}; delete its weights.safetensors and run it again"
    return wrong


def _trains(config: Mapping[str, Any]) -> bool:
    return config.get("weights_of") is None and config["regime"]["tuning"]["kind"] != "frozen"
