"""What a table says of the languages without an adapter, of odd data, of rows left out, and of its dual encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xlt.config.benchmark import Table, Task, load
from xlt.results.benchmark_table import BenchmarkTable
from xlt.results.formatting import fallbacks, header
from xlt.results.regime_table import Explanations, RegimeTable
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import Inputs

CONFIGS = Path(__file__).parents[2] / "configs"


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


def test_the_header_has_the_notes_of_the_runs_and_the_dual_encoder(folders: Callable[..., Any]) -> None:
    made = folders()
    made.regime("full")
    made.run("full", "mnli", 1, {"xnli": {"accuracy": {"en": 80.0}}})
    made.profile = {**made.profile, "dual_encoder": "reference"}
    path = made.run("full", "mewslix", 1, {"mewslix": {"map@20": {"de": 60.0}}}) / "scores.json"
    scores = json.loads(path.read_text())
    scores["tasks"]["mewslix"]["notes"] = ["no sentence spans in the files of de; cut here"]
    path.write_text(json.dumps(scores))
    plan = load_plan(made.root)
    tasks = {name: load(Task, CONFIGS / "tasks" / f"{name}.yaml") for name in ("xnli", "mewslix")}
    lines = dict(header(plan, [load_regime(made.root, plan, "full")], [], tasks))
    assert lines["Dual encoder"] == "reference"
    assert "Mewsli-X: no sentence spans in the files of de; cut here" in lines["Data"]


def test_the_header_counts_training_examples_that_were_left_out(folders: Callable[..., Any]) -> None:
    made = folders()
    made.regime("full")
    path: Path = made.run("full", "pawsx", 1, {"pawsx": {"accuracy": {"en": 80.0}}}) / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "left_out": {"pawsx": 1234}}))
    plan = load_plan(made.root)
    tasks = {"pawsx": load(Task, CONFIGS / "tasks" / "pawsx.yaml")}
    said = "pawsx: 1,234 training examples left out, which share a sentence with what is scored or chooses the epoch"
    assert said in dict(header(plan, [load_regime(made.root, plan, "full")], [], tasks))["Data"]


def test_pages_count_the_rows_that_are_not_scored(folders: Callable[..., Any]) -> None:
    """The second run has one more French row (an earlier cap, say); no row is counted twice because two runs left it out."""
    made = folders()
    made.regime("full")
    for seed, left_out in enumerate(({"fr": 4, "de": 5}, {"fr": 5, "de": 5}), start=1):
        values = {"accuracy": {"de": 60.0, "en": 70.0, "fr": 60.0}}
        path: Path = made.run("full", "pawsx", seed, {"pawsx": values}) / "scores.json"
        scores = json.loads(path.read_text())
        scores["tasks"]["pawsx"]["unlabelled"] = left_out
        path.write_text(json.dumps(scores))
    plan = load_plan(made.root)
    regimes = {"full": load_regime(made.root, plan, "full")}
    tasks = {"pawsx": load(Task, CONFIGS / "tasks" / "pawsx.yaml")}
    config = Table(name="table2", title="A table", regimes=["full"], tasks=["pawsx"])
    tables = [
        BenchmarkTable(Inputs(config, plan, made.root, tasks, regimes)).document,
        RegimeTable(plan, regimes["full"], regimes, tasks, [], Explanations(threshold=1.0)).document,
    ]
    for table in tables:
        assert "PAWS-X: 10 pairs with an untranslated sentence are not scored (de 5, fr 5)." in table.notes
