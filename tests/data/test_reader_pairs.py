"""Sentence pairs in every format they come in, written out here by hand."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import pytest

from xlt.data.dataset import Located, read, truly_labelled, usable
from xlt.data.language_pairs import Half, join_pairs
from xlt.data.readers import READERS
from xlt.data.readers import pairs as reader
from xlt.data.readers.faults import collected, notes
from xlt.data.records import Pair
from xlt.data.sizes import counted
from xlt.errors import InputError

NLI = ["contradiction", "entailment", "neutral"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_xnli_owner_rows_of_one_language(tmp_path: Path) -> None:
    header = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpromptID\tpairID\tgenre"
    path = write(
        tmp_path / "xnli.dev.tsv",
        f'{header}\r\nar\tneutral\t\tس\tش\t1\t7\tface\r\nen\tentailment\t\tA "b.\tB.\t1\t8\tface\r\n',
    )
    assert reader.xnli_tsv(path, "en", NLI) == [Pair("8", 'A "b.', "B.", "entailment")]
    assert [pair.id for pair in reader.xnli_tsv(path, "ar", NLI)] == ["7"]
    with pytest.raises(InputError, match="expected examples in language de, got none"):
        reader.xnli_tsv(path, "de", NLI)


def test_xnli_errors_name_the_line(tmp_path: Path) -> None:
    header = "language\tgold_label\tsentence1\tsentence2\n"
    path = write(tmp_path / "x.tsv", header + "en\tneutral\ta\tb\nen\tmaybe\ta\tb\n")
    with pytest.raises(InputError, match=r"x\.tsv:3: expected a label of contradiction, .*, got 'maybe'"):
        reader.xnli_tsv(path, "en", NLI)
    write(path, header + "en\tneutral\ta\n")
    with pytest.raises(InputError, match=r"x\.tsv:2: expected 4 columns, got 3"):
        reader.xnli_tsv(path, "en", NLI)
    write(path, "gold\tone\ttwo\nen\ta\tb\n")
    with pytest.raises(InputError, match=r"x\.tsv:1: expected a header"):
        reader.xnli_tsv(path, "en", NLI)


def test_xnli_mt_training_file(tmp_path: Path) -> None:
    path = write(tmp_path / "multinli.train.en.tsv", "premise\thypo\tlabel\nP\tH\tcontradictory\n")
    assert reader.xnli_mt_tsv(path, "en", NLI) == [Pair("0", "P", "H", "contradiction")]


def test_xtreme_pairs_undo_csv_quoting(tmp_path: Path) -> None:
    sentences = ['He said "no"', '"All" of it', "plain, with 'single' marks", '"', "a\u2028b"]
    path = tmp_path / "dev-en.tsv"
    with path.open("w", encoding="utf-8", newline="") as handle:  # as XTREME's utils_preprocess.py writes
        csv.writer(handle, delimiter="\t").writerows((s, s[::-1], "0") for s in sentences)
    read = reader.pair_tsv(path, "en", ["0", "1"])
    assert [(pair.id, pair.text_a, pair.text_b, pair.label) for pair in read] == [
        (str(i), s, s[::-1], "0") for i, s in enumerate(sentences)
    ]


def test_xtreme_pairs_without_labels_and_with_placeholders(tmp_path: Path) -> None:
    path = write(tmp_path / "test-de.tsv", "NS\tb\nc\td\n")
    assert reader.pair_tsv(path, "de") == [Pair("0", "NS", "b", None), Pair("1", "c", "d", None)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\tb\t0\na\tb\n", 2, "expected 3 columns, got 2"),
        ("a\n", 1, "expected 2, 3 or 5 columns, got 1"),
        ("a\tb\t2\n", 1, "'2'"),
    ],
)
def test_xtreme_pair_errors(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        reader.pair_tsv(write(tmp_path / "f.tsv", text), "en", ["0", "1"])
    assert caught.value.line == line


def test_pawsx_placeholder_rows_have_no_true_label(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test_2k.tsv", 'id\tsentence1\tsentence2\tlabel\n4\ta "x"\tb\t1\n5\tNS\tb\t0\n6\ta\tNS\t0\n'
    )
    records = reader.pawsx_tsv(path, "zh", ["0", "1"])
    assert [record.untranslated for record in records] == [False, True, True]
    assert truly_labelled(records) == [Pair("4", 'a "x"', "b", "1")]
    assert counted(records) == {"": 1}  # the owner counts without them


def test_multinli_leaves_out_pairs_without_gold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [("1e", "entailment"), ("2n", "-"), ("3c", "contradiction")]
    text = "".join(
        json.dumps({"pairID": i, "gold_label": g, "sentence1": f"p{i} ", "sentence2": f"h{i}"}) + "\n" for i, g in rows
    )
    with caplog.at_level(logging.WARNING):
        read = reader.nli_jsonl(write(tmp_path / "multinli_1.0_train.jsonl", text), "en", NLI)
    assert [(pair.id, pair.text_a, pair.label) for pair in read] == [
        ("1e", "p1e", "entailment"),
        ("3c", "p3c", "contradiction"),
    ]
    assert "left out 1 pairs" in caplog.text


def test_anli_letters(tmp_path: Path) -> None:
    row = {"uid": "u", "context": "c", "hypothesis": "h"}
    text = "".join(json.dumps({**row, "label": letter}) + "\n" for letter in "enc")
    read = reader.anli_jsonl(write(tmp_path / "dev.jsonl", text), "en", NLI)
    assert [pair.label for pair in read] == ["entailment", "neutral", "contradiction"]
    with pytest.raises(InputError, match=r"dev\.jsonl:1: expected key 'label'"):
        reader.anli_jsonl(write(tmp_path / "dev.jsonl", json.dumps(row)), "en", NLI)


def test_glue_columns_by_name_and_no_quoting(tmp_path: Path) -> None:
    mnli = write(
        tmp_path / "train.tsv",
        'index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\t1\t1n\tx\t"a\tb\tneutral\tneutral\n',
    )
    assert reader.glue_tsv(mnli, "en", NLI) == [Pair("1n", '"a', "b", "neutral")]
    snli = write(  # the second row has five annotators' labels where the header names one
        tmp_path / "snli.tsv",
        "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tneutral\n"
        "1\tc\td\tneutral\tentailment\tentailment\tentailment\tneutral\tentailment\n",
    )
    assert [pair.label for pair in reader.glue_tsv(snli, "en", NLI)] == ["neutral", "entailment"]
    qqp = write(tmp_path / "qqp.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n9\t1\t2\tq\tr\t1\n")
    assert reader.glue_tsv(qqp, "en", ["0", "1"]) == [Pair("9", "q", "r", "1")]


def test_glue_tolerates_one_broken_row_in_a_thousand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = "".join(f"{i}\t1\t2\tq\tr\t0\n" for i in range(999))
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    with caplog.at_level(logging.WARNING):
        assert len(reader.glue_tsv(write(tmp_path / "f.tsv", header + good + "broken\n"), "en", ["0", "1"])) == 999
    assert "left out 1 rows" in caplog.text
    with pytest.raises(InputError, match=r"f\.tsv:1001: expected 6 columns, got 1"):  # two in 1,001 are too many
        reader.glue_tsv(write(tmp_path / "f.tsv", header + good + "broken\nagain\n"), "en", ["0", "1"])


def test_pair_json(tmp_path: Path) -> None:
    value = {"0": {"text_a": "a", "text_b": "b", "label": "0"}, "1": {"text_a": "c", "text_b": "d", "label": 1}}
    path = write(tmp_path / "dev.json", json.dumps(value, indent=1))
    assert reader.pair_json(path, "en", ["0", "1"]) == [Pair("0", "a", "b", "0"), Pair("1", "c", "d", "1")]
    with pytest.raises(InputError, match="expected a label of 0, got '1'") as caught:
        reader.pair_json(path, "en", ["0"])
    assert caught.value.line == 7  # "1": { is the seventh line of the indented text


def test_the_registry_has_the_readers_under_their_names() -> None:
    assert READERS["pair-tsv"] is reader.pair_tsv


def test_xtremes_translate_train_has_five_columns(tmp_path: Path) -> None:
    """Both sentences translated, the label, and both as they were (XTREME's processors read the first three)."""
    text = "Ein Mann.\tEr.\tcontradictory\tA man.\tHe.\nNein.\tJa.\tneutral\tNo.\tYes.\n"
    path = write(tmp_path / "en-de-translated.tsv", text)
    assert reader.pair_tsv(path, "de", NLI) == [
        Pair("0", "Ein Mann.", "Er.", "contradiction"),
        Pair("1", "Nein.", "Ja.", "neutral"),
    ]
    pawsx = write(tmp_path / "en-fr-translated.tsv", "Un chat.\tUn chien.\t0\tA cat.\tA dog.\n")
    assert reader.pair_tsv(pawsx, "fr", ["0", "1"]) == [Pair("0", "Un chat.", "Un chien.", "0")]


def test_the_hubs_numbered_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in (0, 1, 2, -1)]
    path = write(tmp_path / "f.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        InputError, match="got '0'; the hub's NLI sets number entailment, neutral, contradiction from 0"
    ):
        reader.nli_jsonl(path, "en", NLI)
    numbers = {label: label for label in NLI} | {"0": "entailment", "1": "neutral", "2": "contradiction"}
    with caplog.at_level(logging.WARNING):
        pairs = reader.nli_jsonl(path, "en", numbers)
    assert [(pair.id, pair.label) for pair in pairs] == [("0", "entailment"), ("1", "neutral"), ("2", "contradiction")]
    assert "left out 1 pairs without an agreed label" in caplog.text


def test_pairs_with_an_empty_sentence_are_read_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv", "a\tb\t0\n \tb\t1\na\t\t1\n")
    with collected() as tallies:
        records = read(Located("f.tsv", "pair-tsv", (path,)), "en", ["0", "1"])
    assert [pair.id for pair in usable(records)] == ["0"]
    assert counted(records) == {"": 3}  # as their owner counts
    assert notes(tallies) == ["pairs with an empty sentence, left out: 2 (f.tsv line 2, f.tsv line 3)"]
    other = Half([Pair(str(number), "x", "y", label) for number, label in enumerate("011")], path, numbered=True)
    joined = join_pairs(Half(records, path, numbered=True), other)
    assert [pair.id for pair in joined.examples] == ["0"] and list(joined.unpaired) == ["1", "2"]
