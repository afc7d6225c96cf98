"""A table says which languages had no language adapter, and what served them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xlt.results.figures import fallbacks
from xlt.results.runs import load_plan, load_regime


def test_the_note_names_the_languages(folders: Callable[..., Any]) -> None:
    made = folders()
    for name, title in (("madx", "MAD-X"), ("adapter", "Adapter")):
        made.regime(name, title)
    scores = {"xnli": {"accuracy": {"en": 80.0, "th": 50.0}}}
    told: list[dict[str, str]] = [{"th": "en", "sw": "en"}, {"th": "en", "ur": "none"}]
    for seed, given in enumerate(told, start=1):
        path: Path = made.run("madx", "mnli", seed, scores) / "provenance.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "language_fallbacks": given}))
    made.run("adapter", "mnli", 1, scores)
    plan = load_plan(made.root)
    regimes = [load_regime(made.root, plan, name) for name in ("madx", "adapter")]
    assert fallbacks(regimes) == [
        "MAD-X: no language adapter of sw, th; read with that of en.",
        "MAD-X: no language adapter of ur; read without one.",
    ]
