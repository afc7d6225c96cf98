"""Table 1: sizes found against sizes published, with a mark for each cell."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import CONFIGS

from xlt import languages
from xlt.config.benchmark import Recipe, Table, Task, load, load_all, load_yaml, parse
from xlt.data.sizes import count_all
from xlt.errors import InputError
from xlt.results.render import to_latex, to_markdown
from xlt.results.run_folders import Plan
from xlt.results.score_table import Inputs
from xlt.results.sizes_table import Published, Sizes, SizesTable, SplitSize

TASKS = load_all(Task, CONFIGS / "tasks")
RECIPES = load_all(Recipe, CONFIGS / "recipes")
TABLE = load(Table, CONFIGS / "tables" / "table1.yaml")
PLAN = Plan(profile="pilot", model="m", seeds=[1], regimes={})


@pytest.mark.parametrize(
    ("found", "published", "status", "text"),
    [
        (2490, 2490, "equal", "2,490 ="),
        (600, 2490, "different", "600, not 2,490"),
        (None, 2490, "no file", "no file (2,490)"),
        (None, None, "no file", "no file"),
        (257, None, "no published value", "257 ?"),
        (0, 0, "equal", "0 ="),
    ],
)
def test_the_mark_of_a_cell(found: int | None, published: int | None, status: str, text: str) -> None:
    cell = SplitSize("xnli", "dev", "de", found, published)
    assert (cell.status, cell.text) == (status, text)


def test_one_number_stands_for_every_language() -> None:
    published = Published(source="s", dev=5, test={"de": 7})
    assert [published.size("dev", "sw"), published.size("test", "de"), published.size("test", "sw")] == [5, 7, None]


def sizes_table(folder: Path, official: object, counts: Any) -> SizesTable:
    """The table of some counts, with published sizes of its own."""
    (folder / "recipes").symlink_to(CONFIGS / "recipes")
    (folder / "sizes.yaml").write_text(yaml.safe_dump({"official": official, "world": {}}), encoding="utf-8")
    return SizesTable(Inputs(TABLE, PLAN, folder, TASKS, {}, configs=folder, sizes=counts))


def test_every_cell_is_in_the_page_and_in_the_csv(tmp_path: Path) -> None:
    counts = {
        "xnli": {"dev": {"de": 2, "sw": 1}, "test": {"de": None, "sw": 4}},
        "bucc2018 foreign": {"dev": {"zh": 9}},
    }
    table = sizes_table(tmp_path, {"xnli": {"source": "the owner", "dev": 2, "test": {"de": 3}}}, counts)
    page = to_markdown(table.document)
    assert "| de         |      2 = | no file (3) |" in page
    assert "| sw         | 1, not 2 |         4 ? |" in page
    assert "the owner" in page
    assert "| BUCC, foreign |" in page
    assert r"no file (3)" in to_latex(table.document)
    rows = list(csv.reader(table.csv.splitlines()))
    assert rows[1:] == [
        ["xnli", "dev", "de", "2", "2", "equal"],
        ["xnli", "dev", "sw", "1", "2", "different"],
        ["xnli", "test", "de", "", "3", "no file"],
        ["xnli", "test", "sw", "4", "", "no published value"],
        ["bucc2018 foreign", "dev", "zh", "9", "", "no published value"],
    ]
    assert '"status": "no file"' in table.json


def test_a_set_that_no_task_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sizes.yaml: expected sets of .*xnli.*, got xnil"):
        sizes_table(tmp_path, {"xnil": {"source": "s"}}, {})


def test_counts_of_the_generated_world(mini_data: Path) -> None:
    tasks = {name: TASKS[name] for name in TABLE.tasks}
    languages.register(mini_data / "languages.yaml")
    counts = count_all(mini_data, tasks, {"tydiqa": RECIPES["tydiqa"]}, {name: ["en", "qaa"] for name in tasks})
    assert counts["xnli"] == {"dev": {"en": 9, "qaa": 9}, "test": {"en": 9, "qaa": 9}}
    assert counts["training tydiqa"] == {"train": {"en": 18}}  # whole; development questions are cut from it
    assert counts["tatoeba"] == {"test": {"en": None, "qaa": 9}}
    assert counts["lareqa sentences"]["test"]["qaa"] > counts["lareqa"]["test"]["qaa"] / 3  # type: ignore[operator]
    assert set(counts) >= set(TABLE.tasks)
    with pytest.raises(InputError, match="expected the folder of data files"):
        count_all(mini_data / "nothing", tasks, {}, {})


def test_published_sizes_of_the_world_are_those_of_its_config() -> None:
    own = yaml.safe_load((CONFIGS / "babel.yaml").read_text(encoding="utf-8"))["sizes"]
    world = yaml.safe_load((CONFIGS / "sizes.yaml").read_text(encoding="utf-8"))["world"]
    passages = 3 * own["passages"]  # three questions each; a quarter as many in a development set
    assert world["lareqa"]["test"] == world["xquad"]["test"] == world["mlqa"]["test"] == passages
    assert world["mlqa"]["dev"] == passages // 4
    training = {name.split()[1]: world.pop(name) for name in list(world) if name.startswith("training ")}
    assert {name: entry["train"] for name, entry in training.items()} == {name: own["train"][name] for name in training}
    assert {entry["dev"] for entry in training.values()} == {own["dev"]}
    others = [entry for name, entry in world.items() if name not in ("lareqa", "xquad", "mlqa")]
    assert {entry.get("dev", own["dev"]) for entry in others} == {own["dev"]}
    assert {entry["test"] for entry in others} == {own["test"]}


def test_published_sizes_name_official_languages_only() -> None:
    sizes = parse(Sizes, load_yaml(CONFIGS / "sizes.yaml"), CONFIGS / "sizes.yaml")
    assert {name.split()[1] for name in sizes.official if name.startswith("training ")} <= set(RECIPES)
    for name, published in sizes.official.items():
        if name.startswith("training "):
            continue
        codes = {code for lists in TASKS[name.split()[0]].languages.values() for code in lists}
        for split in (published.dev, published.test):
            assert isinstance(split, int) or set(split) <= codes, name
