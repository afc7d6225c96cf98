"""The task and recipe configs against the official language lists and against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlt import languages
from xlt.config.benchmark import Benchmark, Recipe, Source, Task, load_all
from xlt.data.dataset import expand
from xlt.data.readers import FORMATS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS = load_all(Task, CONFIGS / "tasks")
RECIPES = load_all(Recipe, CONFIGS / "recipes")

# Numbers of languages per task as google-research/xtreme evaluate.py has them at 838c13b; its list for LAReQA is empty,
# eleven is the number of files of XQuAD-R.
XTREME_R = {
    "xnli": 15,
    "xcopa": 11,
    "udpos": 38,
    "panx": 48,
    "xquad": 12,
    "mlqa": 7,
    "tydiqa": 9,
    "lareqa": 11,
    "mewslix": 11,
    "tatoeba": 41,
}
XTREME = {
    "pawsx": 7,
    "xnli": 15,
    "panx": 40,
    "udpos": 33,
    "bucc2018": 4,
    "tatoeba": 36,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 9,
}


def test_the_benchmarks_have_their_tasks_and_languages() -> None:
    benchmarks: tuple[tuple[Benchmark, dict[str, int]], ...] = (("xtreme-r", XTREME_R), ("xtreme", XTREME))
    for benchmark, sizes in benchmarks:
        found = {
            name: len(set(task.languages[benchmark]))
            for name, task in TASKS.items()
            if benchmark in task.languages and not task.separate
        }
        assert found == sizes
        assert all(
            len(set(t.languages[benchmark])) == len(t.languages[benchmark]) for n, t in TASKS.items() if n in sizes
        )


def test_xtreme_r_has_fifty_languages() -> None:
    assert len({code for task in TASKS.values() for code in task.languages.get("xtreme-r", [])}) == 50


@pytest.mark.parametrize(
    ("task", "added"),
    [
        ("panx", {"qu", "pl", "uk", "az", "lt", "pa", "gu", "ro"}),
        ("udpos", {"lt", "pl", "uk", "wo", "ro"}),
        ("tatoeba", {"az", "lt", "pl", "uk", "ro"}),
        ("xquad", {"ro"}),
        ("xnli", set()),
        ("mlqa", set()),
        ("tydiqa", set()),
    ],
)
def test_languages_added_by_xtreme_r(task: str, added: set[str]) -> None:
    lists = TASKS[task].languages
    assert set(lists["xtreme-r"]) - set(lists["xtreme"]) == added


def test_every_language_is_known_and_every_pattern_fills_in() -> None:
    for task in TASKS.values():
        for codes in task.languages.values():
            for code in codes:
                assert languages.language(code).code == code
                for split, sources in task.sources.items():
                    assert all("{" not in expand(s.path, language=code, split=split) for s in sources)


def test_every_format_has_a_reader_and_every_recipe_exists() -> None:
    listed: list[list[Source]] = [sources for task in TASKS.values() for sources in task.sources.values()]
    listed += [sources for recipe in RECIPES.values() for sources in recipe.sources.values()]
    assert {source.format for sources in listed for source in sources} <= FORMATS
    assert {task.recipe for task in TASKS.values()} <= set(RECIPES)
    assert {recipe.after for recipe in RECIPES.values()} == {None, "siqa"}


def test_a_task_and_its_recipe_agree() -> None:
    for task in TASKS.values():
        recipe = RECIPES[task.recipe]
        if task.family == recipe.family:
            assert (task.labels, task.options, task.doc_stride) == (recipe.labels, recipe.options, recipe.doc_stride), (
                task.name
            )
        else:
            assert task.family in ("tatoeba", "bucc")  # nothing is trained for these


def test_every_recipe_has_a_rate_for_each_tuning_and_says_where_its_values_come_from() -> None:
    for recipe in RECIPES.values():
        assert set(recipe.learning_rate) == {"full", "adapter", "lora"}
        assert "XTREME" in recipe.source or recipe.source.startswith("chosen here")
