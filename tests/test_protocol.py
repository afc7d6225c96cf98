"""docs/protocol.md against the configs: every figure of its tables, and XTREME's language lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.conftest import make_plan
from tests.protocol_differences import cells

from xlt.config.benchmark import Model, Recipe, Task, load_all
from xlt.files import read_json

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
TASKS = load_all(Task, CONFIGS / "tasks")
RECIPES = load_all(Recipe, CONFIGS / "recipes")
MODELS = load_all(Model, CONFIGS / "models")
OFFICIAL = {name: task for name, task in TASKS.items() if not task.separate}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading, by their first cell without backticks."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("`", "") for cell in row] for row in rows[2:]]
    return {row[0]: row[1:] for row in cells}


def number(value: float) -> str:
    """1.0e-4 for 0.0001."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return "0" if value == 0 else f"{mantissa}e{int(exponent)}"


def test_every_recipe_of_the_benchmark_is_described_as_configured() -> None:
    rows = table("Training")
    trained = {task.recipe for task in OFFICIAL.values()}
    trained |= {RECIPES[name].after or name for name in trained}
    assert set(rows) == trained
    for name in trained:
        recipe = RECIPES[name]
        length = str(recipe.max_length) + (f", stride {recipe.doc_stride}" if recipe.doc_stride else "")
        optimiser = [number(recipe.learning_rate["full"]), str(recipe.warmup_steps), number(recipe.weight_decay)]
        expected = [length, str(recipe.batch_size), str(recipe.epochs), *optimiser, recipe.checkpoint]
        assert rows[name][1:8] == expected, name


def test_every_task_is_described_as_configured() -> None:
    rows = table("Evaluation")
    assert set(rows) == set(OFFICIAL)
    for name, task in OFFICIAL.items():
        counts = [
            str(len(task.languages.get(key, []))) if key in task.languages else "–" for key in ("xtreme-r", "xtreme")
        ]  # type: ignore[call-overload]
        assert rows[name][:5] == [task.recipe, *counts, str(task.max_length), ", ".join(task.metrics)], name


def test_every_published_encoder_is_described_as_configured() -> None:
    rows = table("Encoders")
    described = {name: model for name, model in MODELS.items() if model.decoder is None}
    assert set(rows) == set(described)
    for name, model in described.items():
        layer = "last" if model.retrieval_layer is None else str(model.retrieval_layer)
        assert rows[name][:2] == [model.pooling, layer], name


def test_settings_per_model_are_described() -> None:
    large = MODELS["xlmr-large"].recipes
    assert {name: own.learning_rate.get("full") for name, own in large.items() if own.learning_rate} == {
        "mnli": 3e-5,
        "siqa": 3e-5,
        "copa": 3e-5,
        "mewslix": 1e-5,
    }
    assert large["mewslix"].batch_size == 32
    assert {name: own.micro_batch_size for name, own in large.items() if own.micro_batch_size} == {
        "udpos": 2,
        "panx": 2,
        "mewslix": 8,
    }
    assert "3.0e-5 in MultiNLI, Social IQa and COPA" in PAGE


def test_retrieval_layers_are_counted_as_xtreme_counts_them() -> None:
    # evaluate_retrieval.py keeps the last num_layers of hidden_states and then takes specific_layer, counted from 0
    for name, layers, specific in (("mbert", 12, 7), ("xlmr-base", 12, 7), ("xlmr-large", 24, 13)):
        hidden_states = list(range(layers + 1))  # 0: the embeddings
        assert MODELS[name].retrieval_layer == hidden_states[-layers:][specific], name


def test_negatives_are_described_as_configured() -> None:
    row = table("Dual encoders")["negatives of a question or mention"]
    sizes = RECIPES["lareqa"], RECIPES["mewslix"], MODELS["xlmr-large"].recipes["mewslix"]
    three, many, few = (own.micro_batch_size - 1 for own in sizes if own.micro_batch_size)
    assert row[0].endswith(f"{three} in LAReQA, {many} in Mewsli-X ({few} with XLM-R Large)")
    whole = [own.batch_size - 1 for own in sizes if own.batch_size]
    assert row[1].endswith("{}, {} and {}".format(*whole))


