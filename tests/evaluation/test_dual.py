from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.conftest import ROOT

from xlt.config.benchmark import MiningRule, Recipe, load
from xlt.data.records import CandidateEntity, Mention, Mining, ParallelText, Passage
from xlt.families import DUAL_ENCODERS
from xlt.families.lareqa import QUERY_TOKENS, lareqa_candidates, lareqa_gold, rank_answers
from xlt.families.mewslix import entity_text, mention_text, rank_entities, split_pairs
from xlt.families.mining import align, mine_pairs
from xlt.families.retrieval import DEPTH, contrastive_features, with_prefix

EN = [
    Passage(
        "en_1", "Cats sit. Dogs run.", ("Cats sit.", "Dogs run."), (("q1", "Who sits?", 0), ("q2", "Who runs?", 1))
    ),
    Passage("en_2", "Birds fly.", ("Birds fly.",), (("q3", "Who flies?", 0),)),
]
DE = [
    Passage("de_1", "Katzen sitzen. Hunde rennen.", ("Katzen sitzen.", "Hunde rennen."), (("q1", "Wer sitzt?", 0),)),
]


def pairs_of(name: str, records: list[Any]) -> list[Any]:
    """The training pairs of a dual encoder."""
    return DUAL_ENCODERS[name].pairs(records, load(Recipe, ROOT / "configs" / "recipes" / f"{name}.yaml"))[0]


class Table:
    """An embedder with given vectors for given texts; notes what it was asked."""

    def __init__(self, vectors: dict[Any, Sequence[float]]) -> None:
        self.vectors = vectors
        self.calls: list[tuple[list[Any], int]] = []

    def __call__(self, texts: Sequence[Any], max_length: int, title: str, languages: Sequence[str]) -> Any:
        self.calls.append((list(texts), max_length))
        rows = np.array([self.vectors[text] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_lareqa_candidates_by_hand() -> None:
    assert lareqa_candidates([*EN, *DE]) == {
        "en_1_0": ("Cats sit.", "Cats sit. Dogs run."),
        "en_1_1": ("Dogs run.", "Cats sit. Dogs run."),
        "en_2_0": ("Birds fly.", "Birds fly."),
        "de_1_0": ("Katzen sitzen.", "Katzen sitzen. Hunde rennen."),
        "de_1_1": ("Hunde rennen.", "Katzen sitzen. Hunde rennen."),
    }


def test_every_right_candidate_of_lareqa_is_in_the_pool() -> None:
    gold = lareqa_gold({"en": EN, "de": DE})
    assert gold["de"] == {"q1_de": ["en_1_0", "de_1_0"]}
    names = {name for own in gold.values() for right in own.values() for name in right}
    assert names <= set(lareqa_candidates([*EN, *DE]))


def test_lareqa_training_pairs_are_question_and_answer_sentence_in_its_passage() -> None:
    assert pairs_of("lareqa", EN) == [
        ("Who sits?", ("Cats sit.", "Cats sit. Dogs run.")),
        ("Who runs?", ("Dogs run.", "Cats sit. Dogs run.")),
        ("Who flies?", ("Birds fly.", "Birds fly.")),
    ]


def test_lareqa_ranks_the_sentences_of_all_languages() -> None:
    vectors: dict[Any, Sequence[float]] = {
        ("Cats sit.", "Cats sit. Dogs run."): (1, 0, 0),
        ("Dogs run.", "Cats sit. Dogs run."): (0, 1, 0),
        ("Birds fly.", "Birds fly."): (0, 0, 1),
        ("Katzen sitzen.", "Katzen sitzen. Hunde rennen."): (0.8, 0.6, 0),
        ("Hunde rennen.", "Katzen sitzen. Hunde rennen."): (0.6, 0.8, 0),
        "Who sits?": (1, 0, 0),  # cosines 1, 0, 0, 0.8, 0.6
        "Who runs?": (0, 1, 0),  # 0, 1, 0, 0.6, 0.8
        "Who flies?": (0, 0.1, 1),
        "Wer sitzt?": (0.8, 0.6, 0.1),
    }
    embed = Table(vectors)
    found = rank_answers(embed, {"en": EN, "de": DE}, 352)[0]
    assert list(found["en"]) == ["q1_en", "q2_en", "q3_en"]
    assert found["en"]["q1_en"][:3] == ["en_1_0", "de_1_0", "de_1_1"]
    assert found["en"]["q2_en"][:3] == ["en_1_1", "de_1_1", "de_1_0"]
    assert found["en"]["q3_en"][0] == "en_2_0"
    assert found["de"]["q1_de"][0] == "de_1_0"
    assert all(len(row) == 5 for own in found.values() for row in own.values())
    assert [length for _, length in embed.calls] == [352 - QUERY_TOKENS, QUERY_TOKENS, QUERY_TOKENS]
    ranks = rank_answers(Table(vectors), {"en": EN, "de": DE}, 352)[1]
    assert ranks["en"] == {"q1_en": {"en_1_0": 1, "de_1_0": 2}, "q2_en": {"en_1_1": 1}, "q3_en": {"en_2_0": 1}}
    assert ranks["de"] == {"q1_de": {"en_1_0": 3, "de_1_0": 1}}  # cosines to the pool: 0.8, 0.6, 0.1, 1, 0.96


def mention(text: str, name: str, entity: str | None = "Q1", id: str = "m1") -> Mention:
    start = text.index(name)
    return Mention(id, text, start, start + len(name), entity)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("We saw Rome today.", "Rome", "Rome: We saw { Rome } today."),
        ("It rained. We saw Rome today. Then we left.", "Rome", "Rome: We saw { Rome } today."),
        ("Rome fell.", "Rome", "Rome: { Rome } fell."),
        ("In {old} times\tRome {it} fell.", "Rome", "Rome: In (old) times { Rome } (it) fell."),
        ("We saw Rome. Paris too.", "Rome. Paris", "Rome. Paris: We saw { Rome. Paris } too."),  # over a sentence end
    ],
)
def test_mention_texts_by_hand(text: str, name: str, expected: str) -> None:
    assert mention_text(mention(text, name), "en") == expected


