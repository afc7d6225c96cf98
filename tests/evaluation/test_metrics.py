"""Metrics against values worked out by hand, and their general properties."""

from __future__ import annotations

import itertools
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlt.evaluation.metrics import (
    accuracy,
    average_precision,
    normalize_mlqa,
    normalize_squad,
    pair_f1,
    question_scores,
    tag_f1,
)
from xlt.evaluation.metrics.answers import token_f1

UPOS_BUT_SCONJ_X = ["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT"]
UPOS_BUT_SCONJ_X += ["SYM", "VERB"]
UPOS = [*UPOS_BUT_SCONJ_X, "SCONJ", "X"]
IOB = ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("PER", "ORG", "LOC"))]


def f1(gold: str, predicted: str) -> dict[str, float]:
    """Tag F1 of sentences written as words, "/" between sentences."""
    return tag_f1([part.split() for part in gold.split("/")], [part.split() for part in predicted.split("/")])


def test_accuracy() -> None:
    assert accuracy(["a", "b", "c", "a"], ["a", "c", "c", "b"]) == 50.0  # 1st and 3rd of 4


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        # PER(0,1) right, LOC against ORG wrong: 1 of 2 and 1 of 2
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-ORG", (50, 50, 50)),
        # 1 of 1 predicted, 1 of 2 gold: F1 = 2 * 1 * 0.5 / 1.5
        ("B-PER O B-LOC O", "B-PER O O O", (200 / 3, 100, 50)),
        # an I- without a B- opens an entity
        ("O B-LOC I-LOC O", "O I-LOC I-LOC O", (100, 100, 100)),
        # a B- inside starts a new one: (0,0) and (1,1) against (0,1)
        ("B-LOC B-LOC", "B-LOC I-LOC", (0, 0, 0)),
        # so does a change of type: PER(0,0), LOC(1,1)
        ("B-PER B-LOC", "B-PER I-LOC", (100, 100, 100)),
        # an entity does not go on into the next sentence: two of them on both sides
        ("B-LOC / B-LOC", "B-LOC / I-LOC", (100, 100, 100)),
        # nothing to find, nothing found
        ("O O", "O O", (0, 0, 0)),
    ],
)
def test_entity_f1(gold: str, predicted: str, expected: tuple[float, float, float]) -> None:
    assert tuple(f1(gold, predicted).values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        # NOUN(0,1) VERB(2,2) against NOUN(0,0) VERB(1,2): no span right, although two of three tags are
        ("NOUN NOUN VERB", "NOUN VERB VERB", (0, 0, 0)),
        # DET, NOUN(1,2), PUNCT against DET, NOUN(1,1), VERB(2,2), PUNCT: 2 right of 4 predicted and of 3 gold; F1 4/7
        ("DET NOUN NOUN PUNCT", "DET NOUN VERB PUNCT", (400 / 7, 50, 200 / 3)),
        # S is read as a prefix, so both are type CONJ
        ("CCONJ PRON", "SCONJ PRON", (100, 100, 100)),
        # ... and every SYM is a span of its own: 1 of 2 and 1 of 2 (NOUN NOUN would be one)
        ("SYM SYM", "SYM NOUN", (50, 50, 50)),
        # a final X is never closed: gold has VERB alone, 1 of 2 predicted and 1 of 1 gold
        ("VERB X", "VERB NOUN", (200 / 3, 50, 100)),
    ],
)
def test_part_of_speech_f1(gold: str, predicted: str, expected: tuple[float, float, float]) -> None:
    assert tuple(f1(gold, predicted).values()) == pytest.approx(expected)


def test_tag_f1_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f1("NOUN VERB", "VERB VERB")
        f1("B-LOC", "O")


def pairs_of_tags(tags: list[str]) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    """Sentences of (gold, predicted) tags."""
    sentence = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), min_size=1, max_size=8)
    return st.lists(sentence, min_size=1, max_size=4)


