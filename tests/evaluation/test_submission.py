"""The submission layout: what is written is read back, labels from records, and one clear line for a malformed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks import FILES, TASKS, read_submission, submission_file, write_labels, write_submission

from xlt.data.records import AnswerSpan, Choice, Mention, Mining, Pair, ParallelText, Passage, Question, Tagged
from xlt.errors import InputError
from xlt.evaluation.submission import Withheld
from xlt.families import FAMILIES
from xlt.families.qa import read_answers_gold

CONTENT: dict[str, Any] = {
    "xnli": ["neutral", "entailment"],
    "pawsx": ["0", "1", "1"],
    "xcopa": [1, 0],
    "panx": [["B-PER", "I-PER"], ["O"]],
    "udpos": [["NOUN"], ["VERB", "PUNCT"]],
    "xquad": {"q1": "Zürich", "q2": ""},
    "mlqa": {"q1": "红楼梦"},
    "tydiqa": {"q1": 'a "quoted" \\ answer\nover lines\u2028'},
    "mewslix": {"m1": ["Q1", "Q2"], "m2": []},
    "lareqa": {"q_en": ["en_1_0"]},
    "tatoeba": [2, 0, 1],
    "tatoeba_into_english": [1, 0],
    "lareqa_ranks": {"q_en": {"en_1_0": 1, "th_1_0": 700}},
    "bucc2018": {("de-1", "en-2"), ("de-2", "en-1")},
    "xnli-pairs": ["neutral"],
    "pawsx-pairs": ["1"],
    "xquad-pairs": {"q1": "Nile"},
    "mlqa-pairs": {"q1": "Nil"},
    "lareqa-pairs": {"q1": ["de_1_0", "de_2_0"]},
}


@pytest.mark.parametrize("task", FILES)
def test_what_is_written_is_read_back(tmp_path: Path, task: str) -> None:
    path = write_submission(tmp_path, task, "de", CONTENT[task])
    assert path == submission_file(tmp_path, task, "de")
    assert read_submission(path, task) == CONTENT[task]


def test_names_follow_the_layout(tmp_path: Path) -> None:
    names = {task: submission_file(tmp_path, task, "sw").name for task in FILES}
    assert names["xcopa"] == "test-sw.jsonl"
    assert names["mewslix"] == names["xquad"] == "test-sw.json"
    assert names["udpos"] == names["xnli"] == names["bucc2018"] == "test-sw.tsv"
    assert submission_file(tmp_path, "mlqa", "en-de") == tmp_path / "mlqa" / "test-en-de.json"


def test_content_of_the_files(tmp_path: Path) -> None:
    expected = {
        "xnli": "neutral\nentailment\n",
        "xcopa": '{"label": 1}\n{"label": 0}\n',
        "panx": "B-PER\nI-PER\n\nO\n\n",
        "tatoeba": "2\n0\n1\n",
        "bucc2018": "de-1\ten-2\nde-2\ten-1\n",
    }
    for task, text in expected.items():
        assert write_submission(tmp_path, task, "de", CONTENT[task]).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "text",
    ["NOUN\nVERB\n\nNOUN\n", "NOUN\nVERB\n\nNOUN", "NOUN\nVERB\n\nNOUN\n\n", "NOUN\r\nVERB \r\n\r\nNOUN\r\n"],
)
def test_the_last_sentence_needs_no_empty_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test-de.tsv"
    path.write_bytes(text.encode())
    assert read_submission(path, "udpos") == [["NOUN", "VERB"], ["NOUN"]]


@pytest.mark.parametrize(
    ("task", "records", "expected"),
    [
        ("xnli", [Pair("1", "a", "b", "neutral")], ["neutral"]),
        ("xcopa", [Choice("1", "p", ("a", "b"), 1)], [1]),
        ("panx", [Tagged("1", ("a", "b"), ("B-LOC", "O"))], [["B-LOC", "O"]]),
        (
            "tatoeba",
            ParallelText(("a", "b", "c"), ("C", "A", "B"), (1, 2, 0)),
            [2, 0, 1],
        ),  # C: the third foreign line, ...
        ("tatoeba_into_english", ParallelText(("a", "b", "c"), ("C", "A", "B"), (1, 2, 0)), [1, 2, 0]),
        ("bucc2018", Mining({"de-1": "a"}, {"en-1": "A"}, frozenset({("de-1", "en-1")})), {("de-1", "en-1")}),
        ("mewslix", [Mention("m", "text", 0, 2, "Q1")], {"m": ["Q1"]}),
    ],
)
def test_labels_of_records(tmp_path: Path, task: str, records: Any, expected: Any) -> None:
    assert read_submission(write_labels(tmp_path, task, "de", records), task) == expected


def test_labels_of_questions_are_in_squad_layout(tmp_path: Path) -> None:
    questions = [
        Question("q1", "Who?", "Ann met Bob.", (AnswerSpan("Ann", 0), AnswerSpan("Bob", 8))),
        Question("q2", "Whom?", "Ann met Bob.", (AnswerSpan("Bob", 8),)),
        Question("q3", "Where?", "In Rome.", (AnswerSpan("Rome", 3),)),
    ]
    path = write_labels(tmp_path, "xquad", "en", questions)
    assert read_answers_gold(path) == {"q1": ("Ann", "Bob"), "q2": ("Bob",), "q3": ("Rome",)}
    paragraphs = json.loads(path.read_text(encoding="utf-8"))["data"][0]["paragraphs"]
    assert [len(paragraph["qas"]) for paragraph in paragraphs] == [2, 1]
    assert paragraphs[0]["qas"][0]["answers"][1] == {"text": "Bob", "answer_start": 8}


def test_labels_of_lareqa_are_the_answers_in_every_language(tmp_path: Path) -> None:
    passages = {
        "en": [Passage("en_1", "A. B.", ("A.", "B."), (("q1", "?", 1), ("q2", "?", 0)))],
        "de": [Passage("de_1", "C. D.", ("C.", "D."), (("q1", "?", 0),))],  # q2 lost its answer sentence here
    }
    FAMILIES["lareqa"].write_gold(tmp_path, TASKS["lareqa"], passages)
    english, german = (submission_file(tmp_path, "lareqa", language) for language in passages)
    assert read_submission(english, "lareqa") == {"q1_en": ["en_1_1", "de_1_0"], "q2_en": ["en_1_0"]}
    assert read_submission(german, "lareqa") == {"q1_de": ["en_1_1", "de_1_0"]}


def test_a_record_without_a_label_has_no_label_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no gold label"):
        write_labels(tmp_path, "xnli", "de", [Pair("7", "a", "b", None)])


MALFORMED = [
    ("xnli", b"neutral\nperhaps\n", 2, "expected one of contradiction, entailment, neutral, got 'perhaps'"),
    ("xnli", b"neutral\n\n", 2, "got ''"),
    ("xnli", b"neutral\nentail\xffment\n", 2, "expected UTF-8, got byte 0xff"),
    ("xnli", b"", None, "empty file"),
    ("xnli", b"\n \n", None, "empty file"),
    ("xcopa", b'{"label": 0}\n{"label": 2}\n', 2, 'expected {"label": 0} or {"label": 1}'),
    ("xcopa", b'{"label": 0}\n{"label": true}\n', 2, 'expected {"label": 0} or {"label": 1}'),
    ("xcopa", b'{"label": 0}\n{"label": \n', 2, "expected JSON"),
    ("xcopa", b'{"label": 0}\n7\n', 2, 'expected {"label": 0} or {"label": 1}'),
    ("udpos", b"NOUN\nword\tVERB\n", 2, "expected one tag per line"),
    ("udpos", b"NOUN\n\n7\n", 3, "expected one of ADJ, ADP, ADV, AUX"),
    ("udpos", b"#1\nNOUN\n", 1, "got '#1'"),
    ("panx", b"O\nI-DATE\n", 2, "expected one of B-LOC, B-ORG, B-PER, I-LOC, I-ORG, I-PER, O, got 'I-DATE'"),
    ("tatoeba", b"3\n-1\n", 2, "expected the index of a sentence"),
    ("tatoeba", b"3\n1.0\n", 2, "expected the index of a sentence"),
    ("bucc2018", b"de-1\ten-1\nde-2 en-2\n", 2, "expected two sentence ids separated by a tab"),
    ("xquad", b'{"q1": "a",\n "q2": "b"', 2, "expected JSON"),
    ("xquad", b'{"q1": "a",\n "q2": 5}', 2, "expected the text answering q2, got 5"),
    ("xquad", b'{"q1": "a",\n "q1": "b"}', 1, "expected each key once, got q1 twice"),
    ("xquad", b'["a"]', None, "expected {question id: answer text}"),
    ("mewslix", b'{"m1": ["Q1"],\n "m2": "Q1"}', 2, "expected a list of item ids for m2"),
    ("lareqa", b'{"m1": [1]}', 1, "expected a list of item ids for m1"),
    ("lareqa", b"[]", None, "expected {query id: [item ids, best first]}"),
]


@pytest.mark.parametrize(("task", "data", "line", "message"), MALFORMED)
def test_malformed_files_name_the_line(tmp_path: Path, task: str, data: bytes, line: int | None, message: str) -> None:
    path = tmp_path / "test-de"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        read_submission(path, task)
    assert message in raised.value.message
    assert (raised.value.path, raised.value.line) == (path, line)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [{"paragraphs": 3}]}', "expected SQuAD layout"),
        ('{"dat": []}', "expected SQuAD layout"),
        ('{"data": []}', "expected at least one question"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": "q"}]}]}]}', 'expected questions with "id"'),
        (
            '{"data": [{"paragraphs": [{"qas": [{"id": "q", "answers": []}]}]}]}',
            "gold is withheld: no question has an answer",
        ),
        (
            '{"data": [{"paragraphs": [{"qas": [{"id": "p", "answers": [{"text": "a"}]},'
            ' {"id": "q", "answers": [{"text": ""}]}]}]}]}',
            "at least one right answer to question q",
        ),
        (
            '[{"paragraphs": [{"qas": [{"id": "q", "answers": [{"text": "a"}]}]}]},'
            ' {"paragraphs": [{"qas": [{"id": "q", "answers": [{"text": "a"}]}]}]}]',
            "expected each question once",
        ),
    ],
)
def test_malformed_question_labels(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gold.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_answers_gold(path)


tags = st.lists(st.lists(st.sampled_from(["O", "B-LOC", "I-LOC"]), min_size=1), min_size=1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=40, deadline=None)
@given(tags, st.dictionaries(names, names), st.dictionaries(names, st.lists(names.map(str.strip), max_size=3)))
def test_any_content_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    sentences: list[list[str]],
    answers: dict[str, str],
    rankings: dict[str, list[str]],
) -> None:
    folder = tmp_path_factory.mktemp("layout")
    for task, content in (("panx", sentences), ("xquad", answers), ("lareqa", rankings)):
        assert read_submission(write_submission(folder, task, "de", content), task) == content


@pytest.mark.parametrize("task", CONTENT)
def test_a_byte_order_mark_is_no_content(tmp_path: Path, task: str) -> None:
    path = write_submission(tmp_path, task, "de", CONTENT[task])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_submission(path, task) == CONTENT[task]
    path.write_bytes(b"\xef\xbb\xbf\n\xff")
    with pytest.raises(InputError, match=":2: expected UTF-8, got byte 0xff"):
        read_submission(path, task)


@pytest.mark.parametrize(
    ("task", "text"),
    [("xcopa", '{"idx": 1}\n{"label": null}\n'), ("lareqa", '{"q1_de": [], "q2_de": []}'), ("mewslix", '{"m": []}')],
)
def test_a_label_file_without_gold_is_said(tmp_path: Path, task: str, text: str) -> None:
    path = tmp_path / "test-de"
    path.write_text(text)
    with pytest.raises(Withheld, match="gold is withheld"):
        FAMILIES[TASKS[task].family].read_gold(TASKS[task], path)
