"""Table 4 from hand-made runs: matrices, means, differences, their order, and figures that are the same every time."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.scripts import call

from xlt.config.benchmark import Table, Task, load
from xlt.languages import XTREME_R
from xlt.results import plots
from xlt.results.render import standalone, to_latex, to_markdown
from xlt.results.run_folders import load_plan, load_regime
from xlt.results.score_table import ConfiguredTable, Inputs
from xlt.results.tables import KINDS
from xlt.results.typology import Measure, by_family, distance, family_breaks, load_facts, pretraining

ROOT = Path(__file__).parents[2]
FACTS = load_facts(ROOT / "configs" / "languages.yaml")
CODES = ["de", "en", "zh"]
BASE = {"en-en": 80.0, "en-de": 70.0, "en-zh": 60.0, "de-en": 72.0, "de-de": 74.0, "de-zh": 50.0}
BASE |= {"zh-en": 58.0, "zh-de": 48.0, "zh-zh": 62.0}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(ROOT / "configs" / "tasks", folder / "tasks")
    shutil.copy(ROOT / "configs" / "languages.yaml", folder)
    (folder / "tables").mkdir()
    (folder / "reported").mkdir()
    table = {"name": "table4", "title": "Pairs", "kind": "pairs", "regimes": ["full", "adapter", "lora"]}
    table |= {"tasks": ["xnli-pairs", "xquad-pairs"], "differences": [["adapter", "full"], ["lora", "full"]]}
    (folder / "tables" / "table4.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    return folder


def fill(folder: Any) -> None:
    """Full and adapter on XNLI with two seeds: adapter gains 1 where both are one language, 4 where they differ."""
    for name in ("full", "adapter", "lora"):
        folder.regime(name, name.capitalize())
    for seed in (1, 2):
        for name in ("full", "adapter"):
            plus = {code: 0.0 if name == "full" else (1.0 if code[:2] == code[3:] else 4.0) for code in BASE}
            scores = {code: value + plus[code] + 2 * (seed - 1) for code, value in BASE.items()}
            folder.run(name, "xnli-pairs", seed, {"xnli-pairs": {"accuracy": scores}})
        folder.run("lora", "xnli-pairs", seed, None, tasks=["xnli-pairs"])


def tabulated(folder: Any, configs: Path) -> ConfiguredTable:
    """The table from the runs of ``folder``, in this process."""
    plan, config = load_plan(folder.root), load(Table, configs / "tables" / "table4.yaml")
    regimes = {name: load_regime(folder.root, plan, name) for name in config.regimes if name in plan.regimes}
    tasks = {name: load(Task, configs / "tasks" / f"{name}.yaml") for name in config.tasks}
    return KINDS["pairs"](Inputs(config, plan, folder.root, tasks, regimes, [], [], configs))


def matrix(data: bytes) -> tuple[list[str], np.ndarray]:
    rows = list(csv.reader(io.StringIO(data.decode())))
    assert rows[0][1:] == [row[0] for row in rows[1:]]
    return rows[0][1:], np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows[1:]])


_MADE: list[ConfiguredTable] = []
"""The table, drawn once for all tests that only look at it."""


@pytest.fixture
def made(folders: Callable[..., Any], configs: Path) -> ConfiguredTable:
    if not _MADE:
        folder = folders()
        fill(folder)
        _MADE.append(tabulated(folder, configs))
    return _MADE[0]


def test_matrix_of_a_regime(made: ConfiguredTable) -> None:
    order, values = matrix(made.files["xnli-pairs.full.csv"])
    assert order == ["en", "de", "zh"]  # English's family first, nearest language first in it
    # rows: sentence 1; columns: sentence 2; the mean of seeds 1 and 2 is one above seed 1
    assert values.tolist() == [[81.0, 71.0, 61.0], [73.0, 75.0, 51.0], [59.0, 49.0, 63.0]]


def test_matrix_of_a_difference(made: ConfiguredTable) -> None:
    order, values = matrix(made.files["xnli-pairs.adapter-minus-full.csv"])
    assert (order, values.tolist()) == (["en", "de", "zh"], [[1.0, 4.0, 4.0], [4.0, 1.0, 4.0], [4.0, 4.0, 1.0]])


def test_files(made: ConfiguredTable) -> None:
    stems = {
        "xnli-pairs.full",
        "xnli-pairs.adapter",
        "xnli-pairs.adapter-minus-full",
    }  # LoRA did not run, XQuAD neither
    assert set(made.files) == {f"{stem}{suffix}" for stem in stems for suffix in (".csv", ".svg", ".pdf")}


def cells(text: str, label: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_summary(made: ConfiguredTable) -> None:
    text = to_markdown(made.document)
    # seed 1 of full: all 574 / 9 = 63.8; same 216 / 3 = 72; mixed 358 / 6 = 59.7; English first (70 + 60) / 2 = 65; second
    # (72 + 58) / 2 = 65. Seed 2 is two higher: mean one higher, standard deviation sqrt 2.
    full = ["Full", *(f"<u>{value} ± 1.4</u>" for value in ("64.8", "73.0", "60.7", "66.0", "66.0")), "", "", ""]
    assert cells(text, "Full") == full
    # all (3 * 1 + 6 * 4) / 9 = 3 higher
    adapter = ["Adapter", *(f"**{value} ± 1.4**" for value in ("67.8", "74.0", "64.7", "70.0", "70.0"))]
    assert cells(text, "Adapter") == [*adapter, "+1.0 ± 0.0", "+4.0 ± 0.0", "+3.0 ± 0.0"]
    assert cells(text, "Lora") == ["Lora", *["not run"] * 5, "", "", ""]
    assert "Examples in each pair: 100; 9 of 9 pairs scored." in text
    assert "English (en, IE: Germanic), German (de, IE: Germanic), Chinese (zh, Sino-Tibetan)" in text


def test_json_and_csv_say_the_same(made: ConfiguredTable) -> None:
    content = json.loads(made.json)
    rows = {(row["regime"], row["task"]): row for row in content["rows"]}
    assert rows["adapter", "xnli-pairs"]["gains"]["mixed"]["mean"] == pytest.approx(4.0)
    assert rows["full", "xnli-pairs"]["matrix"][0] == [81.0, 71.0, 61.0]
    assert rows["lora", "xnli-pairs"]["matrix"] is None
    records = list(csv.DictReader(io.StringIO(made.csv)))
    pair = {
        r["seed"]: r["value"]
        for r in records
        if (r["regime"], r["language"], r["metric"]) == ("full", "en-de", "score")
    }
    assert (float(pair["1"]), float(pair["2"]), float(pair["mean"])) == (70.0, 72.0, 71.0)


def test_pairs_that_one_regime_lacks_are_left_out_of_all_means(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    for name in ("full", "adapter"):
        folder.regime(name, name.capitalize())
    few = {code: value for code, value in BASE.items() if code != "zh-de"}
    folder.run("full", "xnli-pairs", 1, {"xnli-pairs": {"accuracy": BASE}})
    folder.run("adapter", "xnli-pairs", 1, {"xnli-pairs": {"accuracy": few}}, no_data={"xnli-pairs": ["zh-de"]})
    written = tabulated(folder, configs)
    text = to_markdown(written.document)
    # mixed without zh-de (48): 310 / 5 = 62 for both
    assert cells(text, "Full")[3] == cells(text, "Adapter")[3] == "62.0"
    assert "Pairs without a score: zh-de." in text
    _, values = matrix(written.files["xnli-pairs.adapter-minus-full.csv"])
    assert np.isnan(values[2, 1])
    assert np.nansum(np.abs(values)) == 0


def test_the_script_writes_the_same_bytes_and_removes_older_figures(
    folders: Callable[..., Any], configs: Path, made: ConfiguredTable
) -> None:
    folder = folders()
    fill(folder)
    older = folder.root / "tables" / "table4" / "xnli-pairs.older.svg"
    older.parent.mkdir(parents=True)
    older.write_text("of another config", encoding="utf-8")
    done = call("table", "--root", folder.root, "--table", "table4", "--configs", configs)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in older.parent.iterdir()} == made.files


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_the_page_compiles(made: ConfiguredTable, tmp_path: Path) -> None:
    (tmp_path / "t.tex").write_text(to_latex(made.document), encoding="utf-8")
    (tmp_path / "page.tex").write_text(standalone(made.document, "t.tex"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout


def test_scales() -> None:
    one, other = np.array([[1.0, np.nan]]), np.array([[-4.0, 3.0]])
    assert plots.sequential([one, other]) == plots.Scale(-4.0, 3.0)
    assert plots.diverging([one, other]) == plots.Scale(-4.0, 4.0, diverging=True)
    assert plots.diverging([np.zeros((2, 2))]) == plots.Scale(-1.0, 1.0, diverging=True)
    assert plots.sequential([]) == plots.Scale(0.0, 100.0)


def test_languages_are_ordered_by_family_and_distance() -> None:
    measure = Measure("d", "s", {"de": 0.2, "nl": 0.1, "fi": 0.4, "et": 0.15, "en": 0.0})
    # Germanic 0, Uralic 0.15 (Estonian), then without a distance: Basque before Han's Sino-Tibetan by name
    order = by_family(["zh", "fi", "de", "eu", "en", "et", "nl"], measure)
    assert order == ["en", "nl", "de", "et", "fi", "eu", "zh"]
    assert family_breaks(order) == [3, 5, 6]


def test_facts_of_languages() -> None:
    measure = distance(FACTS, ["en", "de"])
    assert measure.values == {"en": 0.0, "de": 0.097}
    size = pretraining(FACTS, "xlmr-base", ["sw", "wo"])
    assert size is not None
    assert size.values == {"sw": 1.6, "wo": 0.0}
    assert pretraining(FACTS, "babel", ["sw"]) is None
    assert set(XTREME_R) <= set(FACTS.distance.values)
    assert set(FACTS.distance.observed) == set(FACTS.distance.values)
