"""Languages and grammar: sentences worked out by hand, known distances, the private-use codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlt.babel import BabelConfig, load
from xlt.babel.config import LanguageConfig
from xlt.babel.grammar import Clause, Phrase, Speaker, join, span_of, text_of
from xlt.babel.language import LATIN, SCRIPTS, BabelLanguage, distance
from xlt.errors import InputError

ENGLISH = LanguageConfig(name="English", family="Source", cognates=1, shared_names=1, capitals=True)
# every word a cognate, written in Latin letters without sound changes: the grammar alone differs
VERB_LAST = LanguageConfig(
    name="Last",
    family="Far",
    cognates=1,
    shared_names=1,
    order="SOV",
    adposition="after",
    article="none",
    accusative="m",
)
VERB_FIRST = LanguageConfig(
    name="First",
    family="Far",
    cognates=1,
    shared_names=1,
    order="VSO",
    adjective="after",
    article="suffix",
    negation="after",
)
CLAUSE = Clause(
    "buy.v", Phrase(name=("Anna",), kind="PER"), Phrase("lamp", adjective="old"), place=Phrase("market"), time="monday"
)


def said(settings: LanguageConfig, clause: Clause, code: str = "qzz") -> str:
    return text_of(Speaker(BabelLanguage(code, settings, 1)).sentence(clause))


def test_word_order_adpositions_and_articles() -> None:
    assert said(ENGLISH, CLAUSE, "en") == "Anna bought the old lamp in the market on Monday."
    # subject, time, place, object, verb; the adposition follows its noun; no article; the object ends in -m
    assert said(VERB_LAST, CLAUSE) == "Anna Monday on market in old lampm buy."
    # verb, subject, object with its adjective behind it and the article as the ending -en
    assert said(VERB_FIRST, CLAUSE) == "buy Anna lampen old in marketen on Monday."


def test_negation() -> None:
    denied = Clause("sleep.v", Phrase("dog"), negated=True)
    assert said(ENGLISH, denied, "en") == "The dog did not sleep."
    assert said(VERB_LAST, denied) == "dog not sleep."
    assert said(VERB_FIRST, denied) == "sleep not dogen."


def test_questions() -> None:
    asked = Clause("buy.v", Phrase(name=("Anna",), kind="PER"), Phrase("lamp"), place=Phrase("market"), ask="P")
    assert said(ENGLISH, asked, "en") == "Where did Anna buy the lamp?"
    assert said(VERB_LAST.model_copy(update={"fronted_question": False}), asked) == "Anna where lampm buy?"
    who = Clause("buy.v", Phrase("dog"), Phrase("lamp"), ask="S")
    assert said(ENGLISH, who, "en") == "What bought the lamp?"
    assert said(VERB_FIRST, who) == "what buy lampen?"


def test_slots_find_their_words() -> None:
    tokens = Speaker(BabelLanguage("en", ENGLISH, 1)).sentence(CLAUSE)
    text, spans = join(tokens)
    start, end = span_of(tokens, "O")
    assert text[start:end] == "old lamp"
    assert [text[a:b] for a, b in spans][-2:] == ["Monday", "."]
    assert [(t.tag, t.name) for t in tokens][:3] == [("PROPN", "B-PER"), ("VERB", "O"), ("DET", "O")]


def test_organisations_are_tagged_as_one_name() -> None:
    bank = Clause("win.v", Phrase(head="bank", name=("Hale",), kind="ORG"))
    tokens = Speaker(BabelLanguage("qzz", VERB_FIRST, 1)).sentence(bank)
    assert [(t.text, t.name) for t in tokens] == [("win", "O"), ("Bank", "B-ORG"), ("Hale", "I-ORG"), (".", "O")]


def test_scripts_map_every_letter_to_one_character() -> None:
    assert all(len(letters) == len(LATIN) for letters in SCRIPTS.values())
    greek = BabelLanguage("qzz", ENGLISH.model_copy(update={"script": "greek"}), 1)
    assert greek.write("dama") == "δαμα" and greek.capital("δαμα") == "Δαμα"


def test_cognate_share_is_what_the_config_says(config: BabelConfig) -> None:
    half = BabelLanguage("qzz", ENGLISH.model_copy(update={"cognates": 0.5, "synonyms": 1.0}), 1)
    english = BabelLanguage("en", ENGLISH, 1)
    same = [half.forms[c][i] == word for c, words in english.forms.items() for i, word in enumerate(words)]
    # about 350 words, each a cognate with probability 0.5: five standard deviations are 0.13
    assert abs(sum(same) / len(same) - 0.5) < 0.13


def test_distance_grows_from_near_to_far(config: BabelConfig) -> None:
    source = config.languages["en"]
    assert distance(source, source) == 0
    by_family: dict[str, list[float]] = {}
    for settings in list(config.languages.values())[1:]:
        by_family.setdefault(settings.family.split()[0], []).append(distance(settings, source))
    assert max(by_family["Near"]) < min(by_family["Middle"]) and max(by_family["Middle"]) < min(by_family["Far"])


def test_codes_are_private_use(config: BabelConfig) -> None:
    assert next(iter(config.languages)) == "en"
    assert all("qaa" <= code <= "qtz" for code in list(config.languages)[1:])


def test_wrong_dial_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "babel.yaml"
    path.write_text("seed: 1\nlanguages: {en: {name: English, famly: x}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"babel\.yaml:2: unknown key languages\.en\.famly"):
        load(path)
    with pytest.raises(InputError, match="found nothing"):
        load(tmp_path / "absent.yaml")
