"""The files of the embedded default: layout, formats, balance, offsets, no leaks."""

from __future__ import annotations

import collections
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import data
import pytest
import yaml
from tests.conftest import mini_world

from xlt.babel import BabelConfig, write_world
from xlt.babel.context import Babel
from xlt.babel.grammar import Clause, Phrase
from xlt.errors import InputError
from xlt.layout import WORLD_STAMP

SOURCES = Path(__file__).resolve().parents[2] / "src"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def paragraphs(path: Path) -> list[dict[str, Any]]:
    return [p for article in json.loads(path.read_text(encoding="utf-8"))["data"] for p in article["paragraphs"]]


def test_same_config_writes_the_same_bytes(world: Path, config: BabelConfig, tmp_path: Path) -> None:
    # another process with another hash seed: an order that hangs on sets or hashes would show
    (tmp_path / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    code = "import json, sys; from pathlib import Path; from xlt.babel import write_world; folder = Path(sys.argv[1]); "
    code += "write_world(folder / 'again', json.loads((folder / 'config.json').read_text()))"
    environment = {**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": str(SOURCES)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    names = json.loads((world / WORLD_STAMP).read_text())["files"]
    assert len(names) > 150
    for name in [*names, WORLD_STAMP]:
        assert (world / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_command_line_writes_it(tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(mini_world()), encoding="utf-8")
    made = tmp_path / "data"
    monkeypatch.setattr(
        sys, "argv", ["data.py", "generate", "--data", str(made), "--config", str(tmp_path / "small.yaml")]
    )
    assert data.main() == 0
    written = [path for path in made.rglob("*") if path.is_file()]
    assert made / WORLD_STAMP in written
    assert capsys.readouterr().out.startswith(f"{made}: {len(written)} files, ")


def test_translated_training_sets_say_the_same_in_another_language(world: Path, config: BabelConfig) -> None:
    foreign = config.foreign("pawsx")
    english, size = table(world / "x-final" / "en" / "train.tsv"), Babel(config).size("pawsx", "train") // len(foreign)
    for code in foreign:
        own = table(world / "x-final" / code / "translated_train.tsv")
        assert [(row["id"], row["label"]) for row in own] == [(row["id"], row["label"]) for row in english[:size]]
        assert [row["sentence1"] for row in own] != [row["sentence1"] for row in english[:size]]
    labels = [row["gold_label"] for row in rows(world / "multinli_1.0" / "multinli_1.0_train.jsonl")]
    for code in config.foreign("xnli"):
        own = table(world / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{code}.tsv")
        assert len(own) == len(labels) // len(config.foreign("xnli"))
        assert [row["label"] for row in own] == labels[: len(own)]


def test_a_folder_with_something_else_is_left_alone(config: BabelConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="choose another"):
        write_world(tmp_path, config)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_world_too_small_for_its_sizes_says_so(config: BabelConfig) -> None:
    babel = Babel(config)
    with pytest.raises(InputError, match="ask for fewer"):
        babel.fresh("task", 2, lambda: Clause("fall.v", Phrase("dog")), lambda clause: (clause,))


def test_every_file_of_the_layout_is_there(world: Path, config: BabelConfig) -> None:
    expected = [
        "languages.yaml",
        "robust/counterfitted_neighbors.json",
    ]
    expected += [f"XNLI-1.0/xnli.{split}.tsv" for split in ("dev", "test")]
    expected += [f"multinli_1.0/multinli_1.0_{split}.jsonl" for split in ("train", "dev_matched")]
    expected += [f"snli_1.0/snli_1.0_{split}.jsonl" for split in ("train", "dev")]
    expected += [f"anli_v1.0/R{n}/{split}.jsonl" for n in (1, 2, 3) for split in ("train", "dev", "test")]
    expected += [f"glue/QQP/{split}.tsv" for split in ("train", "dev")] + ["x-final/en/train.tsv"]
    expected += [f"copa/{split}.jsonl" for split in ("train", "val", "test")]
    expected += [f"socialiqa/socialIQa_v1.4_{split}.jsonl" for split in ("trn", "dev")]
    expected += [f"hellaswag/hellaswag_{split}.jsonl" for split in ("train", "val")]
    expected += [f"cosmosqa/{split}.csv" for split in ("train", "valid")]
    expected += [f"commonsenseqa/{split}_rand_split.jsonl" for split in ("train", "dev")]
    expected += [f"squad/{split}-v{version}.json" for split in ("train", "dev") for version in ("1.1", "2.0")]
    expected += ["tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json", "mewsli_x/candidate_set_entities.jsonl"]
    expected += [f"mewsli_x/wikipedia_pairs-{split}.jsonl" for split in ("train", "dev")]
    expected += [f"mewsli_x/wikinews_mentions-{split}.jsonl" for split in ("dev", "test")]
    for code, language in config.languages.items():
        name = f"ud/UD_{language.name}-Babel/{code}_babel-ud"
        expected += [f"raw/{code}.txt", f"{name}-dev.conllu", f"{name}-test.conllu", f"wikiann/{code}/test"]
        expected += [f"xquad/xquad.{code}.json", f"lareqa/xquad-r/{code}.json"]
        if code != "en":
            expected += [f"lexicon/en-{code}.tsv", f"xcopa/data/{code}/test.{code}.jsonl"]
            expected += [f"tatoeba/v1/tatoeba.{code}-eng.{end}" for end in (code, "eng")]
    expected += [f"x-final/{code}/test_2k.tsv" for code in config.of_task("pawsx")]
    expected += [f"mlqa/MLQA_V1/test/test-context-{code}-question-{code}.json" for code in config.of_task("mlqa")]
    expected += [f"tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{code}.dev.json" for code in config.of_task("tydiqa")]
    for code in config.of_task("bucc2018"):
        expected += [f"bucc2018/{code}-en.{split}.{end}" for split in ("dev", "test") for end in (code, "en", "gold")]
    assert [name for name in expected if not (world / name).is_file()] == []
    assert len(list(world.glob("mlqa/MLQA_V1/test/test-context-en-question-qa*.json"))) >= 2


def test_labels_are_balanced(world: Path) -> None:
    labels = collections.Counter(row["gold_label"] for row in rows(world / "multinli_1.0/multinli_1.0_train.jsonl"))
    assert labels == {"entailment": 4, "neutral": 4, "contradiction": 4}
    assert collections.Counter(row["label"] for row in table(world / "x-final/en/test_2k.tsv")) == {"0": 6, "1": 6}
    assert collections.Counter(row["label"] for row in rows(world / "copa/train.jsonl")) == {0: 6, 1: 6}
    test = [row for row in table(world / "XNLI-1.0/xnli.test.tsv") if row["language"] == "qaa"]
    assert set(collections.Counter(row["gold_label"] for row in test).values()) == {4}


@pytest.mark.parametrize("folder", ["squad", "xquad", "mlqa", "tydiqa", "lareqa"])
def test_answers_stand_where_their_offsets_say(world: Path, folder: str) -> None:
    checked = 0
    for path in sorted((world / folder).rglob("*.json")):
        for paragraph in paragraphs(path):
            for question in paragraph["qas"]:
                for answer in question["answers"]:
                    start, text = answer["answer_start"], answer["text"]
                    assert text and paragraph["context"][start : start + len(text)] == text, (path, question)
                    checked += 1
    assert checked >= 12


def test_candidate_sentences_are_their_breaks(world: Path) -> None:
    for path in sorted((world / "lareqa").rglob("*.json")):
        for paragraph in paragraphs(path):
            cut = [paragraph["context"][start:end] for start, end in paragraph["sentence_breaks"]]
            assert cut == paragraph["sentences"] and len(cut) == 3
            assert " ".join(cut) == paragraph["context"]


def test_mentions_stand_where_their_spans_say(world: Path) -> None:
    known = {row["entity_id"] for row in rows(world / "mewsli_x/candidate_set_entities.jsonl")}
    for row in rows(world / "mewsli_x/wikinews_mentions-test.jsonl"):
        for mention in row["mentions"]:
            span = mention["mention_span"]
            assert row["context"]["text"][span["start"] : span["end"]] == span["text"] != ""
            assert mention["entity_id"] in known


def sentences_of(path: Path) -> set[str]:
    """Sentences of a file in which one side of a pair, a passage sentence or a tagged sentence is compared as a whole."""
    return {
        row["sentence1"]
        for row in (table(path) if path.suffix == ".tsv" else rows(path))
        if row.get("language", "en") == "en"
    }


def test_no_test_sentence_was_trained_on(world: Path) -> None:
    mnli = sentences_of(world / "multinli_1.0/multinli_1.0_train.jsonl")
    for split in ("dev", "test"):
        assert mnli.isdisjoint(sentences_of(world / f"XNLI-1.0/xnli.{split}.tsv"))
    assert sentences_of(world / "x-final/en/train.tsv").isdisjoint(sentences_of(world / "x-final/en/test_2k.tsv"))
    train = {p["context"] for p in paragraphs(world / "squad/train-v1.1.json")}
    for name in ("squad/dev-v1.1.json", "xquad/xquad.en.json", "mlqa/MLQA_V1/test/test-context-en-question-en.json"):
        assert train.isdisjoint({p["context"] for p in paragraphs(world / name)})
    for suffix in ("ud/UD_English-Babel/en_babel-ud-{}.conllu",):
        text = {
            s: set(re.findall("^# text = (.*)$", (world / suffix.format(s)).read_text(), re.M))
            for s in ("train", "test")
        }
        assert text["train"] and text["train"].isdisjoint(text["test"])


def test_languages_are_aligned(world: Path, config: BabelConfig) -> None:
    english = [q["id"] for p in paragraphs(world / "xquad/xquad.en.json") for q in p["qas"]]
    gold = [row["label"] for row in rows(world / "copa/test.jsonl")]
    for code in config.languages:
        assert [q["id"] for p in paragraphs(world / f"xquad/xquad.{code}.json") for q in p["qas"]] == english
        if code != "en":
            assert [row["label"] for row in rows(world / f"xcopa/data/{code}/test.{code}.jsonl")] == gold
            sides = [(world / f"tatoeba/v1/tatoeba.{code}-eng.{end}").read_text().splitlines() for end in (code, "eng")]
            assert len(sides[0]) == len(sides[1]) == 12


def test_mining_gold_names_lines_of_both_sides(world: Path, config: BabelConfig) -> None:
    for code in config.of_task("bucc2018"):
        sides = [
            dict(line.split("\t") for line in (world / f"bucc2018/{code}-en.test.{end}").read_text().splitlines())
            for end in (code, "en")
        ]
        gold = [line.split("\t") for line in (world / f"bucc2018/{code}-en.test.gold").read_text().splitlines()]
        # 12 sentences a side, two in five shared: 2 * 12 // 5 = 4
        assert len(sides[0]) == len(sides[1]) == 12 and len(gold) == 4
        assert all(left in sides[0] and right in sides[1] for left, right in gold)


def test_treebanks_have_multiword_tokens(world: Path) -> None:
    lines = [
        line
        for path in sorted(world.glob("ud/*/*.conllu"))
        for line in path.read_text().splitlines()
        if line and line[0] != "#"
    ]
    assert all(len(line.split("\t")) == 10 for line in lines)
    assert any("-" in line.split("\t")[0] for line in lines)
    assert any("." in line.split("\t")[0] for line in lines)


def test_pair_marks_match_words(corpus: Path) -> None:
    marks = set()
    for line in (corpus / "raw/pairs.tsv").read_text().splitlines():
        _, _, _, second, mark = line.split("\t")
        assert len(second.split()) == len(mark)
        marks |= set(mark)
    assert marks == set("01234")
