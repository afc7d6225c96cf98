"""Table 5 from hand-made run folders: scores, differences to no intermediate task, means, families, formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import RegimeGrid, Table, Task, load
from xlt.errors import InputError
from xlt.files import read_json
from xlt.results.export import AVERAGE
from xlt.results.grid_table import base_of
from xlt.results.render import to_latex, to_markdown
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import ConfiguredTable, Inputs
from xlt.results.tables import KINDS

CONFIGS = Path(__file__).parents[2] / "configs"
FAMILIES = {"mnli": "classification", "siqa": "choice", "squad": "span"}
RECIPES = {"pawsx": "pawsx", "xcopa": "copa", "xnli": "mnli"}
TABLE = Table(
    name="table5",
    title="Grid",
    kind="grid",
    tasks=list(RECIPES),
    grid=RegimeGrid(regimes=["full", "adapter"], intermediates=["mnli", "siqa"]),
    regimes=["adapter-both", "adapter-stack"],
    notes=["a note"],
)
INTERMEDIATE: dict[str, Any] = {
    "full": None,
    "adapter": None,
    "adapter-itt": {"recipes": ["mnli"], "transfer": "continue"},
    "adapter-after-siqa": {"recipes": ["siqa"], "transfer": "continue"},
    "adapter-both": {"recipes": ["mnli", "siqa"], "transfer": "continue"},
    "adapter-stack": {"recipes": ["mnli"], "transfer": "stack"},
}
ROWS = ["adapter-both", "adapter-stack", "full", "adapter", "adapter-itt", "adapter-after-siqa"]
"""In the planner's order: the configured rows first, then each base with its crossings."""


def plan_run(folder: Any, regime: str, task: str, seed: int, scores: dict[str, float] | None) -> None:
    values = None if scores is None else {task: {"accuracy": scores}}
    tuning = "full" if regime == "full" else "bottleneck"
    made = folder.run(regime, RECIPES[task], seed, values, tasks=[task], no_data={task: ["zh"]}, tuning=tuning)
    config = read_json(made / "config.json")
    config["regime"]["intermediate"] = INTERMEDIATE[regime]
    (made / "config.json").write_text(json.dumps(config), encoding="utf-8")


def fill(folder: Any, rows: list[str] | None = None) -> None:
    """Two seeds of PAWS-X, XCOPA and XNLI for adapters; full fine-tuning has one seed of PAWS-X."""
    folder.plan["recipes"] = {name: {"title": name.upper(), "family": family} for name, family in FAMILIES.items()}
    for name in rows or ROWS:
        folder.regime(name, name.title())
    plan_run(folder, "full", "pawsx", 1, {"en": 80.0, "de": 60.0})
    # gain of a row over "adapter" by task: pawsx, xcopa, xnli
    gains = {
        "adapter": (0, 0, 0),
        "adapter-itt": (4, 1, 3),
        "adapter-after-siqa": (-2, 6, 0.5),
        "adapter-both": (5, 5, 5),
    }
    for seed in (1, 2):
        for name, by_task in gains.items():
            for (task, _), gain in zip(RECIPES.items(), by_task, strict=True):
                plan_run(folder, name, task, seed, {"en": 70.0 + gain * seed, "de": 50.0 + gain * seed})
    plan_run(folder, "adapter-stack", "pawsx", 1, {"en": 71.0})  # German is missing
    plan_run(folder, "adapter-stack", "pawsx", 2, None)


def made(folder: Any, table: Table = TABLE) -> ConfiguredTable:
    plan = load_plan(folder.root)
    return KINDS["grid"](
        Inputs(
            config=table,
            plan=plan,
            root=folder.root,
            tasks={name: load(Task, CONFIGS / "tasks" / f"{name}.yaml") for name in table.tasks},
            regimes={name: load_regime(folder.root, plan, name) for name in plan.regimes},
            left_out=["full-itt"],
            reported=[],
            configs=CONFIGS,
        )
    )


@pytest.fixture
def table(folders: Callable[..., Any]) -> ConfiguredTable:
    folder = folders()
    fill(folder)
    return made(folder)


def rows(table: ConfiguredTable, title: str) -> dict[str, list[str]]:
    section = next(section for section in table.document.sections if section.title.startswith(title))
    return {row[0].text: [cell.text for cell in row[1:]] for row in section.grid.rows}