@pytest.mark.parametrize(
    ("language", "text", "name", "expected"),
    [
        ("ja", "彼は東京に行った。次の日、京都で休んだ。", "京都", "京都: 次の日、 { 京都 } で休んだ。"),
        ("zh", "他去了北京。她在上海工作！真的。", "上海", "上海: 她在 { 上海 } 工作！"),
        ("th", "เขาไปกรุงเทพฯ วันที่ 3 พฤษภาคม เธออยู่เชียงใหม่", "เชียงใหม่", "เชียงใหม่: เธออยู่ { เชียงใหม่ }"),
        ("de", "Er ging. Sie kam am 3. Mai nach Köln. Es war spät.", "Köln", "Köln: Sie kam am 3. Mai nach { Köln } ."),
    ],
)
def test_a_mention_without_sentence_in_its_file_is_cut_as_its_language_is_written(
    language: str, text: str, name: str, expected: str
) -> None:
    assert mention_text(mention(text, name), language) == expected


def test_a_mention_is_cut_from_the_sentence_of_its_file() -> None:
    # no splitter would end a sentence at this comma
    given = Mention("m", "One, two Rome three, four.", 9, 13, "Q1", (5, 20))
    assert mention_text(given, "en") == "Rome: two { Rome } three,"


def test_entity_text_is_one_line() -> None:
    assert entity_text(CandidateEntity("Q1", "Rome", "Capital\n of\tItaly. ", "en")) == "Capital of Italy."


ENTITIES = [
    CandidateEntity("Q1", "Rome", "city", "en"),
    CandidateEntity("Q2", "Bob", "man", "en"),
    CandidateEntity("Q3", "Ida", "song", "de"),
]


def test_mewslix_pairs_by_hand() -> None:
    own = [mention("We saw Rome.", "Rome"), mention("Bob ran.", "Bob", "Q2", "m2")]
    records: list[Mention | CandidateEntity] = [*own, *ENTITIES]
    mentions, entities = split_pairs(records)
    assert [m.id for m in mentions] == ["m1", "m2"]
    assert list(entities) == ["Q1", "Q2", "Q3"]
    assert pairs_of("mewslix", records) == [("Rome: We saw { Rome } .", "city"), ("Bob: { Bob } ran.", "man")]
    unlabelled: list[Mention | CandidateEntity] = [mention("We saw Rome.", "Rome", None), *ENTITIES]
    assert pairs_of("mewslix", unlabelled) == []


def test_mewslix_ranks_the_one_candidate_set() -> None:
    vectors: dict[Any, Sequence[float]] = {
        "city": (1, 0),
        "man": (0, 1),
        "song": (1, 1),
        "Rome: We saw { Rome } .": (1, 0.2),
        "Bob: { Bob } ran.": (0, 1),
    }
    mentions = {"en": [mention("We saw Rome.", "Rome")], "de": [mention("Bob ran.", "Bob", "Q2", "m2")]}
    found = rank_entities(Table(vectors), mentions, ENTITIES, 64)
    assert found == {"en": {"m1": ["Q1", "Q3", "Q2"]}, "de": {"m2": ["Q2", "Q3", "Q1"]}}


def test_rankings_stop_at_depth_twenty() -> None:
    entities = [CandidateEntity(f"Q{i}", "t", f"d{i}", "en") for i in range(25)]
    vectors: dict[Any, Sequence[float]] = {f"d{i}": (np.cos(i / 20), np.sin(i / 20)) for i in range(25)}
    vectors["Rome: We saw { Rome } ."] = (1, 0)  # cosine falls with i
    found = rank_entities(Table(vectors), {"en": [mention("We saw Rome.", "Rome")]}, entities, 64)
    assert found["en"]["m1"] == [f"Q{i}" for i in range(20)]
    assert DEPTH == 20


