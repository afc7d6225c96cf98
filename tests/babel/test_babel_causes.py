"""Causes and effects: good and bad turns, in stories and in the choices made of them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from xlt.babel import BabelConfig, choices
from xlt.babel.context import Babel
from xlt.babel.grammar import Clause, Phrase
from xlt.babel.world import RULES, Storyteller, cause_of, effect_of, opposite_rules, turn

WHO, WHAT = Phrase("doctor"), Phrase("ring")


@pytest.fixture(scope="module")
def teller(config: BabelConfig) -> Storyteller:
    return Babel(config).teller("causes", "train")


def kind(clause: Clause) -> tuple[str, str | None, bool]:
    return clause.verb, clause.state, clause.object is not None


CAUSES = {kind(cause_of(number, WHO, WHAT)): rule.good for number, rule in enumerate(RULES)}
EFFECTS = {kind(effect_of(number, WHO, WHAT)): rule.good for number, rule in enumerate(RULES)}
SAID = {
    (kind(cause_of(number, WHO, WHAT)), kind(effect_of(number, WHO, WHAT))): rule.good
    for number, rule in enumerate(RULES)
}


def test_no_event_or_state_is_both_a_good_and_a_bad_turn() -> None:
    assert len(CAUSES) == len(EFFECTS) == len(SAID) == len(RULES)
    assert all(CAUSES[cause] == EFFECTS[effect] == good for (cause, effect), good in SAID.items())


def test_good_and_bad_turns_come_alike() -> None:
    rng = random.Random(1)
    good = [RULES[turn(rng)].good for _ in range(1000)]
    # five standard deviations are 79, although there are more good rules than bad ones
    assert abs(sum(good) - 500) < 79 and sum(rule.good for rule in RULES) > len(RULES) / 2


def test_opposite_rules() -> None:
    for rule in range(len(RULES)):
        others = opposite_rules(rule, 3, random.Random(rule))
        assert len(others) == 3 and all(RULES[other].good != RULES[rule].good for other in others)
        for side in ("cause", "effect"):
            assert len({getattr(RULES[other], side) for other in others}) == 3


def test_the_right_option_is_the_only_one_of_the_premise_s_sort(teller: Storyteller) -> None:
    for asked in ("cause", "effect"):
        for label in range(3):
            made = choices.causal(teller, asked, label, 3)
            premise, *options = (kind(clause) for clause in (made.premise, *made.options))
            pairs = [(option, premise) if asked == "cause" else (premise, option) for option in options]
            assert [pair in SAID for pair in pairs] == [position == label for position in range(3)]
            sorts = [(CAUSES if asked == "cause" else EFFECTS)[option] for option in options]
            assert [sort == sorts[label] for sort in sorts] == [position == label for position in range(3)]


def test_all_that_is_caused_in_a_story_is_of_one_sort(teller: Storyteller) -> None:
    caused = 0
    for _ in range(200):
        story = [kind(clause) for clause in teller.story(4)]
        sorts = {SAID[pair] for pair in pairwise(story) if pair in SAID}
        # a pair may also come about by chance
        caused += len(sorts) == 1
        assert len(sorts) <= 2
    assert caused > 100
