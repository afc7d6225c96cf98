"""Bad examples: what is wrong with each, and what becomes of it when a source says ``on_error: refuse, repair or drop``."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from xlt.config.benchmark import OnError
from xlt.data.dataset import Located, read
from xlt.data.readers.answers import true_match
from xlt.data.readers.faults import collected, left_out, notes
from xlt.data.records import AnswerSpan
from xlt.errors import InputError

NER = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
CONTEXT = "Der Löwe \U0001f981 schläft in Köln."
"""Köln is at character 22, UTF-8 byte 27 (ö, ä: 2 bytes each, the lion 4), UTF-16 unit 23 (the lion is two)."""


def read_with(path: Path, form: str, on_error: OnError, labels: Any = None) -> tuple[list[Any], list[str]]:
    with collected() as tallies:
        records: Any = read(Located(path.name, form, (path,), on_error), "de", labels)
    return records, notes(tallies)


def squad(path: Path, *answers: tuple[str, int], context: str = CONTEXT, good: int = 200) -> Path:
    """``good`` questions whose answer is right, then one for each of ``answers``: "bad1" and so on."""
    right = [(f"q{number}", "Der", 0) for number in range(good)]
    rows = [*right, *((f"bad{number}", *answer) for number, answer in enumerate(answers, start=1))]
    questions = [{"id": name, "question": "Wo?", "answers": [{"text": t, "answer_start": s}]} for name, t, s in rows]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": questions}]}]}))
    return path


@pytest.mark.parametrize(
    ("context", "text", "start", "kind", "place", "said"),
    [
        (CONTEXT, "Köln", 27, "answers whose offset counts UTF-8 bytes", 22, "in characters it is 22"),
        (CONTEXT, "Köln", 23, "answers whose offset counts UTF-16 units", 22, "in characters it is 22"),
        (CONTEXT, "Köln ", 22, "answers with white space around them", 22, "without the white space"),
        (CONTEXT, "Köln", 0, "answers at another place than their offset", 22, "stands at character 22"),
        (
            CONTEXT,
            unicodedata.normalize("NFD", "Köln"),
            22,
            "answers in another Unicode normal form",
            22,
            "from its character 1 on it has U+006F U+0308, the passage U+00F6 U+006C",
        ),
        ("ab ab ab ab", "ab", 5, "answers at another place than their offset", 6, "stands at character 6"),
        ("한국", unicodedata.normalize("NFD", "국"), 1, "answers in another Unicode normal form", 1, "U+AD6D"),
    ],
)
def test_a_true_match_is_found(context: str, text: str, start: int, kind: str, place: int, said: str) -> None:
    found = true_match(context, text, start)
    assert found.kind == kind and said in found.explanation
    assert found.span is not None and found.span.start == place
    assert unicodedata.normalize("NFC", found.span.text) == unicodedata.normalize("NFC", text.strip())
    assert context[place : place + len(found.span.text)] == found.span.text


@pytest.mark.parametrize(("text", "start"), [("Bonn", 22), ("", 3), ("  ", 3)])
def test_no_match_is_no_match(text: str, start: int) -> None:
    found = true_match(CONTEXT, text, start)
    assert found.span is None and found.kind == "answers that are not in their passage"


def test_half_a_character_is_no_match() -> None:
    """Decomposed, Köln has an o: as a whole character the passage has none."""
    assert true_match("Köln", "o", 1).span is None
    assert true_match("Köln", unicodedata.normalize("NFD", "Kö"), -5).span == AnswerSpan("Kö", 0)


def test_the_error_says_where_the_answer_is_and_what_to_do(tmp_path: Path) -> None:
    path = squad(tmp_path / "f.json", ("Köln", 27))
    with pytest.raises(InputError) as caught:
        read_with(path, "squad", "refuse")
    said = str(caught.value)
    assert "question bad1: expected the answer 'Köln' at character 27, got ''; the offset counts UTF-8 bytes" in said
    assert (
        "in characters it is 22; correct answer_start or text, or let on_error of the source repair or drop it" in said
    )


def test_answers_are_repaired_or_their_questions_dropped(tmp_path: Path) -> None:
    bad = [("Köln", 27), ("Köln ", 22)]
    path = squad(tmp_path / "f.json", *bad)
    records, said = read_with(path, "squad", "repair")
    assert [record.answers for record in records[-2:]] == [(AnswerSpan("Köln", 22),)] * 2 and len(records) == 202
    assert said == [
        "answers whose offset counts UTF-8 bytes, repaired: 1 (f.json question bad1)",
        "answers with white space around them, repaired: 1 (f.json question bad2)",
    ]
    records, said = read_with(path, "squad", "drop")
    assert [record.id for record in records] == [f"q{number}" for number in range(200)]
    assert said[0] == "answers whose offset counts UTF-8 bytes, dropped: 1 (f.json question bad1)"
    path = squad(tmp_path / "g.json", ("Bonn", 22))
    records, said = read_with(path, "squad", "repair")  # there is nothing to put in its place
    assert len(records) == 200 and said == ["answers that are not in their passage, dropped: 1 (g.json question bad1)"]


def test_more_than_one_per_cent_is_refused_all_the_same(tmp_path: Path) -> None:
    assert len(read_with(squad(tmp_path / "a.json", ("Köln", 0), good=99), "squad", "repair")[0]) == 100
    for on_error in ("repair", "drop"):
        path = squad(tmp_path / "b.json", *[("Köln", 0)] * 4, good=300)
        with pytest.raises(
            InputError, match=f"at most 1% of bad examples to {on_error}, got 4 in 304: answers"
        ) as caught:
            read_with(path, "squad", on_error)  # type: ignore[arg-type]
        assert "(b.json question bad1, b.json question bad2, b.json question bad3, ...)" in str(caught.value)


def tagged(path: Path, *rows: str, good: int = 300) -> Path:
    path.write_text("".join(f"{row}\n" for row in [*("Wa B-PER\n",) * good, *rows]), encoding="utf-8")
    return path


def test_lines_without_a_tag_and_tags_run_together(tmp_path: Path) -> None:
    rows = ["na O", "SwaliB-LOC", "", "KILO", "juu O", "", "ya B-DATE"]
    path = tagged(tmp_path / "test.txt", *rows)
    with pytest.raises(InputError, match="expected a word and its tag, got 'SwaliB-LOC'"):
        read_with(path, "tags-spaced", "refuse", NER)
    records, said = read_with(path, "tags-spaced", "repair", NER)
    assert [(record.words, record.tags) for record in records[300:]] == [(("na", "Swali"), ("O", "B-LOC"))]
    assert said == [
        "missing labels, repaired: 1 (test.txt line 602)",
        "missing labels, dropped: 1 (test.txt line 604)",  # the O of KILO is its own
        "unknown labels, dropped: 1 (test.txt line 607)",
    ]
    records, said = read_with(path, "tags-spaced", "drop", NER)
    assert len(records) == 300 and said[0] == "missing labels, dropped: 2 (test.txt line 602, test.txt line 604)"


def test_words_without_upos(tmp_path: Path) -> None:
    word = "1\t{}\t_\t{}\t_\t_\t0\t_\t_\t_\n\n"
    path = tmp_path / "f.conllu"
    path.write_text(word.format("a", "NOUN") * 100 + word.format("b", "_"))
    with pytest.raises(InputError, match="expected a label of NOUN, VERB, got '_'"):
        read_with(path, "conllu", "refuse", ["NOUN", "VERB"])
    records, said = read_with(path, "conllu", "repair", ["NOUN", "VERB"])
    assert len(records) == 100 and said == ["missing labels, dropped: 1 (f.conllu line 201)"]


ROWS = {
    "pair-tsv": ("a\tb\t1\n", "a\t1\n", "rows with another number of columns, dropped: 1 (f line 101)"),
    "pawsx-tsv": ("1\ta\tb\t1\n", "1\ta\n", "rows with another number of columns, dropped: 1 (f line 102)"),
    "nli-jsonl": (
        '{"gold_label": "1", "sentence1": "a", "sentence2": "b", "pairID": "x"}\n',
        '{"gold_label": "1", "sentence1": "a", "pairID": "x"}\n',
        "rows that are not in the format, dropped: 1 (f line 101)",
    ),
    "anli-jsonl": (
        '{"uid": "1", "context": "a", "hypothesis": "b", "label": "1"}\n',
        '{"uid": "1", "context": "a", "hypothesis": "b", "label": "7"}\n',
        "unknown labels, dropped: 1 (f line 101)",
    ),
    "copa-jsonl": (
        '{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 0}\n',
        '{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 2}\n',
        "unknown labels, dropped: 1 (f line 101)",
    ),
    "siqa-jsonl": (
        '{"context": "a", "question": "b", "answerA": "c", "answerB": "d", "answerC": "e", "correct": "A"}\n',
        '{"context": "a", "question": "b", "answerA": "c", "answerB": "d", "answerC": "e", "correct": "D"}\n',
        "rows that are not in the format, dropped: 1 (f line 101)",
    ),
    "hellaswag-jsonl": (
        '{"ctx": "a", "endings": ["a", "b", "c", "d"], "label": 0}\n',
        '{"ctx": "a", "endings": ["a", "b", "c"], "label": 0}\n',
        "rows that are not in the format, dropped: 1 (f line 101)",
    ),
    "cosmosqa-csv": ("1,a,b,c,d,e,f,0\n", "1,a,b\n", "rows that are not in the format, dropped: 1 (f line 102)"),
    "cosmosqa-jsonl": (
        json.dumps({"id": "1", "context": "a", "question": "b", **{f"answer{i}": "c" for i in range(4)}, "label": 1})
        + "\n",
        json.dumps({"id": "1", "context": "a", "question": "b", "label": 1}) + "\n",
        "rows that are not in the format, dropped: 1 (f line 101)",
    ),
    "commonsenseqa-jsonl": (
        '{"id": "1", "question": "a", "choices": {"label": ["A", "B"], "text": ["b", "c"]}, "answerKey": "A"}\n',
        '{"id": "1", "question": "a", "choices": {"label": ["A", "B"], "text": ["b", "c"]}, "answerKey": "C"}\n',
        "rows that are not in the format, dropped: 1 (f line 101)",
    ),
}
HEADERS = {
    "pawsx-tsv": "id\tsentence1\tsentence2\tlabel\n",
    "cosmosqa-csv": "id,context,question,answer0,answer1,answer2,answer3,label\n",
}


@pytest.mark.parametrize("form", ROWS)
def test_a_bad_row_of_every_other_reader_is_dropped_alone(form: str, tmp_path: Path) -> None:
    good, bad, said = ROWS[form]
    path = tmp_path / "f"
    path.write_text(HEADERS.get(form, "") + good * 100 + bad + good)
    with pytest.raises(InputError):
        read_with(path, form, "refuse", ["0", "1"])
    records, found = read_with(path, form, "drop", ["0", "1"])
    assert len(records) == 101 and found == [said]


def test_mentions_and_passages(tmp_path: Path) -> None:
    def mention(name: str, start: int) -> dict[str, Any]:
        return {
            "example_id": name,
            "entity_id": "Q1",
            "mention_span": {"start": start, "end": start + 4, "text": "Köln"},
        }

    rows = [*(mention(f"m{number}", 22) for number in range(100)), mention("bad", 27)]
    path = tmp_path / "mentions.jsonl"
    path.write_text(json.dumps({"context": {"language": "de", "text": CONTEXT}, "mentions": rows}) + "\n")
    records, said = read_with(path, "mewslix-mentions", "repair")
    assert (records[-1].start, records[-1].end) == (22, 26)
    assert said == ["mentions whose offset counts UTF-8 bytes, repaired: 1 (mentions.jsonl mention bad)"]
    (passage,), said = read_with(squad(tmp_path / "f.json", ("Bonn", 1)), "squad-passages", "drop")
    assert len(passage.questions) == 200 and said[0].endswith("(f.json question bad1)")


def test_a_file_that_is_read_twice_counts_once(tmp_path: Path) -> None:
    path = squad(tmp_path / "f.json", ("Köln", 0))
    located = Located("f.json", "squad", (path,), "repair")
    with collected() as tallies:
        assert read(located, "de") == read(located, "de")
    assert notes(tallies) == ["answers at another place than their offset, repaired: 1 (f.json question bad1)"]


def test_what_the_formats_leave_out_by_themselves_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "test.txt"
    path.write_text("-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n")
    with collected() as tallies:
        (record,) = read(Located("", "tags-spaced", (path,)), "en", ["B-ORG", "O"])  # type: ignore[misc]
    assert record.words == ("EU",) and record.tags == ("B-ORG",)
    assert notes(tallies) == [] and left_out(tallies) == ["lines -DOCSTART-, left out: 1"]
