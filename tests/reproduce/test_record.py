"""make record: minutes of finished tables and findings on claims, from a miniature plan and hand-made runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import docs
import numpy as np
import plan
import pytest
import yaml
from tests.conftest import ROOT
from tests.results.conftest import Folders, keep_examples

from xlt.config.benchmark import load
from xlt.errors import InputError
from xlt.planning import recorded as record
from xlt.planning import reproduce_page as guide


@pytest.fixture
def tiny(mini_configs: Path, mini_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a plan of the profile tiny with the miniature world's examples and one row of table 2."""
    profile = yaml.safe_load((mini_configs / "profiles" / "mini.yaml").read_text(encoding="utf-8"))
    profile |= {"name": "tiny", "rows": {"table2": ["full"]}}
    (mini_configs / "profiles" / "tiny.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    root = tmp_path / "root"
    given = ["--profile", "tiny", "--configs", str(mini_configs), "--data", str(mini_data), "--root", str(root)]
    monkeypatch.setattr(sys, "argv", ["plan.py", *given])
    plan.main()
    return root


def finish(folder: Path, seconds: float) -> None:
    (folder / "scores.json").write_text("{}")
    walls = {"wall_seconds": {"train": seconds - 10, "predict": 10.0}}
    (folder / "provenance.json").write_text(json.dumps(walls))


def test_a_table_has_an_entry_when_its_last_run_has_finished(tiny: Path, mini_data: Path, mini_configs: Path) -> None:
    # the row "full" takes eight runs: MNLI, COPA, UD-POS, WikiANN, SQuAD, TyDiQA, LAReQA, Mewsli-X
    folders = sorted((tiny / "runs" / "full").glob("*/seed-1"))
    needed = {"mnli", "copa", "udpos", "panx", "squad", "tydiqa", "lareqa", "mewslix"}
    chosen = [folder for folder in folders if folder.parent.name in needed]
    assert len(chosen) == 8
    for folder in chosen[:-1]:
        finish(folder, 84.0)
    assert record.tables(tiny, mini_data, mini_configs) == {}
    finish(chosen[-1], 114.0)
    # seven times 84 + 6 seconds and once 114 + 6: 12.5 minutes, and 12 is the even one
    assert record.tables(tiny, mini_data, mini_configs) == {"table2": {"runs": 8, "minutes": 12}}


def claim(configs: Path, name: str, second: str) -> None:
    content = {
        "name": name,
        "claim": "It helps.",
        "source": {"paper": "p", "place": "abstract", "confidence": "seen"},
        "contrasts": [{"first": "adapter", "second": second}],
        "cells": {"tasks": ["xnli"]},
        "command": "make table2",
    }
    (configs / "claims" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_claims_have_their_effect_and_those_not_run_no_entry(
    mini_configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (mini_configs / "claims").glob("*.yaml"):
        path.unlink()
    claim(mini_configs, "helps", "full")
    claim(mini_configs, "waits", "lora")
    made = Folders(tmp_path / "root", profile="tiny", model="babel")
    for regime, right in (("full", 120), ("adapter", 160)):  # of 200: 60 and 80 %
        made.regime(regime)
        scores = {"xnli": {"accuracy": {"de": right / 2}}}
        folder = made.run(regime, "mnli", 1, scores, split="dev")
        keep_examples(folder, {"xnli/accuracy/de": (np.arange(200) < right).astype(float)})
    found = record.claims(made.root, mini_configs)
    assert list(found) == ["helps"]
    assert (found["helps"]["status"], found["helps"]["seeds"]) == ("too few seeds", 1)
    effect = found["helps"]["effect"]
    assert effect["found"] == 20.0 and effect["low"] < 20 < effect["high"]
    monkeypatch.setattr(record, "tables", lambda *given: {})
    given = ["--root", str(made.root), "--data", "data", "--configs", str(mini_configs)]
    monkeypatch.setattr(sys, "argv", ["docs.py", "record", *given])
    docs.main()
    written = load(record.Recorded, mini_configs / "recorded.yaml")
    assert written.claims == {"helps": record.Found.model_validate(found["helps"])}


def test_what_was_measured_by_hand_stays(tmp_path: Path) -> None:
    path = ROOT / "configs" / "recorded.yaml"
    text = path.read_text(encoding="utf-8")
    effect = {"found": 0.8, "low": -1.0, "high": 2.7}
    made: dict[str, dict[str, Any]] = {
        "tiny": {"table2": {"runs": 40, "minutes": 12}},
        "claims": {
            "a": {"status": "not shown", "seeds": 3, "effect": effect},
            "b": {"status": "too few seeds", "seeds": 1},
        },
    }
    new = record.written(text, made, path)
    assert new.partition(record.MARK)[0] == text.partition(record.MARK)[0]
    assert "  table2: {runs: 40, minutes: 12}\n" in new
    (tmp_path / "recorded.yaml").write_text(new, encoding="utf-8")
    read = load(record.Recorded, tmp_path / "recorded.yaml")
    assert read.claims["a"] == record.Found(status="not shown", seeds=3, effect=record.RecordedEffect(**effect))
    assert record.written(new, made, path) == new
    assert record.written(new, {"tiny": {}, "claims": {}}, path).endswith("tiny: {}\nclaims: {}\n")
    with pytest.raises(InputError, match="expected the line # From here on written by"):
        record.written("machine: m\n", made, path)


def test_the_guide_says_what_was_found_and_what_was_not_run() -> None:
    effect = record.RecordedEffect(found=0.8, low=-1.0, high=2.7)
    assert guide.found_said(record.Found(status="not shown", seeds=3, effect=effect), "") == (
        "not shown: +0.8 (−1.0 to +2.7), 3 seeds"
    )
    assert guide.found_said(record.Found(status="too few seeds", seeds=1), " %") == "too few seeds: one seed"
    assert guide.found_said(None, "") == "not run"


def test_only_the_generated_world_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Folders(tmp_path / "root")
    made.write_plan()
    monkeypatch.setattr(sys, "argv", ["docs.py", "record", "--root", str(made.root), "--data", "data"])
    with pytest.raises(InputError, match="expected runs of the profile tiny, got those of pilot"):
        docs.main()