def test_every_difference_has_its_figure() -> None:
    rows = table("Where we differ, and by how much")
    measured = {name for *_, figure in rows.values() for name in re.findall(r'^measured: "(.+)"$', figure)}
    assert len(measured) == 3 and not any("not measured" in " ".join(row) for row in rows.values())
    script = [cell.what.replace("`", "") for cell in cells()]
    shown = PAGE.partition("\n### Measured on the generated world\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in shown.splitlines() if line.startswith("|")][2:]
    assert [line[0].strip().replace("`", "") for line in lines] == script  # each row of the script, in its order
    assert all(sum(name in what for what in script) for name in measured)


def test_a_model_s_own_settings_reach_its_runs(mini_configs: Path, mini_data: Path, tmp_path: Path) -> None:
    make_plan(mini_configs, mini_data, tmp_path / "root", Path("xlmr-large"))

    def stage(run: str) -> tuple[float, int]:
        config = read_json(tmp_path / "root/runs" / run / "seed-1/config.json")
        found = config["stages"][-1]
        return found["learning_rate"], found["recipe"]["batch_size"]

    assert stage("full/mnli") == (3e-5, 32)
    assert stage("full/panx") == (2e-5, 32)
    assert stage("full/mewslix") == (1e-5, 32)
    assert stage("adapter/mnli") == (RECIPES["mnli"].learning_rate["adapter"], 32)


# XTREME_TASK2LANGS and XTREME_R_TASK2LANGS of google-research/xtreme, evaluate.py at 838c13b; its list of LAReQA is empty,
# the eleven languages are those of XQuAD-R's files.
XTREME = {
    "pawsx": "de,en,es,fr,ja,ko,zh",
    "xnli": "ar,bg,de,el,en,es,fr,hi,ru,sw,th,tr,ur,vi,zh",
    "panx": "ar,he,vi,id,jv,ms,tl,eu,ml,ta,te,af,nl,en,de,el,bn,hi,mr,ur,fa,fr,it,pt,es,bg,ru,ja,ka,ko,th,sw,yo,my,zh,kk,tr,"
    "et,fi,hu",
    "udpos": "af,ar,bg,de,el,en,es,et,eu,fa,fi,fr,he,hi,hu,id,it,ja,kk,ko,mr,nl,pt,ru,ta,te,th,tl,tr,ur,vi,yo,zh",
    "bucc2018": "de,fr,ru,zh",
    "tatoeba": "ar,he,vi,id,jv,tl,eu,ml,ta,te,af,nl,de,el,bn,hi,mr,ur,fa,fr,it,pt,es,bg,ru,ja,ka,ko,th,sw,zh,kk,tr,et,fi,hu",
    "xquad": "en,es,de,el,ru,tr,ar,vi,th,zh,hi",
    "mlqa": "en,es,de,ar,hi,vi,zh",
    "tydiqa": "en,ar,bn,fi,id,ko,ru,sw,te",
}
XTREME_R = {
    "xnli": XTREME["xnli"],
    "panx": XTREME["panx"] + ",qu,pl,uk,az,lt,pa,gu,ro",
    "udpos": XTREME["udpos"] + ",lt,pl,uk,wo,ro",
    "tatoeba": XTREME["tatoeba"] + ",az,lt,pl,uk,ro",
    "xcopa": "et,ht,id,it,qu,sw,ta,th,tr,vi,zh",
    "lareqa": "ar,de,el,en,es,hi,ru,th,tr,vi,zh",
    "mewslix": "ar,de,en,es,fa,ja,pl,ro,ta,tr,uk",
    "xquad": XTREME["xquad"] + ",ro",
    "mlqa": XTREME["mlqa"],
    "tydiqa": XTREME["tydiqa"],
}


@pytest.mark.parametrize(("benchmark", "lists"), [("xtreme", XTREME), ("xtreme-r", XTREME_R)])
def test_language_lists_are_xtreme_s_own(benchmark: str, lists: dict[str, str]) -> None:
    found: dict[str, Sequence[str]] = {
        name: task.languages[benchmark]  # type: ignore[index]
        for name, task in OFFICIAL.items()
        if benchmark in task.languages
    }
    assert {name: sorted(codes) for name, codes in found.items()} == {
        name: sorted(codes.split(",")) for name, codes in lists.items()
    }


def test_xtreme_r_has_fifty_languages_and_xtreme_forty() -> None:
    for lists, count in ((XTREME_R, 50), (XTREME, 40)):
        assert len({code for codes in lists.values() for code in codes.split(",")}) == count
