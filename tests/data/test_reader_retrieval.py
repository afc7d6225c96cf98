"""Retrieval files: answer sentences, aligned sentences, comparable corpora, entity mentions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xlt.data.readers import mewslix, retrieval
from xlt.data.readers.sentences import sentence_breaks
from xlt.data.records import CandidateEntity, Mention, Mining, ParallelText, Passage
from xlt.errors import InputError

#          0         1         2
#          0123456789012345678901234567
CONTEXT = "It rained. Bo went home. Ah."


def passage(path: Path, **more: Any) -> Path:
    answers = [("q1", "Bo", 11), ("q2", "rained", 3)]
    qas = [{"id": i, "question": "?", "answers": [{"text": t, "answer_start": s}]} for i, t, s in answers]
    value = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas, **more}]}]}
    path.write_text(json.dumps(value))
    return path


def test_xquad_r(tmp_path: Path) -> None:
    path = passage(
        tmp_path / "de.json", sentences=["It rained.", "Bo went home. Ah."], sentence_breaks=[[0, 10], [11, 28]]
    )
    assert retrieval.xquad_r(path, "de") == [
        Passage("de_1", CONTEXT, ("It rained.", "Bo went home. Ah."), (("q1", "?", 1), ("q2", "?", 0)))
    ]
    with pytest.raises(InputError, match="paragraph 1: expected as many 'sentences'"):
        retrieval.xquad_r(passage(path, sentences=["one"], sentence_breaks=[]), "de")


def test_squad_is_cut_into_sentences(tmp_path: Path) -> None:
    (read,) = retrieval.squad_passages(passage(tmp_path / "train-v1.1.json"), "en")
    assert read.sentences == ("It rained.", "Bo went home.", "Ah.")
    assert read.questions == (("q1", "?", 1), ("q2", "?", 0))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("Dr. No met J. R. Smith in the U.S. Navy.", ["Dr. No met J. R. Smith in the U.S. Navy."]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("It cost 3.5 dollars. 40 were sold.", ["It cost 3.5 dollars.", "40 were sold."]),
        ("The end. (Or not.) and so on. \nNext line", ["The end.", "(Or not.) and so on.", "Next line"]),
        (
            "By 1920.[44] Bo ran.[3][n 4] It rained.[citation needed]",
            ["By 1920.[44]", "Bo ran.[3][n 4]", "It rained.[citation needed]"],
        ),
        ("Bo et al.[3] ran [1] home.[2] and so on.", ["Bo et al.[3] ran [1] home.[2] and so on."]),
        ("one sentence without an end", ["one sentence without an end"]),
        ("  ", []),
    ],
)
def test_sentence_splitter(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_breaks(text)] == sentences


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("de", "Am 3. Mai kam Dr. Ott. Wilhelm II. Blieb, bis 1990. Dann nicht.",
         ["Am 3. Mai kam Dr. Ott.", "Wilhelm II. Blieb, bis 1990.", "Dann nicht."]),
        ("en", "It was 3. May came.", ["It was 3.", "May came."]),  # English writes no ordinal with a full stop
        ("ja", "「行く。」と言った。帰った！", ["「行く。」と言った。", "帰った！"]),  # the quotation goes on
        ("zh", "他說：「好。」她笑了。", ["他說：「好。」", "她笑了。"]),
        ("th", "ไป 3 วัน แล้วกลับ", ["ไป 3 วัน", "แล้วกลับ"]),  # no break beside a digit
        ("ar", "من هو؟ هذا هو.", ["من هو؟", "هذا هو."]),
        ("uk", "Він жив у м. Київ. Потім поїхав.", ["Він жив у м. Київ.", "Потім поїхав."]),
        ("hi", "वह गया। वह आया।", ["वह गया।", "वह आया।"]),
    ],
)  # fmt: skip
def test_sentences_of_other_languages(language: str, text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_breaks(text, language)] == sentences


def test_tatoeba_is_aligned_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "tatoeba.deu-eng.deu"
    path.write_bytes("Eins.\r\nZwei\u2028drei.\r\n".encode())
    (tmp_path / "tatoeba.deu-eng.eng").write_text("One.\nTwo three.\n")
    assert retrieval.tatoeba(path, "de") == ParallelText(("Eins.", "Zwei\u2028drei."), ("One.", "Two three."), (0, 1))
    (tmp_path / "tatoeba.deu-eng.eng").write_text("One.\n")
    with pytest.raises(InputError, match=r"deu-eng\.eng: expected 2 lines as in tatoeba\.deu-eng\.deu, got 1"):
        retrieval.tatoeba(path, "de")
    (tmp_path / "tatoeba.deu-eng.eng").unlink()
    with pytest.raises(InputError, match=r"deu-eng\.eng: expected a data file, got none"):
        retrieval.tatoeba(path, "de")


def test_xtremes_tatoeba_needs_its_gold_order(tmp_path: Path) -> None:
    folder = tmp_path / "xtreme" / "tatoeba"
    folder.mkdir(parents=True)
    (folder / "de-en.de").write_text("Zwei.\nEins.\nDrei.\n")
    (folder / "de-en.en").write_text("One.\nThree.\nTwo.\n")  # sorted
    with pytest.raises(
        InputError, match=r"test-de\.tsv: expected the gold order .*; or put LASER's files into tatoeba/v1"
    ):
        retrieval.tatoeba_xtreme(folder / "de-en.de", "de")
    labels = tmp_path / "xtreme" / "labels" / "tatoeba" / "test-de.tsv"
    labels.parent.mkdir(parents=True)
    labels.write_text("1\n2\n0\n")  # One. is line 1 of the German file, Three. line 2, Two. line 0
    bitext = retrieval.tatoeba_xtreme(folder / "de-en.de", "de")
    assert [bitext.target[i] for i in bitext.gold] == ["Two.", "One.", "Three."]
    assert bitext.gold_source == (1, 2, 0)
    labels.write_text("1\x1c\n2\n0\n")  # a control character that str.strip drops and int() does not
    assert retrieval.tatoeba_xtreme(folder / "de-en.de", "de") == bitext
    labels.write_text("1\n2\n")
    with pytest.raises(InputError, match=r"test-de\.tsv: expected 3 lines as in de-en\.en, got 2"):
        retrieval.tatoeba_xtreme(folder / "de-en.de", "de")
    labels.write_text("1\n1\n")
    with pytest.raises(InputError, match=r"test-de\.tsv:2: expected each line number once, got 1 twice"):
        retrieval.tatoeba_xtreme(folder / "de-en.de", "de")
    labels.write_text("1\n3\n")
    with pytest.raises(InputError, match=r"test-de\.tsv:2: expected a line number from 0 to 2, got '3'"):
        retrieval.tatoeba_xtreme(folder / "de-en.de", "de")


def bucc(folder: Path, gold: str | None) -> Path:
    (folder / "zh-en.dev.zh").write_text("zh-1\t一。\nzh-2\t二\t三\n", encoding="utf-8")
    (folder / "zh-en.dev.en").write_text("en-1\tOne.\nen-2\tTwo.\n")
    if gold is not None:
        (folder / "zh-en.dev.gold").write_text(gold)
    return folder / "zh-en.dev.zh"


def test_bucc(tmp_path: Path) -> None:
    source, target = {"zh-1": "一。", "zh-2": "二\t三"}, {"en-1": "One.", "en-2": "Two."}
    assert retrieval.bucc(bucc(tmp_path, None), "zh") == Mining(source, target, None)
    assert retrieval.bucc(bucc(tmp_path, "zh-1\ten-2\n"), "zh").gold == frozenset({("zh-1", "en-2")})
    with pytest.raises(InputError, match=r"gold:2: expected ids of zh-en\.dev\.\*, got en-9"):
        retrieval.bucc(bucc(tmp_path, "zh-1\ten-2\nzh-2\ten-9\n"), "zh")
    (tmp_path / "zh-en.dev.en").write_text("en-1\tOne.\nen-1\tTwo.\n")
    with pytest.raises(InputError, match=r"en:2: expected each id once, got en-1 twice"):
        retrieval.bucc(tmp_path / "zh-en.dev.zh", "zh")
    (tmp_path / "zh-en.dev.en").write_text("en-1 One.\n")
    with pytest.raises(InputError, match=r"en:1: expected 2 columns, got 1"):
        retrieval.bucc(tmp_path / "zh-en.dev.zh", "zh")


def document(language: str, name: str, text: str, start: int, end: int, given: str | None = None) -> dict[str, Any]:
    span = {"start": start, "end": end, "text": text[start:end] if given is None else given}
    return {
        "context": {"document_id": "d", "language": language, "text": text},
        "mentions": [{"example_id": name, "mention_span": span, "entity_id": "Q1"}],
    }


def entity(name: str) -> dict[str, Any]:
    return {
        "entity_id": name,
        "title": "T",
        "description": "D.",
        "sentence_spans": [],
        "description_language": "en",
        "description_url": "u",
    }


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_mewslix_mentions_of_one_language(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", document("de", "a", "In Köln.", 3, 7), document("en", "b", "In Rome.", 3, 7))
    assert mewslix.mewslix_mentions(path, "de") == [Mention("a", "In Köln.", 3, 7, "Q1", None)]
    with pytest.raises(InputError, match="expected mentions in language ta, got de, en"):
        mewslix.mewslix_mentions(path, "ta")
    bad = jsonl(path, document("de", "a", "In Köln.", 3, 7), document("de", "b", "In Köln.", 2, 6, given="Köln"))
    with pytest.raises(InputError, match=r"m\.jsonl:2: mention b: expected 'Köln' at characters 2 to 6, got ' Köl'"):
        mewslix.mewslix_mentions(bad, "de")


def test_mewslix_mentions_have_the_sentence_of_their_file(tmp_path: Path) -> None:
    text = "彼は行った。京都にいた。寒い。"  # sentences end at 6, 12 and 15; 京都 is at 6
    row = document("ja", "a", text, 6, 8)
    row["context"]["sentence_spans"] = [{"start": 0, "end": 6}, {"start": 6, "end": 12}, {"start": 12, "end": 15}]
    over = document("ja", "b", text, 4, 8)
    over["context"]["sentence_spans"] = row["context"]["sentence_spans"]
    read = mewslix.mewslix_mentions(jsonl(tmp_path / "m.jsonl", row, over), "ja")
    assert [mention.sentence for mention in read] == [(6, 12), (0, 12)]  # over an end: both sentences
    row["context"]["sentence_spans"] = 7
    with pytest.raises(InputError, match=r"m\.jsonl:1: expected 'sentence_spans' to be list, got int"):
        mewslix.mewslix_mentions(jsonl(tmp_path / "m.jsonl", row), "ja")
    row["context"]["sentence_spans"] = [{"start": 0, "end": 99}]
    with pytest.raises(InputError, match=r"m\.jsonl:1: sentence_spans: expected start and end .* 15, got"):
        mewslix.mewslix_mentions(jsonl(tmp_path / "m.jsonl", row), "ja")


def test_mewslix_descriptions_are_their_sentences_joined_by_spaces(tmp_path: Path) -> None:
    text = "京都。日本の市。"
    row = entity("Q1") | {"description": text, "sentence_spans": [{"start": 0, "end": 3}, {"start": 3, "end": 8}]}
    jsonl(tmp_path / "candidate_set_entities.jsonl", row)
    assert mewslix.mewslix_candidates(tmp_path / "m.jsonl")[0].description == "京都。 日本の市。"


def test_mewslix_candidates_lie_beside_the_mentions(tmp_path: Path) -> None:
    jsonl(tmp_path / "candidate_set_entities.jsonl", entity("Q1"), entity("Q2"))
    assert mewslix.mewslix_candidates(tmp_path / "m.jsonl") == [
        CandidateEntity("Q1", "T", "D.", "en"),
        CandidateEntity("Q2", "T", "D.", "en"),
    ]
    jsonl(tmp_path / "candidate_set_entities.jsonl", entity("Q1"), entity("Q1"))
    with pytest.raises(InputError, match=r"entities\.jsonl:2: expected each entity once"):
        mewslix.mewslix_candidates(tmp_path / "m.jsonl")


def test_mewslix_pairs_list_each_entity_once(tmp_path: Path) -> None:
    rows = []
    for start in (0, 9):
        context = document("en", "x", "Rome and Rome", start, start + 4)
        rows.append(
            {
                "contextual_mention": {"context": context["context"], "mention": context["mentions"][0]},
                "entity": entity("Q7"),
            }
        )
    read = mewslix.mewslix_pairs(jsonl(tmp_path / "wikipedia_pairs-train.jsonl", *rows), "en")
    assert read == [
        Mention("x", "Rome and Rome", 0, 4, "Q7"),
        Mention("x", "Rome and Rome", 9, 13, "Q7"),
        CandidateEntity("Q7", "T", "D.", "en"),
    ]