def unzip(sentences: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted tags of each sentence."""
    return [[gold for gold, _ in s] for s in sentences], [[given for _, given in s] for s in sentences]


@settings(max_examples=60, deadline=None)
@given(pairs_of_tags(IOB) | pairs_of_tags(UPOS))
def test_tag_f1_equals_the_three_calls_of_xtreme(sentences: list[list[tuple[str, str]]]) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score

    gold, predicted = unzip(sentences)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "f1": f1_score(gold, predicted) * 100,
            "precision": precision_score(gold, predicted) * 100,
            "recall": recall_score(gold, predicted) * 100,
        }
    assert tag_f1(gold, predicted) == expected


def entities(sentences: list[list[str]]) -> set[tuple[int, int, int, str]]:
    """Entity spans from the definition of conlleval: sentence, first and last word, type."""
    spans = set()
    for number, tags in enumerate(sentences):
        for i, tag in enumerate(tags):
            kind = tag[2:]
            inside = i > 0 and tags[i - 1] in (f"B-{kind}", f"I-{kind}")
            if tag[0] == "B" or (tag[0] == "I" and not inside):
                last = i
                while last + 1 < len(tags) and tags[last + 1] == f"I-{kind}":
                    last += 1
                spans.add((number, i, last, kind))
    return spans


def runs(sentences: list[list[str]]) -> set[tuple[int, int, int, str]]:
    """Runs of equal tags, but every SYM alone: what seqeval makes of UPOS tags other than SCONJ and X."""
    spans = set()
    for number, tags in enumerate(sentences):
        for tag, run in itertools.groupby(range(len(tags)), key=lambda i: tags[i]):
            places = list(run)
            if tag == "SYM":
                spans |= {(number, place, place, tag) for place in places}
            else:
                spans.add((number, places[0], places[-1], tag))
    return spans


@settings(max_examples=60, deadline=None)
@given(pairs_of_tags(IOB))
def test_entity_f1_equals_its_definition(sentences: list[list[tuple[str, str]]]) -> None:
    gold, predicted = unzip(sentences)
    right, total = len(entities(gold) & entities(predicted)), len(entities(gold)) + len(entities(predicted))
    assert tag_f1(gold, predicted)["f1"] == pytest.approx(200 * right / total if total else 0)


@settings(max_examples=60, deadline=None)
@given(pairs_of_tags(UPOS_BUT_SCONJ_X))
def test_part_of_speech_f1_is_over_runs(sentences: list[list[tuple[str, str]]]) -> None:
    gold, predicted = unzip(sentences)
    right, total = len(runs(gold) & runs(predicted)), len(runs(gold)) + len(runs(predicted))
    assert tag_f1(gold, predicted)["f1"] == pytest.approx(200 * right / total)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Eiffel Tower, in  Paris!", "eiffel tower in paris"),
        ("don't re-use a theatre", "dont reuse theatre"),  # punctuation joins; "the" only as a word
        ("«Paris»", "«paris»"),  # only ASCII punctuation goes
        ("An a the", ""),
    ],
)
def test_squad_normalisation(text: str, normal: str) -> None:
    assert normalize_squad(text) == normal


@pytest.mark.parametrize(
    ("text", "language", "normal"),
    [
        ("“The” cat’s a $5 hat", "en", "cats 5 hat"),  # Unicode quotation marks, then the articles, and ASCII "$"
        ("€5", "en", "€5"),  # a currency sign is not punctuation, and not ASCII
        ("Die Brücke über den Fluss", "de", "brücke über fluss"),
        ("¿El río de la Plata?", "es", "río de plata"),
        ("Hà Nội là thủ đô của những người", "vi", "hà nội thủ đô người"),
        ("الكتاب، القديم", "ar", "كتاب قديم"),  # prefix alif-lam twice; the Arabic comma is punctuation
        ("مقال", "ar", "مق"),  # the owner's rule takes alif-lam at the end of a word, too
        ("the ताज महल।", "hi", "the ताज महल"),  # no articles; the danda is punctuation
        ("《红楼梦》，1791年", "zh", "红 楼 梦 1791 年"),
        ("iPhone手机 A 版", "zh", "iphone 手 机 a 版"),
        ("The qaa, word", "qaa", "the qaa word"),  # a language MLQA lacks: no articles
    ],
)
def test_mlqa_normalisation(text: str, language: str, normal: str) -> None:
    assert normalize_mlqa(text, language) == normal


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        ("eiffel tower", "eiffel tower in paris", 2 / 3),  # precision 2/2, recall 2/4
        ("cat cat", "cat dog", 1 / 2),  # a word counts as often as in both: 1; precision 1/2, recall 1/2
        ("红 楼", "红 楼 梦", 4 / 5),  # precision 1, recall 2/3
        ("a", "b", 0),
        ("", "", 0),  # no shared word
    ],
)
def test_token_f1(predicted: str, gold: str, expected: float) -> None:
    assert token_f1(predicted, gold) == pytest.approx(expected)


def test_best_of_the_gold_answers_and_unanswered_questions() -> None:
    gold = {"q1": ["in 1900", "1900"], "q2": ["x"], "q3": ["the"]}
    # q1: "year 1900": F1 1/2 against the first, 2/3 (precision 1/2, recall 1) against the second; q2 unanswered; q3:
    # both sides normalise to nothing: equal, but no word shared
    exact, overlap = question_scores(gold, {"q1": "year 1900", "q3": "a"}, normalize_squad)
    assert exact == [0, 0, 1]
    assert overlap == pytest.approx([2 / 3, 0, 0])


TWENTY_FIVE = [f"r{i}" for i in range(25)]


@pytest.mark.parametrize(
    ("right", "ranked", "expected"),
    [
        (["a"], ["x", "a"], 1 / 2),  # one right item: reciprocal rank
        (["a"], ["x", "y"], 0),
        (["a"], [], 0),
        (["a", "b", "c"], ["a", "x", "b"], 5 / 9),  # (1/1 + 2/3) / 3
        (["a", "b"], ["a", "a", "b"], 5 / 6),  # the second a takes a rank and counts no more: (1/1 + 2/3) / 2
        (["z"], [*map(str, range(20)), "z"], 0),  # rank 21 is past the depth
        (TWENTY_FIVE, TWENTY_FIVE, 1),  # 20 ones over min(25, 20)
        (TWENTY_FIVE, [*TWENTY_FIVE[:10], *"abcdefghij"], 1 / 2),  # 10 ones over 20
    ],
)
def test_average_precision(right: list[str], ranked: list[str], expected: float) -> None:
    assert average_precision(right, ranked) == pytest.approx(expected)


def test_pair_f1() -> None:
    gold = {("a", "1"), ("b", "2"), ("c", "3")}
    # 1 right of 2 and of 3: F1 = 2 * 1/2 * 1/3 / (5/6) = 2/5
    scores = pair_f1(gold, {("a", "1"), ("b", "3")})
    assert scores == pytest.approx({"f1": 40, "precision": 50, "recall": 100 / 3})
    assert pair_f1(gold, set()) == {"f1": 0, "precision": 0, "recall": 0}


text = st.text(alphabet="ab the,.红楼梦ال", max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("pqrs"), st.tuples(text, text), min_size=1), st.sampled_from(["en", "ar", "zh"]))
def test_answer_scores_are_bounded_and_keep_to_their_question(
    answers: dict[str, tuple[str, str]], language: str
) -> None:
    gold = {name: [right] for name, (right, _) in answers.items()}
    given_answers = {name: answer for name, (_, answer) in answers.items()}
    exact, overlap = question_scores(gold, given_answers, lambda s: normalize_mlqa(s, language))
    assert all(0 <= value <= 1 for value in exact + overlap)
    assert question_scores(gold, dict(reversed(given_answers.items())), lambda s: normalize_mlqa(s, language)) == (
        exact,
        overlap,
    )
    perfect, _ = question_scores(gold, {name: right[0] for name, right in gold.items()}, normalize_squad)
    assert perfect == [1.0] * len(gold)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 30), min_size=1), st.permutations(range(31)))
def test_average_precision_is_bounded_and_perfect_when_right_items_lead(right: set[int], order: list[int]) -> None:
    names = {str(item) for item in right}
    ranked = [str(item) for item in order]
    assert 0 <= average_precision(names, ranked) <= 1
    assert average_precision(names, sorted(ranked, key=lambda item: item not in names)) == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(pairs_of_tags(UPOS), st.randoms())
def test_tag_f1_is_bounded_and_ignores_the_order_of_sentences(
    sentences: list[list[tuple[str, str]]], rng: object
) -> None:
    # X aside: an X that starts a sentence is read together with the sentence before
    sentences = [[(g.replace("X", "NOUN"), p.replace("X", "NOUN")) for g, p in s] for s in sentences]
    shuffled = list(sentences)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    scores = tag_f1(*unzip(sentences))
    assert all(0 <= value <= 100 for value in scores.values())
    assert tag_f1(*unzip(shuffled)) == pytest.approx(scores)
    gold, _ = unzip(sentences)
    assert tag_f1(gold, gold)["f1"] == pytest.approx(100)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1), st.randoms())
def test_accuracy_is_bounded_and_ignores_the_order_of_examples(examples: list[tuple[str, str]], rng: object) -> None:
    shuffled = list(examples)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    gold, predicted = zip(*examples, strict=True)
    assert 0 <= accuracy(gold, predicted) <= 100
    assert accuracy(*zip(*shuffled, strict=True)) == accuracy(gold, predicted)
    assert accuracy(gold, gold) == 100
