"""Sentence pairs: natural language inference (entailment, neutral, contradiction), paraphrases, duplicate questions.

The second sentence is made from the first by a known change of meaning. Each kind of change occurs with premises of
both polarities and each number of details, so that the label does not show in the second sentence alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle

from xlt.babel.context import Babel
from xlt.babel.grammar import Clause, Phrase, with_phrase
from xlt.babel.lexicon import CONCEPTS, members
from xlt.babel.world import Storyteller

LABELS = ("entailment", "neutral", "contradiction")
PHRASES = ("subject", "object", "recipient", "place")


@dataclass(frozen=True, slots=True)
class PairMeaning:
    """Two clauses and the label of the pair."""

    first: Clause
    second: Clause
    label: str


def _wider(phrase: Phrase) -> Phrase | None:
    """The phrase with its category word as the noun: a "dog" is an "animal"."""
    concept = None if phrase.kind else CONCEPTS.get(phrase.head)
    return replace(phrase, head=concept.category) if concept is not None and concept.category in CONCEPTS else None


def _opposite(phrase: Phrase) -> Phrase | None:
    """The phrase with the antonym of its adjective."""
    return replace(phrase, adjective=CONCEPTS[phrase.adjective].antonym) if phrase.adjective else None


def _one_changed(clause: Clause, rng: random.Random, change: Callable[[Phrase], Phrase | None]) -> Clause | None:
    """The clause with ``change`` of one phrase that it can be made of, if there is any."""
    changed = {name: new for name in PHRASES if (old := getattr(clause, name)) is not None and (new := change(old))}
    if not changed:
        return None
    name = rng.choice(list(changed))
    return with_phrase(clause, name, changed[name])


def drop(clause: Clause, rng: random.Random, keep: float) -> Clause:
    """Leave out each detail with probability 1 - ``keep``."""
    for name in PHRASES:
        phrase = getattr(clause, name)
        if phrase is not None and phrase.adjective and rng.random() > keep:
            clause = with_phrase(clause, name, replace(phrase, adjective=None))
    if clause.place is not None and rng.random() > keep:
        clause = replace(clause, place=None)
    if clause.time is not None and rng.random() > keep:
        clause = replace(clause, time=None)
    return replace(clause, adverb=clause.adverb if rng.random() < keep else None)


def _generalise(clause: Clause, rng: random.Random) -> Clause | None:
    """Replace one noun by its hypernym: what follows when the clause is not negated."""
    return _one_changed(clause, rng, _wider)


def _antonym(clause: Clause) -> Clause | None:
    concept = CONCEPTS.get(clause.verb)
    return None if concept is None or concept.antonym is None else replace(clause, verb=concept.antonym)


def _other_place(clause: Clause, teller: Storyteller) -> Clause | None:
    if clause.place is None:
        return None
    place = teller.place()
    return None if (place.head, place.name) == (clause.place.head, clause.place.name) else replace(clause, place=place)


def _other_time(clause: Clause, rng: random.Random) -> Clause | None:
    times = [time for time in members("time") if time != clause.time]
    return None if clause.time is None else replace(clause, time=rng.choice(times))


def swap(clause: Clause, rng: random.Random) -> Clause | None:
    """Exchange two participants of the same kind, or two adjectives: the same words, another meaning."""
    options: list[Clause] = []
    person = clause.recipient or (clause.object if _frame(clause) == "person" else None)
    if person is not None:
        name = "recipient" if clause.recipient is not None else "object"
        options.append(with_phrase(replace(clause, subject=person), name, clause.subject))
    described = [name for name in PHRASES if (p := getattr(clause, name)) is not None and not p.kind and not p.number]
    for index, left in enumerate(described):
        for right in described[index + 1 :]:
            one, two = getattr(clause, left), getattr(clause, right)
            if one.adjective != two.adjective:
                changed = with_phrase(clause, left, replace(one, adjective=two.adjective))
                options.append(with_phrase(changed, right, replace(two, adjective=one.adjective)))
    return rng.choice(options) if options else None


def _frame(clause: Clause) -> str:
    return CONCEPTS[clause.verb].category if clause.verb in CONCEPTS else ""


def _contradict(premise: Clause, teller: Storyteller) -> Clause | None:
    """A clause that cannot be true when the premise is (everything happens once)."""
    rng = teller.rng
    short = drop(premise, rng, 0.5)
    if premise.negated or rng.random() < 0.3:
        return replace(short, negated=not premise.negated)
    changes: list[Callable[[], Clause | None]] = [
        lambda: _antonym(short),
        lambda: _one_changed(drop(premise, rng, 0.8), rng, _opposite),
        lambda: _other_place(drop(premise, rng, 0.8), teller),
        lambda: _other_time(drop(premise, rng, 0.8), rng),
    ]
    return rng.choice(changes)()


def _open(premise: Clause, teller: Storyteller) -> Clause | None:
    """A clause the premise leaves open: a detail more, a narrower word, or (negated) a wider event."""
    rng = teller.rng
    if premise.negated:
        shorter = drop(premise, rng, 0.3)
        if shorter != premise and rng.random() < 0.6:
            return shorter
        return None if premise.object is None else replace(premise, object=teller.thing())
    short = drop(premise, rng, 0.5)
    kind = rng.randrange(4)
    if kind == 0 and premise.place is None:
        return replace(short, place=teller.place(), preposition=teller.preposition())
    if kind == 1 and premise.time is None:
        return replace(short, time=rng.choice(members("time")))
    if kind == 2 and premise.object is not None and not premise.object.kind and not premise.object.number:
        described = premise.object.adjective is not None
        return None if described else replace(short, object=replace(premise.object, adjective=teller.quality(1.0)))
    return None


def inference(teller: Storyteller, label: str) -> PairMeaning:
    """One premise and hypothesis with the given label."""
    rng = teller.rng
    while True:
        premise = teller.clause(optional=0.55)
        premise = replace(premise, time_first=rng.random() < 0.2)
        if rng.random() < 0.2:
            premise = _generalise(premise, rng) or premise
        if rng.random() < 0.3:
            premise = replace(drop(premise, rng, 0.6), negated=True)
        wide = None
        if label != "contradiction" and not premise.negated and rng.random() < 0.35:
            wide = _generalise(premise, rng)
        second: Clause | None
        if label == "entailment":
            second = premise if premise.negated else drop(wide or premise, rng, 0.6)
        elif label == "neutral" and wide is not None:
            # the narrower word is in the hypothesis: "an animal slept" leaves open whether "a dog slept"
            premise, second = wide, drop(premise, rng, 0.6)
        elif label == "neutral":
            second = _open(premise, teller)
        else:
            second = _contradict(premise, teller)
            if second is not None and not premise.negated and rng.random() < 0.2 and not second.negated:
                second = _generalise(second, rng)
        if second is not None and (second != premise or rng.random() >= 0.8):
            return PairMeaning(premise, replace(second, time_first=rng.random() < 0.2), label)


def paraphrase(teller: Storyteller, label: str) -> PairMeaning:
    """Two sentences of (almost) the same words: "1" when they mean the same, "0" when participants were exchanged."""
    rng = teller.rng
    while True:
        first = teller.clause(optional=0.6, frame=rng.choice(("give", "person", "thing", "animal")))
        other = swap(first, rng)
        if other is None:
            continue
        first = replace(first, time_first=rng.random() < 0.5)
        second = first if label == "1" else other
        return PairMeaning(first, replace(second, time_first=rng.random() < 0.5), label)


def duplicate(teller: Storyteller, label: str) -> PairMeaning:
    """Two questions: "1" when the same is asked, "0" when a participant, the verb or what is asked differs."""
    rng = teller.rng
    while True:
        clause = replace(teller.clause(optional=0.5), adverb=None)
        slots = ["S"] + ["O"] * (clause.object is not None) + ["P"] * (clause.place is not None)
        slots += ["T"] * (clause.time is not None)
        asked = rng.choice(slots)
        first = replace(clause, ask=asked)
        if label == "1":
            return PairMeaning(first, first, label)
        changes = (swap(clause, rng), _antonym(clause), _other_time(clause, rng), _other_place(clause, teller))
        other = rng.choice(changes)
        if len(slots) > 1 and rng.random() < 0.4:
            return PairMeaning(first, replace(clause, ask=rng.choice([slot for slot in slots if slot != asked])), label)
        hidden = {"T": "time", "P": "place"}.get(
            asked
        )  # what is asked for is not said, so a change of it would not show
        if other is not None and (hidden is None or getattr(other, hidden) == getattr(clause, hidden)):
            return PairMeaning(first, replace(other, ask=asked), label)


def make(
    babel: Babel,
    task: str,
    split: str,
    count: int,
    one: Callable[[Storyteller, str], PairMeaning],
    labels: tuple[str, ...] = LABELS,
) -> list[PairMeaning]:
    """``count`` pairs, labels in turn (so they are balanced), then shuffled."""
    teller = babel.teller(task, split)
    labels_in_turn = cycle(labels[1:] + labels[:1])
    missing = {label: count // len(labels) + (index < count % len(labels)) for index, label in enumerate(labels)}
    found: list[PairMeaning] = []
    while len(found) < count:
        (pair,) = babel.fresh(
            task,
            1,
            lambda: one(teller, next(labels_in_turn)),
            lambda pair: (replace(pair.first, time_first=False),),
        )
        if missing[pair.label]:
            missing[pair.label] -= 1
            found.append(pair)
    teller.rng.shuffle(found)
    return found
