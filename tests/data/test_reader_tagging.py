"""Tagged sentences: two columns, WikiANN, CoNLL-U with multi-word tokens and empty nodes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from xlt.data.readers import tagging as reader
from xlt.data.records import Tagged
from xlt.errors import InputError

NER = ["B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def node(number: str, form: str, tag: str = "_", head: str = "_") -> str:
    return "\t".join([number, form, "_", tag, "_", "_", head, "_", "_", "_"])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_two_columns(tmp_path: Path, end: str) -> None:
    text = end.join(["a\tO", "b\tB-PER", "", "", "c\u200cd\tI-PER", "", ""])
    assert reader.tags_tsv(write(tmp_path / "f", text), "en", NER) == [
        Tagged("0", ("a", "b"), ("O", "B-PER")),
        Tagged("1", ("c\u200cd",), ("I-PER",)),
    ]


def test_test_files_have_words_only(tmp_path: Path) -> None:
    assert reader.tags_tsv(write(tmp_path / "f", "a\nb\n\nc\n"), "en", NER) == [
        Tagged("0", ("a", "b"), None),
        Tagged("1", ("c",), None),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\tO\n\nb\n", 3, "expected a word and its tag, got 'b'"),
        ("# sentence 1\na\tO\n", 1, "expected a word and its tag, got '# sentence 1'"),
        ("a\tO\tO\n", 1, r"expected a word and its tag, got 'a\\tO\\tO'"),
        ("a\tO\n\nb\tB-DATE\n", 3, "expected a label of .*got 'B-DATE'"),
    ],
)
def test_two_column_errors(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        reader.tags_tsv(write(tmp_path / "f", text), "en", NER)
    assert caught.value.line == line


def test_masakhane_spaces_and_its_dates(tmp_path: Path) -> None:
    path = write(tmp_path / "test.txt", "Shujaa O\nWa B-PER\n\njana B-DATE\n")
    with pytest.raises(InputError, match="'B-DATE'"):
        reader.tags_spaced(path, "sw", NER)
    first, _ = reader.tags_spaced(path, "sw", [*NER, "B-DATE", "I-DATE"])
    assert first == Tagged("0", ("Shujaa", "Wa"), ("O", "B-PER"))


def test_wikiann_word_follows_the_first_colon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "dev", "en::\tO\nen:http://x\tB-ORG\nen:\tO\n\nen:b\tI-LOC\n")
    with caplog.at_level(logging.WARNING):
        assert reader.wikiann(path, "en", NER) == [
            Tagged("0", (":", "http://x"), ("O", "B-ORG")),
            Tagged("1", ("b",), ("I-LOC",)),
        ]
    assert "left out 1 lines without a word" in caplog.text
    with pytest.raises(InputError, match='expected "de:word<TAB>tag"') as caught:
        reader.wikiann(path, "de", NER)
    assert caught.value.line == 1


def test_wikiann_with_the_name_of_a_wiki_and_without_a_language(tmp_path: Path) -> None:
    path = write(tmp_path / "test", "zh-yue:\u9999\u6e2f\tB-LOC\n")
    for language in ("yue", "zh-yue"):
        assert reader.wikiann(path, language, NER) == [Tagged("0", ("\u9999\u6e2f",), ("B-LOC",))]
    with pytest.raises(InputError, match='expected "zh:word<TAB>tag"'):
        reader.wikiann(path, "zh", NER)
    with pytest.raises(InputError, match="words without a language in front are read by the format tags-tsv"):
        reader.wikiann(write(path, "Berlin\tB-LOC\n"), "de", NER)


@pytest.mark.parametrize("columns", ["{} {}", "{} NNP {}", "{} NNP B-NP {}", "{} lemma NNP B-NP {}"])
def test_conll_columns(tmp_path: Path, columns: str) -> None:
    """CoNLL 2002 has three columns, 2003 four, its German part five; each document begins with -DOCSTART-."""
    rows = ["-DOCSTART- -X- -X- O", "", columns.format("EU", "B-ORG"), columns.format("said", "O"), ""]
    path = write(
        tmp_path / "eng.testa", "\n".join([*rows, "-DOCSTART- -X- O O", "", columns.format("Peter", "I-PER"), ""])
    )
    assert reader.tags_spaced(path, "en", NER) == [
        Tagged("0", ("EU", "said"), ("B-ORG", "O")),
        Tagged("1", ("Peter",), ("I-PER",)),
    ]
    path.write_text(path.read_text() + "\nNew York B-LOC x y z\n")
    with pytest.raises(InputError, match="got 'New York B-LOC x y z'"):
        reader.tags_spaced(path, "en", NER)


def test_labels_of_another_set_are_mapped(tmp_path: Path) -> None:
    path = write(tmp_path / "test.txt", "Shujaa O\njana B-DATE\nleo I-DATE\n")
    mapped = {label: label for label in NER} | {"B-DATE": "O"}
    with pytest.raises(InputError, match="got 'I-DATE'; label_map of a task") as caught:
        reader.tags_spaced(path, "sw", mapped)
    assert caught.value.line == 3
    (record,) = reader.tags_spaced(path, "sw", mapped | {"I-DATE": "O"})
    assert record.tags == ("O", "O", "O")


# "im" = in + dem: "in" hangs on Haus (number 4), "dem" too: equally deep, so ADP before DET by precedence.
# The empty node 5.1 and the comment count for nothing.
GERMAN = "\n".join(
    [
        "# sent_id = german-1",
        "# text = Er im Haus schläft.",
        node("1", "Er", "PRON", "5"),
        node("2-3", "im"),
        node("2", "in", "ADP", "4"),
        node("3", "dem", "DET", "4"),
        node("4", "Haus", "NOUN", "5"),
        node("5", "schläft", "VERB", "0"),
        node("5.1", "schläft", "VERB", "_"),
        node("6", ".", "PUNCT", "5"),
        "",
    ]
)


def test_conllu_joins_multi_word_tokens_as_xtreme(tmp_path: Path) -> None:
    (sentence,) = reader.conllu(write(tmp_path / "f.conllu", GERMAN), "de")
    assert sentence.id == "german-1"  # parallel treebanks know their translations by it
    assert sentence.words == ("Er", "im", "Haus", "schläft", ".")
    assert sentence.tags == ("PRON", "ADP", "NOUN", "VERB", "PUNCT")


def test_conllu_words_are_the_syntactic_ones(tmp_path: Path) -> None:
    (sentence,) = reader.conllu_words(write(tmp_path / "f.conllu", GERMAN), "de")
    assert sentence.words == ("Er", "in", "dem", "Haus", "schläft", ".")
    assert sentence.tags == ("PRON", "ADP", "DET", "NOUN", "VERB", "PUNCT")


def test_conllu_fused_word_takes_the_tag_nearest_the_root(tmp_path: Path) -> None:
    # Spanish "dámelo": the verb is the root (depth 1), the pronouns hang on it (depth 2).
    text = "\n".join(
        [
            node("1-3", "Dámelo"),
            node("1", "Da", "VERB", "0"),
            node("2", "me", "PRON", "1"),
            node("3", "lo", "PRON", "1"),
        ]
    )
    assert reader.conllu(write(tmp_path / "f.conllu", text), "es") == [Tagged("0", ("Dámelo",), ("VERB",))]


def test_conllu_depth_counts_before_precedence(tmp_path: Path) -> None:
    # The adposition is the root (depth 1), the noun hangs on it (depth 2): ADP, though NOUN is first in the order.
    text = "\n".join([node("1-2", "ab"), node("1", "a", "ADP", "0"), node("2", "b", "NOUN", "1")])
    assert reader.conllu(write(tmp_path / "f.conllu", text), "de") == [Tagged("0", ("ab",), ("ADP",))]


def test_conllu_tie_is_broken_by_the_languages_own_order(tmp_path: Path) -> None:
    # Both parts hang on word 3 (depth 2). Default order: PRON before ADP; Italian's own order: ADV before PRON.
    rows = [node("1-2", "x"), node("1", "a", "PRON", "3"), node("2", "b", "ADV", "3"), node("3", "c", "VERB", "0")]
    path = write(tmp_path / "f.conllu", "\n".join(rows))
    assert reader.conllu(path, "de")[0].tags == ("PRON", "VERB")
    assert reader.conllu(path, "it")[0].tags == ("ADV", "VERB")


def test_conllu_hidden_sentences_and_invisible_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = "\n".join([node("1", "_", "NOUN", "0"), node("2", "_", "VERB", "1"), node("3", ".", "PUNCT", "1"), ""])
    kept = "\n".join([node("1", "می\u200cروم", "VERB", "0"), node("2", "10 000", "NUM", "1"), ""])
    partly = "\n".join([node("1", "_", "NOUN", "0"), *(node(str(i), "w", "NOUN", "1") for i in (2, 3, 4)), ""])
    with caplog.at_level(logging.WARNING):
        read = reader.conllu(write(tmp_path / "f.conllu", "\n".join([hidden, kept, partly])), "fa")
    # hidden: 2 of 3 words, so not fewer than 3 - 1: left out; partly: 1 of 4, kept as XTREME keeps it
    assert [sentence.words for sentence in read] == [("میروم", "10000"), ("_", "w", "w", "w")]
    assert "left out 1 sentences" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2\tword\t_\tNOUN", "expected 10 columns, got 4"),
        (node("3", "word", "NOUN", "1"), "expected word number 2, got '3'"),
        (node("2", "word", "NOM", "1"), "got 'NOM'"),
    ],
)
def test_conllu_errors_name_the_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "f.conllu", "# c\n" + node("1", "a", "NOUN", "0") + "\n" + row + "\n")
    with pytest.raises(InputError, match=message) as caught:
        reader.conllu(path, "en", ["NOUN"])
    assert caught.value.line == 3
