"""Everyday words and rarer synonyms: which a language prefers, which task files say, which a translation keeps."""

from __future__ import annotations

import pytest

from xlt.babel import BabelConfig
from xlt.babel.config import LanguageConfig
from xlt.babel.context import Babel
from xlt.babel.corpus import translators
from xlt.babel.grammar import Clause, Phrase
from xlt.babel.language import BabelLanguage, stream
from xlt.babel.lexicon import CONCEPTS

PLAIN = LanguageConfig(name="Plain", family="Far", cognates=1, shared_names=1)
SEVERAL = [name for name, concept in CONCEPTS.items() if len(concept.words) > 1]


@pytest.fixture(scope="module")
def babel(config: BabelConfig) -> Babel:
    return Babel(config)


def language(**changed: float) -> BabelLanguage:
    return BabelLanguage("qzz", PLAIN.model_copy(update=changed), 1)


def test_share_of_rarer_everyday_words_is_what_the_config_says() -> None:
    assert not any(language().everyday.values())
    assert all(language(rarer_synonyms=1.0).everyday[name] > 0 for name in SEVERAL)
    half = language(rarer_synonyms=0.5).everyday
    # about 90 concepts have synonyms: five standard deviations are 0.27
    assert abs(sum(half[name] > 0 for name in SEVERAL) / len(SEVERAL) - 0.5) < 0.27
    assert not any(index for name, index in half.items() if name not in SEVERAL)


def test_the_only_word_of_a_concept_goes_with_its_everyday_synonym() -> None:
    one = language(rarer_synonyms=1.0, synonyms=0.0)
    # doctor|physician: the second is the everyday one, and the only word there is
    assert one.everyday["doctor"] == 1 and one.forms["doctor"] == ("physician", "physician")
    assert language(rarer_synonyms=1.0).forms["doctor"] == ("doctor", "physician")


def test_task_files_say_everyday_words(babel: Babel) -> None:
    english = babel.speaker("en", "count")
    said = [english.word("doctor", "NOUN", "S").text for _ in range(2000)]
    # 0.95 and half of the rest: 0.975; five standard deviations are 0.018
    assert abs(said.count("doctor") / len(said) - 0.975) < 0.018


def test_translations_keep_the_synonym_and_paraphrases_do_not(babel: Babel) -> None:
    rng = stream(1, "test")
    clause = Clause("buy.v", Phrase("doctor"), Phrase("hat"))
    same = {"other": 0, "own": 0}
    for _ in range(100):
        for second, name in (("qaf", "other"), ("en", "own")):
            sides = [speaker.sentence(clause) for speaker in translators(babel, "en", second, rng)]
            chosen = [{token.concept: token.synonym for token in side if token.slot in "SVO"} for side in sides]
            same[name] += all(chosen[0][word] == chosen[1][word] for word in ("buy.v", "doctor", "hat"))
    # three words of two synonyms each: by chance 100 / 8, five standard deviations are 16.5
    assert same["other"] == 100 and same["own"] < 29
