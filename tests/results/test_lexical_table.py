"""Table 6 from hand-made results: word pairs at the injected layer, layer by layer, zero-shot scores beside the twin."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import Model, Table, Task, load
from xlt.config.lexical_injection import LexicalConfig, LexicalRun
from xlt.config.run_config import FileSet, write_config
from xlt.errors import InputError
from xlt.files import read_json
from xlt.results import lexical_table
from xlt.results.render import Document, Section, to_latex, to_markdown
from xlt.results.reported import load_reported
from xlt.results.run_folders import Regime, load_plan, load_regime
from xlt.results.word_pairs import load_word_pairs

CONFIGS = Path(__file__).parents[2] / "configs"


def layer(trained: float, held_out: float, mixed: float, right: float) -> dict[str, Any]:
    """Figures of one layer; P@1 of trained pairs is ``right`` and 10 less from English, of held-out pairs half of that."""
    both = {"to-en": right, "from-en": right - 10}
    return {
        "cosine": {"trained": trained, "held-out": held_out, "random trained": mixed, "random held-out": mixed},
        "p@1": {"trained": both, "held-out": {name: value / 2 for name, value in both.items()}},
    }


def result(chosen: int, shift: float) -> dict[str, Any]:
    """Two languages, layers 0 to 2. At layer 1, sw's held-out pairs rise by 0.2 + shift, qaa's by 0.4 + shift."""
    before = [layer(0.1, 0.1, 0.05, 20), layer(0.3, 0.2, 0.1, 30), layer(0.5, 0.4, 0.3, 40)]
    after = [layer(0.1, 0.1, 0.05, 20), layer(0.6, 0.4 + shift, 0.0, 50), layer(0.7, 0.5, 0.3, 44)]
    other = [layer(0.1, 0.1, 0.05, 20), layer(0.8, 0.6 + shift, 0.2, 70), layer(0.9, 0.7, 0.5, 64)]
    return {
        "layer": chosen,
        "layers": 2,
        "chosen_by": "cosine",
        "pairs": {"sw": {"trained": 1200, "held-out": 300}, "qaa": {"trained": 80, "held-out": 20}},
        "candidates": {"sw": {"to-en": 1100, "from-en": 1400}, "qaa": {"to-en": 90, "from-en": 100}},
        "before": {"sw": before, "qaa": before},
        "after": {"sw": after, "qaa": other},
        "wall_seconds": 9.5,
        "provenance": {},
    }


def add_jobs(folders: Any, results: dict[int, dict[str, Any] | None]) -> None:
    """Plan a job for each seed; write the result of those that have one."""
    method = load(LexicalConfig, CONFIGS / "lexical" / "tli.yaml")
    model = load(Model, CONFIGS / "models" / "e5-small.yaml")
    files = [FileSet(format="lexicon-tsv", files=["f"], sha256={"f": "0"})]
    for seed, content in results.items():
        folder = f"lexical/tli/all/seed-{seed}"
        folders.plan.setdefault("jobs", {})[folder] = "lexical.json"
        run = LexicalRun(lexical=method, seed=seed, model=model, learning_rate=0.1, files={"sw": files, "qaa": files})
        write_config(run, folders.root / folder)
        if content is not None:
            (folders.root / folder / "lexical.json").write_text(json.dumps(content), encoding="utf-8")
    folders.write_plan()


def add_runs(folders: Any) -> None:
    """full 60 / 50 / 40 in en, sw and de; tli-full 2 more in sw with seed 1 and 4 more with seed 2, 1 less in de."""
    for name, lexical in (("full", None), ("tli-full", "tli")):
        folders.regime(name, f"the regime {name}")
        for seed in (1, 2):
            gain = 2.0 * seed if lexical else 0.0
            scores = {"xnli": {"accuracy": {"en": 60.0, "sw": 50.0 + gain, "de": 40.0 - (lexical is not None)}}}
            run = folders.run(name, "mnli", seed, scores, split="dev")
            config = read_json(run / "config.json")
            config["regime"]["lexical"] = lexical
            (run / "config.json").write_text(json.dumps(config), encoding="utf-8")


def build(folders: Any) -> lexical_table.LexicalTable:
    folders.write_plan()
    plan = load_plan(folders.root)
    config = Table(
        name="table6", title="T", kind="lexical", lexical=["tli"], regimes=["full", "tli-full"], tasks=["xnli"]
    )
    regimes = {
        name: load_regime(folders.root, plan, name) if name in plan.regimes else Regime(name, name, [])
        for name in config.regimes
    }
    tasks = {"xnli": load(Task, CONFIGS / "tasks" / "xnli.yaml")}
    reported = load_reported(CONFIGS / "reported")
    return lexical_table.build(config, plan, folders.root, tasks, regimes, [], reported)


def section(page: Document, part: str) -> Section:
    (found,) = [section for section in page.sections if part in section.title]
    return found


def cells(found: Section, row: int) -> list[str]:
    return [cell.text for cell in found.grid.rows[row]]


@pytest.fixture
def table(folders: Callable[..., Any]) -> lexical_table.LexicalTable:
    made = folders()
    add_jobs(made, {1: result(1, 0.0), 2: result(1, 0.1), 3: None})
    add_runs(made)
    return build(made)


def test_cosines_before_and_after_by_language(table: lexical_table.LexicalTable) -> None:
    found = section(lexical_table.document(table), "mean cosine")
    # held-out after: 0.4 and 0.5 over the seeds: 0.45, std 0.071; minus random 0.0; before 0.2 - 0.1
    held_out = ["0.200 ± 0.000", "0.450 ± 0.071", "0.100 ± 0.000", "0.000 ± 0.000", "0.100 ± 0.000", "0.450 ± 0.071"]
    assert cells(found, 0) == ["Swahili (sw)", "1,200 + 300", "0.300 ± 0.000", "0.600 ± 0.000", *held_out]
    assert found.grid.headers[2:6] == ["trained, before", "trained, after", "held-out, before", "held-out, after"]
    # mean of the languages, after: trained 0.7; held-out 0.55 (seeds 0.5, 0.6); random 0.1
    mean = ["0.200 ± 0.000", "0.550 ± 0.071", "0.100 ± 0.000", "0.100 ± 0.000", "0.100 ± 0.000", "0.450 ± 0.071"]
    assert cells(found, 2) == ["mean of the languages", "", "0.300 ± 0.000", "0.700 ± 0.000", *mean]
    (moved,) = found.foot
    assert moved == (
        "Mean cosines moved: trained pairs by +0.400 ± 0.000, held-out pairs by +0.350 ± 0.071, random pairs by "
        "+0.000 ± 0.000; the distance between held-out and random pairs by +0.350 ± 0.071."
    )


def test_retrieval_in_both_directions(table: lexical_table.LexicalTable) -> None:
    found = section(lexical_table.document(table), "word retrieval")
    # before: 30 into and 20 from English on trained pairs, half of that held out; after 50 and 40 for sw
    shown = ["30.0", "50.0", "20.0", "40.0", "15.0", "25.0", "10.0", "20.0"]
    assert cells(found, 0) == ["Swahili (sw)", "1,100 / 1,400", *(f"{value} ± 0.0" for value in shown)]
    # sw gains 20 points and qaa 40 on trained pairs, half of that on held-out ones
    gains = (
        "trained, into en by +30.0; trained, from en by +30.0; held-out, into en by +15.0; held-out, from en by +15.0"
    )
    assert found.foot == [f"P@1 moved, in points: {gains}."]


def test_layers_and_the_injected_one(table: lexical_table.LexicalTable) -> None:
    found = section(lexical_table.document(table), "layer by layer")
    assert [row[0].text for row in found.grid.rows] == ["0", "1 (injected)", "2"]
    # layer 2: trained 0.5 to (0.7 + 0.9) / 2; P@1 trained (40 + 30) / 2 to the mean of 44, 34, 64, 54
    assert cells(found, 2)[1:3] == ["0.500 ± 0.000", "0.800 ± 0.000"]
    assert cells(found, 2)[9:] == ["35.0 ± 0.0", "49.0 ± 0.0", "17.5 ± 0.0", "24.5 ± 0.0"]


def test_seeds_may_inject_different_layers(folders: Callable[..., Any]) -> None:
    made = folders()
    add_jobs(made, {1: result(1, 0.0), 2: result(2, 0.0)})
    page = lexical_table.document(build(made))
    rows = [row[0].text for row in section(page, "layer by layer").grid.rows]
    assert rows == ["0", "1 (injected with 1 seeds)", "2 (injected with 1 seeds)"]
    # each seed at its own layer: before 0.3 and 0.5
    assert cells(section(page, "mean cosine"), 0)[2] == "0.400 ± 0.141"


def test_zero_shot_scores_beside_the_plain_twin(table: lexical_table.LexicalTable) -> None:
    assert table.twins == {"tli-full": "full"}
    found = section(lexical_table.document(table), "Zero-shot")
    assert found.grid.headers == ["Regime", "XNLI, injected", "vs. plain", "XNLI, all", "vs. plain"]
    # all three languages: 50 for full; (60 + 52 + 39) / 3 = 50.3 and (60 + 54 + 39) / 3 = 51 for tli-full
    assert cells(found, 0) == ["the regime full", "50.0 ± 0.0", "", "50.0 ± 0.0", ""]
    assert cells(found, 1) == ["the regime tli-full", "53.0 ± 1.4", "+3.0", "50.7 ± 0.5", "+0.7"]
    assert found.foot == ["Injected: the languages with a word list (sw, qaa)."]


def test_reported_cosines_are_shown_as_not_comparable(table: lexical_table.LexicalTable) -> None:
    found = section(lexical_table.document(table), "Reported")
    assert [cells(found, row)[:3] for row in range(4)] == [
        ["trained pairs, before", "Swahili (sw)", "0.3211"],
        ["trained pairs, after", "Swahili (sw)", "0.4113"],
        ["control pairs, before", "Swahili (sw)", "0.3143"],
        ["control pairs, after", "Swahili (sw)", "0.4033"],
    ]
    assert {row[3].text for row in found.grid.rows} == {"no: another model (lugha-llama), other word pairs"}


def test_data_and_pages_say_the_same(table: lexical_table.LexicalTable) -> None:
    page = lexical_table.document(table)
    assert "0.450 ± 0.071" in to_markdown(page)
    assert r"0.450 $\pm$ 0.071" in to_latex(page)
    assert "U+" not in to_latex(page)
    rows = list(csv.DictReader(io.StringIO(lexical_table.table_csv(table))))
    wanted = {
        "part": "word pairs",
        "language": "sw",
        "layer": "1",
        "when": "after",
        "pairs": "held-out",
        "measure": "cosine",
    }
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert [(row["lexical"], row["seed"], float(row["value"])) for row in found] == [
        ("tli", "1", 0.4),
        ("tli", "2", 0.5),
    ]
    # 2 seeds, before and after, 2 languages, 3 layers, 4 cosines and 4 P@1
    assert sum(row["part"] == "word pairs" for row in rows) == 2 * 2 * 2 * 3 * 8
    zero_shot = [
        row for row in rows if row["part"] == "zero-shot" and row["seed"] == "mean" and row["language"] == "sw"
    ]
    assert [(row["regime"], float(row["value"])) for row in zero_shot if row["metric"] == "accuracy"] == [
        ("full", 50.0), ("tli-full", 53.0)
    ]  # fmt: skip
    content = json.loads(lexical_table.table_json(table, page))
    assert content["lexical"]["tli"]["layer"] == {"1": 1, "2": 1}
    assert content["lexical"]["tli"]["change"]["held-out − random"]["mean"] == pytest.approx(0.35)
    assert content["scores"]["tli-full"]["xnli"]["injected"] == {"1": 52.0, "2": 54.0}
    assert (content["injected"], content["twins"]) == (["sw", "qaa"], {"tli-full": "full"})


@pytest.mark.parametrize(("jobs", "status"), [({}, "no data"), ({1: None}, "not run")])
def test_what_is_missing_is_said(folders: Callable[..., Any], jobs: dict[int, Any], status: str) -> None:
    made = folders()
    add_jobs(made, jobs)
    page = lexical_table.document(build(made))
    for part in ("mean cosine", "word retrieval"):
        assert cells(section(page, part), 0)[0] == status
    assert not [found for found in page.sections if "layer by layer" in found.title]
    rows = list(csv.DictReader(io.StringIO(lexical_table.table_csv(build(made)))))
    assert [(row["lexical"], row["status"]) for row in rows if row["part"] == "word pairs"] == [("tli", status)]


def test_a_result_without_a_planned_language_is_refused(folders: Callable[..., Any]) -> None:
    made = folders()
    lost = result(1, 0.0)
    del lost["after"]["qaa"]
    add_jobs(made, {1: lost})
    with pytest.raises(InputError, match="expected figures for qaa; delete the file and run the job again"):
        load_word_pairs(made.root, load_plan(made.root), "tli")