def test_scores_with_their_difference_to_no_intermediate_task(table: ConfiguredTable) -> None:
    adapter = rows(table, "Adapter: score")
    assert list(adapter) == ["none", "MNLI", "SIQA", "Adapter-Both", "Adapter-Stack"]
    assert adapter["none"] == ["60.0", "60.0", "60.0", ""]
    # gains of seed s are s times the entry above: means over seeds 1 and 2 are 1.5 times it, and (70 + 50) / 2 = 60.
    # XNLI is trained on MNLI, XCOPA on Social IQa first: those pairs are in no mean. MNLI: (6 + 1.5) / 2
    assert adapter["MNLI"] == ["66.0 (+6.0)", "61.5 (+1.5)", "64.5 (+4.5)", "+3.8 (2 of 3)"]
    assert adapter["SIQA"] == ["57.0 (−3.0)", "69.0 (+9.0)", "60.8 (+0.8)", "−1.1 (2 of 3)"]  # (−3 + 0.75) / 2
    assert adapter["Adapter-Both"][-1] == "+7.5 (1 of 3)"
    # only English and only seed 1 there: 71 against 70
    assert adapter["Adapter-Stack"][0] == "71.0 (+1.0)"
    assert rows(table, "Full: score") == {"none": ["70.0", "no data", "no data", ""]}


def test_families_count_single_intermediates_that_go_on(table: ConfiguredTable) -> None:
    families = rows(table, "Adapter: mean difference by family")
    # targets: PAWS-X and XNLI are classification, XCOPA is choice; MNLI -> XNLI and Social IQa -> XCOPA do not count
    assert families == {"classification": ["+6.0 (1)", "+1.5 (1)"], "choice": ["−1.1 (2)", "none"]}
    section = next(s for s in table.document.sections if s.title.startswith("Adapter: mean difference"))
    assert section.foot == ["Same family: +6.0 (1). Other families: −0.2 (3)."]  # (1.5 − 3 + 0.75) / 3 = −0.25


def test_notes(table: ConfiguredTable) -> None:
    notes = "\n".join(table.document.notes)
    assert "same training set as the intermediate task, so more epochs rather than transfer; in no mean" in notes
    assert "PAWS-X: average over 2 of 3 languages; no data: Chinese (zh)" in notes
    assert "1 of 2 seeds ran" in notes
    assert "PAWS-X: the difference is over the languages that both rows have" in notes
    assert "leaves out (ROWS=all runs them): full-itt" in notes and notes.endswith("a note")
    assert "+6.0" in to_markdown(table.document) and "+6.0" in to_latex(table.document)


def test_a_row_without_runs_says_so(folders: Callable[..., Any]) -> None:
    folder = folders()
    fill(folder, [*ROWS, "adapter-after-squad"])
    assert rows(made(folder), "Adapter: score")["Adapter-After-Squad"] == ["not run"] * 3 + [""]


def test_csv_and_json(table: ConfiguredTable) -> None:
    records = list(csv.DictReader(io.StringIO(table.csv)))
    cells = {(r["regime"], r["task"], r["language"], r["metric"], r["seed"]): r["value"] for r in records}
    assert float(cells["adapter-itt", "pawsx", "de", "accuracy", "2"]) == 58.0
    assert float(cells["adapter-itt", "pawsx", AVERAGE, "difference", "2"]) == 8.0
    assert ("adapter", "pawsx", AVERAGE, "difference", "2") not in cells
    content = json.loads(table.json)
    found = {row["regime"]: row for row in content["rows"]}
    assert found["adapter-itt"]["base"] == "adapter" and found["adapter-itt"]["intermediate"] == ["mnli"]
    assert found["adapter-itt"]["tasks"]["pawsx"]["difference"]["mean"] == 6.0
    assert found["adapter-itt"]["tasks"]["xnli"]["same_training_set"] is True
    assert found["adapter-itt"]["mean_difference"] == {"mean": 3.75, "tasks": 2}
    assert content["families"]["adapter"]["same_family"] == 6.0
    assert content["families"]["full"] == {"pairs": [], "same_family": None, "other_families": None}


def test_rows_belong_to_the_longest_base_they_begin_with() -> None:
    bases = ["full", "adapter", "adapter-big"]
    assert base_of("adapter", bases) == "adapter"
    assert base_of("adapter-big-after-mnli", bases) == "adapter-big"
    with pytest.raises(
        InputError, match="expected a name that begins with full or adapter or adapter-big, got lora-itt"
    ):
        base_of("lora-itt", bases)
    with pytest.raises(InputError, match="got fuller"):
        base_of("fuller", bases)


def test_a_plain_row_is_a_base_though_the_grid_does_not_cross_it(folders: Callable[..., Any]) -> None:
    folder = folders()
    fill(folder)
    table = TABLE.model_copy(
        update={
            "grid": RegimeGrid(regimes=["adapter"], intermediates=["mnli", "siqa"]),
            "regimes": ["full", *TABLE.regimes],
        }
    )
    sections = {section.title: section.grid for section in made(folder, table).document.sections}
    assert sections == {section.title: section.grid for section in made(folder).document.sections}


def test_a_table_without_its_bases_is_refused(folders: Callable[..., Any]) -> None:
    folder = folders()
    fill(folder)
    with pytest.raises(InputError, match="table5: expected the key grid in a table of kind grid"):
        made(folder, TABLE.model_copy(update={"grid": None}))
    del folder.plan["regimes"]["adapter"]
    folder.write_plan()
    with pytest.raises(InputError, match="table5: expected the row of their base beside adapter-both, adapter-stack"):
        made(folder)
