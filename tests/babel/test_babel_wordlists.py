"""Synonyms and dictionaries: their formats, that synonyms keep every label, that dictionaries are one to one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xlt.babel import BabelConfig
from xlt.babel.context import Babel
from xlt.babel.grammar import Speaker, Token, text_of
from xlt.babel.language import SOURCE, BabelLanguage
from xlt.babel.lexicon import CONCEPTS


@pytest.fixture(scope="module")
def neighbours(world: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((world / "robust/counterfitted_neighbors.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def babel(config: BabelConfig) -> Babel:
    return Babel(config)


def test_known_neighbours(neighbours: dict[str, list[str]]) -> None:
    # one group per form: dictionary form, past, plural
    assert neighbours["doctor"] == ["physician"] and neighbours["physicians"] == ["doctors"]
    assert neighbours["bought"] == ["purchased"] and neighbours["purchase"] == ["buy"]
    # "saw" is a tool and what somebody saw; "noticed" would be right for one of them only
    assert neighbours["saw"] == [] and neighbours["noticed"] == []
    # "lost" is a state and the past of "lose"; "cheese" has no synonym
    assert neighbours["lost"] == [] and neighbours["cheese"] == []


def test_form_of_the_file(neighbours: dict[str, list[str]]) -> None:
    assert sum(bool(others) for others in neighbours.values()) >= 200
    for word, others in neighbours.items():
        assert word == word.lower() and word.isalpha() and len(others) <= 8
        assert word not in others and len(set(others)) == len(others)
        assert all(word in neighbours[other] for other in others)


def test_neighbours_say_the_same(neighbours: dict[str, list[str]]) -> None:
    plurals = {concept.id: [word + "s" for word in concept.words] for concept in CONCEPTS.values()}
    for word, others in neighbours.items():
        for other in others:
            said_by = [
                concept.id
                for concept in CONCEPTS.values()
                for forms in (concept.words, concept.past, plurals[concept.id])
                if word in forms and other in forms
            ]
            assert len(said_by) == 1, (word, other)


def test_no_name_of_the_world_has_neighbours(babel: Babel, neighbours: dict[str, list[str]]) -> None:
    names = {part.lower() for entity in babel.world.entities for part in entity.name}
    assert names and not [name for name in names if neighbours.get(name)]


def test_exchanging_synonyms_keeps_meaning_tags_and_names(babel: Babel, neighbours: dict[str, list[str]]) -> None:
    """Every sentence with all its words exchanged is the same clause said with other synonyms, word by word."""

    def last(language: BabelLanguage, concept: str) -> int:
        return len(language.forms[concept]) - 1

    def exchanged(token: Token) -> str:
        word = token.text.lower()
        others = neighbours.get(word, []) if token.concept in CONCEPTS else []
        return others[-1] if others else word

    teller = babel.teller("synonyms", "test")
    english = babel.languages[SOURCE]
    changed = 0
    for _ in range(300):
        clause = teller.clause()
        plain, rare = Speaker(english).sentence(clause), Speaker(english, last).sentence(clause)
        assert [token[1:5] for token in plain] == [token[1:5] for token in rare]
        for one, two in zip(plain, rare, strict=True):
            if neighbours.get(one.text.lower()) and one.concept in CONCEPTS and len(CONCEPTS[one.concept].words) == 2:
                assert exchanged(one) == two.text.lower(), text_of(plain)
                changed += 1
    assert changed > 300


def test_dictionaries_are_one_to_one(world: Path, babel: Babel) -> None:
    for code, language in babel.languages.items():
        if code == SOURCE:
            continue
        rows = [line.split("\t") for line in (world / f"lexicon/en-{code}.tsv").read_text("utf-8").splitlines()]
        assert len(rows) >= 200 and all(len(row) == 2 for row in rows)
        english, foreign = ([row[side] for row in rows] for side in (0, 1))
        for side in (english, foreign):
            assert len(set(side)) == len(side) and not any(" " in word or not word for word in side)
        pairs = {
            (word, form)
            for concept in CONCEPTS.values()
            for word, form in zip(concept.words, language.forms[concept.id], strict=True)
        }
        assert {(word, form) for word, form in rows} <= pairs
        # function words, and "clean", which somebody did and something was
        assert not {"the", "in", "not", "where", "clean"} & set(english)


def test_dictionary_of_near_language_shares_more_spellings(world: Path) -> None:
    shared = {}
    for code in ("qaa", "qac", "qag"):
        rows = [line.split("\t") for line in (world / f"lexicon/en-{code}.tsv").read_text("utf-8").splitlines()]
        shared[code] = sum(word == form for word, form in rows) / len(rows)
    assert shared["qaa"] > shared["qac"] > shared["qag"]


def test_raw_text_is_a_sentence_a_line_in_a_file_per_language(world: Path, config: BabelConfig) -> None:
    for code in config.languages:
        lines = (world / f"raw/{code}.txt").read_text(encoding="utf-8").splitlines()
        assert len([line for line in lines if line]) > 16
        assert all(not line or (line == line.strip() and line[-1] in ".?" and line.count(".") <= 1) for line in lines)
