"""RS-DA: which words change, how often, and what of a record stays."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from xlt.data.records import AnswerSpan, CandidateEntity, Choice, Mention, Pair, Passage, Question, Record, Tagged
from xlt.data.synonyms import augment, load_neighbours, noisy_record, redraw, redraw_around
from xlt.errors import InputError

NEIGHBOURS = {"big": ["large", "huge", "great"], "cat": ["kitty"], "sat": [], "UNK": ["word"], "a": ["lengthened"]}
TO_Z = {"x": ["z"], "y": ["z"]}
"""x and y stay or become z, half of the time each."""


def always(text: str, seed: int = 0) -> str:
    return " ".join(redraw(text.split(" "), NEIGHBOURS, random.Random(seed)))


def test_a_word_is_a_uniform_draw_from_itself_and_its_neighbours() -> None:
    counts = Counter(always("big", seed) for seed in range(4000))
    assert counts.keys() == {"big", "large", "huge", "great"}
    assert chisquare(list(counts.values())).pvalue > 0.01  # 1 / (3 + 1) each
    assert 1900 < Counter(always("cat", seed) for seed in range(4000))["cat"] < 2100  # 1 / (1 + 1)


def test_case_punctuation_and_double_spaces_count() -> None:
    text = (
        "Big big.  (cat sat unknown"  # no word of it is in the file as it stands, but for "sat", which has no neighbour
    )
    assert {always(text, seed) for seed in range(50)} == {text}
    assert {always("UNK", seed) for seed in range(50)} == {"UNK", "word"}


def test_copies_keep_labels_and_order_and_sides_are_drawn_apart() -> None:
    pairs: list[Record] = [Pair("1", "cat", "cat", "yes"), Pair("2", "big", "dog", "no")]
    copies = augment(pairs, NEIGHBOURS, 200, seed=1)
    assert [(copy.id, copy.label) for copy in copies if isinstance(copy, Pair)] == [("1", "yes")] * 200 + [
        ("2", "no")
    ] * 200
    sides = Counter((copy.text_a, copy.text_b) for copy in copies[:200] if isinstance(copy, Pair))
    words = ("cat", "kitty")
    assert sides.keys() == {(a, b) for a in words for b in words}  # independent: all four, 50 each on average
    assert min(sides.values()) > 25
    # no clean copy is put beside the noisy ones: one in four is clean by chance
    assert sides["cat", "cat"] < 80


def test_the_seed_decides() -> None:
    pairs: list[Record] = [Pair(str(i), "a big cat", "big a cat", "0") for i in range(20)]
    assert augment(pairs, NEIGHBOURS, 3, 1) == augment(pairs, NEIGHBOURS, 3, 1) != augment(pairs, NEIGHBOURS, 3, 2)


def test_tags_and_options_stay_in_place() -> None:
    tagged = Tagged("t", ("big", "cat", "sat"), ("ADJ", "NOUN", "VERB"))
    choice = Choice("c", "a cat", ("big", "big"), 1)
    seen = set()
    for seed in range(60):
        copy = noisy_record(tagged, NEIGHBOURS, random.Random(seed))
        assert isinstance(copy, Tagged) and copy.tags == tagged.tags and len(copy.words) == 3
        option = noisy_record(choice, NEIGHBOURS, random.Random(seed))
        assert isinstance(option, Choice) and option.label == 1
        seen.add(option.options)
    assert ("large", "huge") in seen or ("huge", "large") in seen or ("big", "great") in seen  # options drawn apart


words = st.sampled_from(["x", "y", "grows", "shrinks", "q"])
LENGTHS = {"grows": ["grows-much-longer"], "shrinks": ["s"], "x": ["yy"]}


@given(st.lists(words, min_size=1, max_size=12), st.data(), st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_an_answer_is_still_at_its_offset(passage: list[str], data: st.DataObject, seed: int) -> None:
    context = " ".join(passage)
    spans = []
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(context) - 1))
        spans.append((start, data.draw(st.integers(start + 1, len(context)))))
    answers = tuple(AnswerSpan(context[start:end], start) for start, end in spans)
    question = Question("q", "x shrinks", context, answers)
    copy = noisy_record(question, LENGTHS, random.Random(seed))
    assert isinstance(copy, Question)
    assert [answer.text for answer in copy.answers] == [answer.text for answer in answers]
    for answer in copy.answers:
        assert copy.context[answer.start : answer.start + len(answer.text)] == answer.text
    assert len(copy.context.split(" ")) == len(passage)


def test_the_passage_changes_around_the_answer_only() -> None:
    context, answer = "x y x", AnswerSpan("y", 2)
    seen = {noisy_record(Question("q", "x", context, (answer,)), TO_Z, random.Random(seed)) for seed in range(80)}
    contexts = {copy.context for copy in seen if isinstance(copy, Question)}
    assert contexts == {"x y x", "z y x", "x y z", "z y z"}
    assert {copy.question for copy in seen if isinstance(copy, Question)} == {"x", "z"}


def test_offsets_by_hand() -> None:
    # "a" becomes "lengthened", 9 characters longer, in front of the span; the half-covered word is kept whole
    found = {redraw_around("a a-cat a", [(4, 7)], NEIGHBOURS, random.Random(seed))[0] for seed in range(40)}
    assert found == {"a a-cat a", "lengthened a-cat a", "a a-cat lengthened", "lengthened a-cat lengthened"}
    for seed in range(40):
        text, (start,) = redraw_around("a a-cat a", [(4, 7)], NEIGHBOURS, random.Random(seed))
        assert start == (13 if text.startswith("len") else 4) and text[start : start + 3] == "cat"


def test_queries_change_and_what_they_are_matched_with_does_not() -> None:
    passage = Passage("en_1", "A cat sat. It is big", ("A cat sat.", "It is big"), (("q1", "which cat", 1),))
    mention = Mention("m", "the big cat saw a cat", 18, 21, "Q1")
    entity = CandidateEntity("Q1", "cat", "a big cat", "en")
    copies = augment([passage, mention, entity], NEIGHBOURS, 40, seed=1)
    assert copies.count(entity) == 1 and len(copies) == 81
    passages = [copy for copy in copies if isinstance(copy, Passage)]
    assert {(copy.context, copy.sentences) for copy in passages} == {(passage.context, passage.sentences)}
    assert {copy.questions for copy in passages} == {(("q1", "which cat", 1),), (("q1", "which kitty", 1),)}
    mentions = [copy for copy in copies if isinstance(copy, Mention)]
    assert {copy.text[copy.start : copy.end] for copy in mentions} == {"cat"}
    assert any(copy.text.startswith("the large kitty") for copy in mentions)
    assert {copy.entity for copy in mentions} == {"Q1"}


def test_a_mention_keeps_its_sentence() -> None:
    mention = Mention("m", "a dog. the big cat saw. a cat", 15, 18, "Q1", (7, 23))
    for copy in augment([mention], NEIGHBOURS, 40, seed=1):
        assert isinstance(copy, Mention) and copy.sentence is not None
        assert re.fullmatch(r"the \w+ cat saw\.", copy.text[slice(*copy.sentence)])
        assert copy.text[copy.start : copy.end] == "cat"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["big"]', "expected a JSON object of word -> list of words, got list"),
        ('{"big": "large"}', "expected a list of words for 'big', got large"),
        ('{"big": ["large", 3]}', "expected a list of words for 'big'"),
        ('{"big": ["large"]', "expected JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, write: Callable[[Path, str], Path], text: str, expected: str) -> None:
    path = write(tmp_path / "n.json", text)
    with pytest.raises(InputError, match=r"n\.json") as caught:
        load_neighbours([path])
    assert expected in str(caught.value)


def test_a_file_of_that_form_is_read(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    path = write(tmp_path / "n.json", '{"big": ["large", "huge"], "sat": []}')
    assert load_neighbours([path]) == {"big": ["large", "huge"], "sat": []}
    with pytest.raises(InputError, match="expected a data file"):
        load_neighbours([tmp_path / "absent.json"])


def test_word_lists_of_several_languages_switch_the_code(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    lists = {"de": "dog\tHund\ncat\tKatze\nnice day\tschöner Tag\n", "sw": "dog\tmbwa\nradio\tradio\n"}
    paths = [write(tmp_path / f"en-{code}.tsv", text) for code, text in lists.items()]
    neighbours = load_neighbours(paths, "lexicon-tsv")
    assert neighbours == {"dog": ["Hund", "mbwa"], "cat": ["Katze"]}  # single words, not the same on both sides
    drawn = {redraw(["dog"], neighbours, random.Random(seed))[0] for seed in range(50)}
    assert drawn == {"dog", "Hund", "mbwa"}
