"""Published numbers: the schema refuses what cannot be trusted, and the files of the project say what was printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from xlt import languages
from xlt.config.benchmark import Model, Task, load_all
from xlt.errors import InputError
from xlt.results.reported import Reported, load_reported, matches

CONFIGS = Path(__file__).parents[2] / "configs"
WITHOUT_CONFIG = {
    *("distilmbert", "infoxlm", "mdeberta-v3-base", "mmbert-base", "mmbert-small", "rembert", "xlmr-xl", "xlmv-base"),
    *("eurobert-210m", "eurobert-610m", "eurobert-2.1b", "mgte-mlm-base", "mgte-mlm-2048", "mgte-mlm-8192"),
}
"""Encoders with published numbers that may be without a config: their numbers wait for one. No other name is known."""

PROTOCOL = {"trained_on": ["mnli"], "epochs": {"mnli": 5}, "checkpoint": "best"}


def paper(**row: Any) -> dict[str, Any]:
    base = {"model": "mbert", "regime": "full", "method": "mBERT", "task": "xnli", "metric": "accuracy"}
    return {
        "paper": "some2020",
        "citation": "Some 2020",
        "url": ["https://example.org"],
        "rank": 1,
        "protocol": dict(PROTOCOL),
        "tables": [
            {
                "table": "Table 1",
                "source": "the paper",
                "confidence": "seen",
                "scale": "percent",
                "rows": [base | (row or {"values": {"en": 80.0}})],
            }
        ],
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{content['paper']}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


def test_entries_are_flat(tmp_path: Path) -> None:
    content = paper(
        values={"en": 80.0, "de": None},
        std={"en": 0.5},
        seeds=4,
        averages=[{"value": 70.0, "std": 1.0, "over": ["en", "de"]}, {"value": 60.0, "over": "without-en"}],
    )
    entries = load_reported(write(tmp_path / "r", content))
    assert [(e.language, e.value, e.std) for e in entries] == [
        ("en", 80.0, 0.5),
        ("de", None, None),
        ("avg", 70.0, 1.0),
        ("avg", 60.0, None),
    ]
    assert entries[0].seeds == 4
    assert entries[2].averages_over(["en", "de", "fr"]) == frozenset({"en", "de"})
    assert entries[3].averages_over(["en", "de", "fr"]) == frozenset({"de", "fr"})


@pytest.mark.parametrize(("over", "expected"), [("with-en", {"en", "de"}), ("as printed", None)])
def test_languages_of_an_average(tmp_path: Path, over: str, expected: set[str] | None) -> None:
    entry = load_reported(write(tmp_path / "r", paper(averages=[{"value": 1.0, "over": over}])))[0]
    assert entry.averages_over(["en", "de"]) == expected


def drop(content: dict[str, Any], key: str) -> dict[str, Any]:
    del content["tables"][0][key]
    return content


def change(content: dict[str, Any], **values: Any) -> dict[str, Any]:
    content["tables"][0].update(values)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (drop(paper(), "source"), "source"),
        (change(paper(), source=""), "source"),
        (drop(paper(), "scale"), "scale"),
        (change(paper(), scale="fraction"), "scale"),
        (drop(paper(), "confidence"), "confidence"),
        (change(paper(), confidence="not found"), "a value needs the place where it was seen"),
        (change(paper(), surprise=1), "unknown key tables.0.surprise"),
        (paper(values={"en": 101.0}), "expected percentages, got 101.0"),
        (paper(values={"en": "eighty"}), "values.en"),
        (paper(values={"en": None}, std={"en": 1.0}), "std of given values only"),
        (paper(values={}), "expected values or averages"),
        (paper(values={"en": 1.0}, metric="bleu"), "metric"),
        (paper(values={"en": 1.0}, task="mewslix", metric="map@20"), "expected dual_encoder for mewslix"),
        (paper(averages=[{"value": 1.0}]), "over"),
        (paper(averages=[{"value": 1.0, "over": "some"}]), "over"),
        ({**paper(), "url": []}, "expected url"),
        (paper(values={"en": 1.0}, spread={"en": 1.0}), "unknown key tables.0.rows.0.spread"),
        (paper(task="udpos", values={"en": 90.0}), "XTREME prints F1 under that name"),
    ],
)
def test_bad_entries_are_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_reported(write(tmp_path / "r", content))
    assert "some2020.yaml" in str(caught.value)


def test_paper_is_the_name_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "r", paper())
    (tmp_path / "r" / "some2020.yaml").rename(tmp_path / "r" / "other.yaml")
    with pytest.raises(InputError, match=r"expected other \(the file's name\), got some2020"):
        load_reported(tmp_path / "r")


def test_best_entry_first(tmp_path: Path) -> None:
    for name, rank, value in (("a2020", 3, 1.0), ("b2020", 2, 2.0), ("c2020", 1, None)):
        write(tmp_path / "r", paper(values={"en": value}) | {"paper": name, "rank": rank})
    entries = load_reported(tmp_path / "r")
    found = matches(entries, "mbert", "full", "xnli", "en", "accuracy")
    assert [entry.paper for entry in found] == ["b2020", "a2020", "c2020"]
    assert matches(entries, "mbert", "lora", "xnli", "en", "accuracy") == []


@pytest.fixture(scope="module")
def committed() -> list[Reported]:
    return load_reported(CONFIGS / "reported")


def test_committed_files_name_known_things(committed: list[Reported]) -> None:
    tasks = load_all(Task, CONFIGS / "tasks")
    models = {path.stem for path in (CONFIGS / "models").glob("*.yaml")}
    assert {entry.model for entry in committed} <= models | WITHOUT_CONFIG
    assert {entry.task for entry in committed} <= {*tasks, None}  # word pairs belong to no task
    published = [entry for entry in committed if entry.world is None]  # the generated world has languages of its own
    codes = {entry.language for entry in published} | {
        c for e in published for c in e.average_over or () if len(c) == 2
    }
    assert codes <= {*languages.XTREME_R, "avg"}
    comparable = [entry for entry in committed if entry.regime is not None and entry.task is not None]
    assert all(entry.metric in tasks[str(entry.task)].metrics for entry in comparable)


def test_no_number_stands_twice(committed: list[Reported]) -> None:
    places = [
        (e.table, e.method, e.model, e.regime, e.task, e.language, e.metric, e.paper, e.average_over) for e in committed
    ]
    assert [place for place in set(places) if places.count(place) > 1] == []


def test_gaps_are_named(committed: list[Reported]) -> None:
    gaps = [entry for entry in committed if entry.value is None]
    assert ("ruder2021_xtreme_r", "xnli") in {(entry.paper, entry.task) for entry in gaps}
    assert {"full-adv", "full-rs-rp", "full-rs-da"} <= {
        entry.regime for entry in gaps if entry.paper == "huang2021_robust_training"
    }
    assert all(entry.source for entry in gaps)


# figures as printed in the sources named in the files
@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (("mbert", "full", "xquad", "sw", "f1"), None),
        (("mbert", "full", "xquad", "th", "f1"), 42.7),
        (("xlmr-large", "full", "udpos", "avg", "f1"), 73.8),
        (("xlmr-base", "full", "xnli", "sw", "accuracy"), 66.5),
        (("xlmr-base", "lora", "mlqa", "en", "f1"), 80.04),
        (("xlmr-base", "full", "pawsx", "fr", "accuracy"), 88.0),  # EuroBERT's table
        (("xlmr-base", "full", "udpos", "wo", "accuracy"), 26.12),  # xpos
        (("xlmr-base", "full", "mewslix", "avg", "map@20"), 42.09),  # mGTE's table
        (("minilm", "full", "tydiqa", "avg", "f1"), 63.0),  # mmBERT's table
        (("mmbert-base", "full", "xcopa", "avg", "accuracy"), 67.5),
        (("mdeberta-v3-base", "full", "xnli", "sw", "accuracy"), 73.9),  # its owner's page
        (("mdeberta-v3-base", "full", "pawsx", "de", "accuracy"), 90.2),  # EuroBERT's table
        (("xlmv-base", "full", "panx", "qu", "f1"), 70.0),
        (("rembert", "full", "mlqa", "avg", "exact_match"), 55.0),
        (("mbert", "full", "udpos", "avg", "accuracy"), 53.03),  # before realignment
        (("e5-small-plain", "untuned", "tatoeba", "zh", "accuracy_into_english"), 92.4),
        (("e5-small-plain", "untuned", "tatoeba", "sw", "accuracy_into_english"), 75.8974),
    ],
)
def test_committed_figures(
    committed: list[Reported], cell: tuple[str, str, str, str, str], value: float | None
) -> None:
    found = matches(committed, *cell)
    assert (found[0].value if found else None) == value


def test_e5_on_tatoeba_has_a_value_in_each_of_the_41_languages(committed: list[Reported]) -> None:
    found = {e.language: e.value for e in committed if (e.model, e.task) == ("e5-small-plain", "tatoeba")}
    average = found.pop("avg")
    assert len(found) == 41
    assert {code: found[code] for code in ("fi", "ja", "de")} == {"fi": 77.1, "ja": 87.5, "de": 98.0}
    values = [value for value in found.values() if value is not None]
    assert average == round(sum(values) / 41, 2)


def test_e5_with_its_prefix_is_not_compared_with_values_measured_without(committed: list[Reported]) -> None:
    own = [e for e in committed if (e.model, e.task) == ("e5-small", "tatoeba")]
    assert len(own) == 41
    assert all(e.facts.prefix == "" for e in own)
    models = load_all(Model, CONFIGS / "models")
    assert (models["e5-small"].retrieval_prefix, models["e5-small-plain"].retrieval_prefix) == ("query: ", "")
    same = {"name", "title", "retrieval_prefix"}
    assert models["e5-small"].model_dump(exclude=same) == models["e5-small-plain"].model_dump(exclude=same)


def test_xtreme_average_of_xquad_equals_the_mean_of_its_languages(committed: list[Reported]) -> None:
    # the README's average is over twelve languages; its eleven XTREME ones have the mean XTREME reports, 64.5 F1
    own = [e for e in committed if (e.paper, e.model, e.task, e.metric) == ("hu2020_xtreme", "mbert", "xquad", "f1")]
    values = {entry.language: entry.value for entry in own if entry.language != "avg"}
    eleven = [value for code, value in values.items() if code != "ro" and value is not None]
    averages = {entry.averages_over([]): entry.value for entry in own if entry.language == "avg"}
    assert averages[frozenset(values)] == 65.2
    assert averages[frozenset(values) - {"ro"}] == 64.5 == round(sum(eleven) / len(eleven), 1)


def test_chinese_by_another_scorer_is_marked(committed: list[Reported]) -> None:
    (*_, entry) = matches(committed, "xlmr-base", "full", "xquad", "zh", "f1")
    assert entry.facts.scorer == "another"
