"""Table 7 from hand-made runs: gains by group, thirds, and the correlation of gains with what is known of the languages."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from xlt.config.benchmark import Table, Task, load
from xlt.results.groups_table import bands
from xlt.results.render import standalone, to_latex, to_markdown
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import ConfiguredTable, Inputs
from xlt.results.tables import KINDS
from xlt.results.typology import Measure

ROOT = Path(__file__).parents[2]
# syntactic distance from English in configs/languages.yaml: de 0.097, fr 0.188, ru 0.188, zh 0.288, hi 0.384, tr 0.493
XNLI = {"en": 80.0, "de": 70.0, "fr": 71.0, "ru": 65.0, "zh": 60.0, "hi": 58.0, "tr": 57.0}
GAIN = {"en": 9.0, "de": 1.0, "fr": 1.5, "ru": 2.0, "zh": 3.0, "hi": 4.0, "tr": 5.0}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(ROOT / "configs" / "tasks", folder / "tasks")
    shutil.copy(ROOT / "configs" / "languages.yaml", folder)
    (folder / "tables").mkdir()
    table = {"name": "table7", "title": "Groups", "kind": "groups", "regimes": ["full", "adapter"]}
    table |= {"tasks": ["xnli", "xquad", "tatoeba"]}
    (folder / "tables" / "table7.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    return folder


def fill(folder: Any) -> None:
    """XNLI with two seeds, and XQuAD in German and Hindi, where adapters gain 10 points."""
    for name in ("full", "adapter"):
        folder.regime(name, name.capitalize())
        for seed in (1, 2):
            sign = 1 if name == "adapter" else 0
            xnli = {code: value + sign * GAIN[code] + seed for code, value in XNLI.items()}
            folder.run(name, "mnli", seed, {"xnli": {"accuracy": xnli}})
            answers = {"de": 50.0 + 10 * sign, "hi": 40.0 + 10 * sign}
            folder.run(name, "squad", seed, {"xquad": {"f1": answers, "exact_match": answers}})


def tabulated(folder: Any, configs: Path) -> ConfiguredTable:
    plan, config = load_plan(folder.root), load(Table, configs / "tables" / "table7.yaml")
    regimes = {name: load_regime(folder.root, plan, name) for name in config.regimes if name in plan.regimes}
    tasks = {name: load(Task, configs / "tasks" / f"{name}.yaml") for name in config.tasks}
    return KINDS["groups"](Inputs(config, plan, folder.root, tasks, regimes, [], [], configs))


_MADE: list[ConfiguredTable] = []
"""The table, drawn once for all tests that only look at it."""


@pytest.fixture
def made(folders: Callable[..., Any], configs: Path) -> ConfiguredTable:
    if not _MADE:
        folder = folders(model="xlmr-base")
        fill(folder)
        _MADE.append(tabulated(folder, configs))
    return _MADE[0]


def row(written: ConfiguredTable, section: str, *labels: str) -> list[str]:
    grid = next(each for each in written.document.sections if each.title == section).grid
    return next(
        [cell.text for cell in line] for line in grid.rows if [c.text for c in line[: len(labels)]] == [*labels]
    )


def test_gains_by_group(made: ConfiguredTable) -> None:
    # XNLI without English: 381 / 6 = 63.5, plus 1.5 for the seeds' mean; gains 16.5 / 6 = 2.75
    everything = row(made, "Classification", "all", "all languages but English")
    assert everything == ["all", "all languages but English", "6", "65.0 ± 0.7", "+2.8 ± 0.0"]
    # German alone in its family: 70 + 1.5, gain 1
    assert row(made, "Classification", "family", "IE: Germanic")[2:] == ["1", "71.5 ± 0.7", "+1.0 ± 0.0"]
    # German, French and Turkish are written in Latin: (1 + 1.5 + 5) / 3 = 2.5
    assert row(made, "Classification", "script", "Latin")[4] == "+2.5 ± 0.0"
    assert row(made, "Question answering", "family", "IE: Indo-Aryan")[2:] == ["1", "40.0 ± 0.0", "+10.0 ± 0.0"]
    # all tasks: six cells of XNLI and two of XQuAD: (16.5 + 20) / 8 = 4.56
    assert row(made, "All tasks", "all", "all languages but English")[4] == "+4.6 ± 0.0"


def test_thirds(made: ConfiguredTable) -> None:
    title = "syntactic distance from English"
    # thirds of 0.097 0.188 0.188 0.288 0.384 0.493 end at 0.188 (de, fr, ru) and 0.352 (zh)
    assert row(made, "Classification", title, "low (0.097 to 0.188)")[2:] == ["3", "70.2 ± 0.7", "+1.5 ± 0.0"]
    assert row(made, "Classification", title, "middle (0.288 to 0.288)")[4] == "+3.0 ± 0.0"
    assert row(made, "Classification", title, "high (0.384 to 0.493)")[4] == "+4.5 ± 0.0"
    assert bands(Measure("m", "s", {"a": 1.0, "b": 1.0, "c": 2.0}), "abc") == []


def test_correlation(made: ConfiguredTable) -> None:
    content = json.loads(made.json)
    found = {(c["tasks"], c["measure"]): c for c in content["correlations"]}
    entry = found["classification", "syntactic distance from English"]
    # French and Russian are equally far and gain 1.5 and 2: ranks 1 2.5 2.5 4 5 6 against 1 2 3 4 5 6, whose sum of products
    # is 17 and whose sums of squares are 17 and 17.5
    assert entry["correlation"]["rho"] == pytest.approx(17 / (17 * 17.5) ** 0.5)
    assert entry["correlation"]["n"] == 6
    assert {point["language"] for point in entry["points"]} == set(XNLI) - {"en"}
    # sizes in GiB: de 66.6 fr 56.8 ru 278 zh 46.9 hi 20.2 tr 20.9; ranks 5 4 6 3 1 2 against gains 1 2 3 4 5 6: squared rank
    # differences 16 + 4 + 9 + 1 + 16 + 16 = 62; 1 - 6 * 62 / 210
    size = found["classification", "CC-100 (GiB)"]["correlation"]
    assert size["rho"] == pytest.approx(1 - 6 * 62 / 210)
    assert found["question answering", "CC-100 (GiB)"]["correlation"] is None  # two languages
    shown = row(made, "Correlation of gains with the languages (Spearman)", "CC-100 (GiB)", "classification")
    assert shown[3].startswith("−0.77 [")


def test_notes_and_files(made: ConfiguredTable) -> None:
    text = to_markdown(made.document)
    assert "Not counted, because not every regime here has results for it: Tatoeba." in text
    assert "URIEL" in text
    assert "CC BY-SA 4.0" in text
    assert {name for name in made.files if name.startswith("all-tasks.")} == {
        f"all-tasks.adapter.{kind}{suffix}" for kind in ("distance", "pretraining") for suffix in (".svg", ".pdf")
    }


def test_csv(made: ConfiguredTable) -> None:
    lines = list(csv.DictReader(io.StringIO(made.csv)))
    key = ("adapter", "classification", "IE: Germanic", "2")
    line = next(r for r in lines if (r["regime"], r["tasks"], r["group"], r["seed"]) == key)
    assert (float(line["score"]), float(line["gain"]), line["languages"], line["cells"]) == (73.0, 1.0, "1", "1")


def test_without_the_reference_there_is_no_gain(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    folder.regime("adapter", "Adapter")
    folder.run("adapter", "mnli", 1, {"xnli": {"accuracy": XNLI}})
    written = tabulated(folder, configs)
    assert "Gains need the reference regime and another one" in to_markdown(written.document)
    assert written.files == {}


def test_a_model_without_a_published_size_has_distances_only(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders(model="e5-small")
    fill(folder)
    content = json.loads(tabulated(folder, configs).json)
    assert {entry["measure"] for entry in content["correlations"]} == {"syntactic distance from English"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_the_page_compiles(made: ConfiguredTable, tmp_path: Path) -> None:
    (tmp_path / "t.tex").write_text(to_latex(made.document), encoding="utf-8")
    (tmp_path / "page.tex").write_text(standalone(made.document, "t.tex"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