def test_tatoeba_matches_within_the_language_s_own_file() -> None:
    vectors: dict[Any, Sequence[float]] = {
        "eins": (1, 0),
        "zwei": (0, 1),
        "one": (1, 0.1),
        "two": (0.1, 1),
        "un": (0.9, 0.1),
        "first": (0.5, 0.5),
        "three": (-1, 0),
    }
    bitexts = {
        "de": ParallelText(("eins", "zwei", "eins"), ("two", "one", "first"), (1, 0, 2)),
        "fr": ParallelText(
            ("un", "zwei"), ("three", "first"), (1, 0)
        ),  # "one" would be nearer, but it is in the German file
    }
    embed = Table(vectors)
    official, into_english = align(embed, bitexts, 50)
    # English to foreign: two is nearest to zwei, one and first to eins (first of its two lines); "three" points away
    # from both, least from zwei: cosines -0.99 and 0; first: 0.78 to un, 0.71 to zwei
    assert official == {"de": [1, 0, 0], "fr": [1, 0]}
    assert into_english == {"de": [1, 0, 1], "fr": [1, 1]}
    (texts, length), *others = embed.calls
    assert not others  # all languages at once,
    assert len(texts) == 8 and len(set(texts)) == 7  # each text once in each language: "zwei" is German and French
    assert length == 50


def test_bucc_takes_its_threshold_from_the_training_split() -> None:
    # Ratio margins, with the mean over both neighbours on each side. Training split:
    #   s1 t1: 1 / ((1 + 0.5) / 4 + (1 + 0) / 4) = 1 / 0.625 = 1.6, right
    #   s2 t2: 0.6 / ((0.6 + 0) / 4 + (0.6 + 0.5) / 4) = 0.6 / 0.425 = 1.41, wrong: the threshold lies above it, up to 1.6
    # Test split:
    #   s3 t3: 1 / ((1 + 0.4) / 4 + (1 + 0) / 4) = 1.67
    #   s4 t4: 0.2 / ((0.2 + 0) / 4 + (0.2 + 0.4) / 4) = 1.0
    vectors: dict[Any, Sequence[float]] = {
        **dict.fromkeys(("s1", "t1", "s3", "t3"), (1, 0, 0)),
        **dict.fromkeys(("s2", "s4"), (0, 1, 0)),
        "t2": (0.5, 0.6, (1 - 0.25 - 0.36) ** 0.5),
        "t4": (0.4, 0.2, (1 - 0.16 - 0.04) ** 0.5),
    }
    train = Mining({"a": "s1", "b": "s2"}, {"c": "t1", "d": "t2"}, frozenset({("a", "c")}))
    test = Mining({"e": "s3", "f": "s4"}, {"g": "t3", "h": "t4"}, frozenset({("e", "g"), ("f", "h")}))
    strict = mine_pairs(Table(vectors), test, train, 50, "t", MiningRule())
    own = mine_pairs(Table(vectors), test, None, 50, "t", MiningRule())
    assert strict == {("e", "g")}
    assert own == {("e", "g"), ("f", "h")}
    with pytest.raises(ValueError, match="gold"):
        mine_pairs(Table(vectors), Mining(test.source, test.target, None), None, 50, "t", MiningRule())


def test_contrastive_features_hold_query_and_answer(tokenizer: Any) -> None:
    pairs: list[Any] = [("who sat", ("the cat sat", "the cat sat on the mat")), ("dog " * 30, ("a", "red " * 40))]
    features = contrastive_features(pairs, tokenizer, query_length=12, answer_length=20, prefix="it ")

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    assert features[0].rows[0] == [0, *ids("it who sat"), 2]
    assert features[0].rows[1][:20] == [0, *ids("it the cat sat"), 2, 2, *ids("the cat sat on the mat"), 2][:20]
    assert [len(row) for row in features[1].rows] == [12, 20]
    assert [len(types) for types in features[1].types] == [12, 20]
    assert [feature.record for feature in features] == [0, 1]


def test_a_prefix_goes_before_a_text_or_the_first_of_a_pair() -> None:
    assert with_prefix("a", "query: ") == "query: a"
    assert with_prefix(("a", "b"), "query: ") == ("query: a", "b")


def test_bucc_by_cosine_and_with_one_neighbour() -> None:
    # Cosines: s1 t1 0.9, s1 t2 0.52, s2 t1 0, s2 t2 0.8: (s1, t1) at 0.9 and (s2, t2) at 0.8; the threshold lies between.
    # With one neighbour every margin is x / ((x + x) / 2) = 1, so both pairs have one score and are kept together.
    vectors: dict[Any, Sequence[float]] = {
        "s1": (1, 0, 0),
        "s2": (0, 1, 0),
        "t1": (0.9, 0, (1 - 0.81) ** 0.5),
        "t2": (0.52, 0.8, (1 - 0.2704 - 0.64) ** 0.5),
    }
    test = Mining({"a": "s1", "b": "s2"}, {"c": "t1", "d": "t2"}, frozenset({("a", "c")}))
    assert mine_pairs(Table(vectors), test, None, 50, "t", MiningRule(score="cosine")) == {("a", "c")}
    both = mine_pairs(Table(vectors), test, None, 50, "t", MiningRule(score="ratio", neighbours=1))
    assert both == {("a", "c"), ("b", "d")}
