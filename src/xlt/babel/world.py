"""The inhabitants of the Babel world and what happens to them: entities, events, causes, coherent stories."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from xlt.babel.config import WorldConfig
from xlt.babel.grammar import RARE, Clause, Phrase, is_person
from xlt.babel.language import stream
from xlt.babel.lexicon import THINGS, members

GIVEN_NAMES = (
    "Anna Boris Clara David Elena Felix Greta Hugo Irina Jonas Karla Leo Mina Nils Olga Pablo Rosa Simon Tara Ulric "
    "Vera Walter Yara Zeno Alma Bruno Celia Dario Edith Franz Gilda Henrik Ines Jakob Kira Lars Marta Nora Otto Petra"
)
GIVEN = GIVEN_NAMES.split()
ONSETS = "b br d f g h j k l m n p r s st t v w"
ENDINGS = {"PER": ("er", "son", "ov", "ley", "mann"), "LOC": ("ton", "berg", "dale", "vik", "mar")}
PLACES = ("in", "near", "behind", "under")


@dataclass(frozen=True, slots=True)
class NamedEntity:
    """Somebody or something with a name; ``trait`` is a profession (people) or kind, ``home`` the place it belongs to."""

    id: str
    kind: str
    name: tuple[str, ...]
    trait: str
    home: str


def _root(rng: random.Random) -> str:
    return rng.choice(ONSETS.split()) + rng.choice("aeiou") + rng.choice(("l", "n", "r", "s", "nd", "rt", "k", ""))


def _proper(rng: random.Random, kind: str, taken: set[str]) -> str:
    """A new name; one in three lacks the ending that gives its type away."""
    while True:
        ending = rng.choice(ENDINGS[kind]) if rng.random() < 2 / 3 else rng.choice(("a", "o", "en", "is", "em"))
        name = (_root(rng) + ending).capitalize()
        if name not in taken:
            taken.add(name)
            return name


@dataclass(frozen=True)
class World:
    """People, places and organisations, and rare words by part of speech; ``part`` splits what training may show."""

    people: tuple[NamedEntity, ...]
    places: tuple[NamedEntity, ...]
    organisations: tuple[NamedEntity, ...]
    rare: tuple[str, ...]
    rare_share: float

    def part(self, hidden: bool) -> World:
        """The world as test data shows it (all of it) or as training data does (the first two thirds of each list)."""
        lists = ("people", "places", "organisations", "rare")
        shown: Any = {name: getattr(self, name)[: 2 * len(getattr(self, name)) // 3] for name in lists}
        return self if hidden else replace(self, **shown)

    @property
    def entities(self) -> tuple[NamedEntity, ...]:
        """Everybody and everything with a name."""
        return self.people + self.places + self.organisations


def build(config: WorldConfig, seed: int) -> World:
    """The world of a seed."""
    rng = stream(seed, "world")
    taken: set[str] = set(GIVEN)
    places = tuple(
        NamedEntity(
            f"Q{1000 + i}", "LOC", (_proper(rng, "LOC", taken),), rng.choice(("village", "island", "castle")), ""
        )
        for i in range(config.places)
    )
    surnames = [_proper(rng, "PER", taken) for _ in range(max(8, config.people // 3))]
    named: set[tuple[str, str]] = set()
    people: list[NamedEntity] = []
    while len(people) < config.people:
        name = (rng.choice(GIVEN), rng.choice(surnames))
        if name not in named:
            named.add(name)
            trait, home = rng.choice(members("person")), rng.choice(places).name[0]
            people.append(NamedEntity(f"Q{2000 + len(people)}", "PER", name, trait, home))
    founders = surnames + [place.name[0] for place in places]
    organisations: list[NamedEntity] = []
    heads = members("organisation", "PROPN")
    while len(organisations) < config.organisations:
        founder, head = rng.choice(founders), rng.choice(heads)
        if (founder, head) not in named:
            named.add((founder, head))
            number = f"Q{3000 + len(organisations)}"
            organisations.append(NamedEntity(number, "ORG", (founder,), head, rng.choice(places).name[0]))
    rare: list[str] = []
    while len(rare) < config.rare_words:
        word = _root(rng) + _root(rng)
        if word not in rare:
            rare.append(word)
    return World(tuple(people), places, tuple(organisations), tuple(rare), config.rare_share)


def refer(entity: NamedEntity, rng: random.Random, full: float = 0.4) -> Phrase:
    """Name an entity; a person by both names with probability ``full``, else by the given name."""
    if entity.kind == "ORG":
        return Phrase(head=entity.trait, name=entity.name, kind="ORG")
    if entity.kind == "PER" and rng.random() >= full:
        return Phrase(name=entity.name[:1] if rng.random() < 0.7 else entity.name[1:], kind="PER")
    return Phrase(name=entity.name, kind=entity.kind)


class Storyteller:
    """Draws clauses and stories from a world with one random generator."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.rng.random() < probability

    def _noun(self, concepts: Sequence[str]) -> str:
        if self.world.rare and self.chance(self.world.rare_share):
            return RARE + self.rng.choice(self.world.rare)
        return self.rng.choice(concepts)

    def person(self, named: float = 0.6) -> Phrase:
        """Somebody: by name, or by profession."""
        if self.chance(named):
            return refer(self.rng.choice(self.world.people), self.rng)
        adjective = self.rng.choice(members("state", "ADJ")) if self.chance(0.2) else None
        return Phrase(self._noun(members("person")), adjective=adjective)

    def animal(self) -> Phrase:
        """An animal."""
        return Phrase(self._noun(members("animal")), adjective=self.quality(0.25), article=self.article())

    def thing(self, adjective: float = 0.35) -> Phrase:
        """A thing, sometimes several."""
        if self.chance(0.12):
            return Phrase(self._noun(THINGS), number=self.rng.choice(members("number", "NUM")))
        return Phrase(self._noun(THINGS), adjective=self.quality(adjective), article=self.article())

    def place(self, named: float = 0.4) -> Phrase:
        """A place: by name or kind, sometimes an organisation."""
        if self.chance(named):
            return refer(self.rng.choice(self.world.places + self.world.organisations), self.rng)
        return Phrase(self._noun(members("place")), adjective=self.quality(0.15))

    def quality(self, probability: float) -> str | None:
        """An adjective for a thing, or none."""
        return self.rng.choice(members("quality", "ADJ")) if self.chance(probability) else None

    def article(self) -> str:
        """Mostly "the", sometimes "a"."""
        return "the" if self.chance(0.7) else "a"

    def subject(self) -> Phrase:
        """Who acts: mostly people, sometimes an organisation."""
        if self.chance(0.1):
            return refer(self.rng.choice(self.world.organisations), self.rng)
        return self.person()

    def clause(self, subject: Phrase | None = None, *, optional: float = 0.5, frame: str | None = None) -> Clause:
        """One event. ``optional``: probability of each of place and time."""
        if frame is None:
            frame = self.rng.choice(("thing", "thing", "thing", "give", "person", "animal", ""))
        subject = subject or self.subject()
        clause = Clause(self.rng.choice(members(frame, "VERB")), subject)
        target = {"thing": self.thing, "give": self.thing, "animal": self.animal}
        if frame in target:
            clause = replace(clause, object=target[frame]())
        elif frame == "person":
            clause = replace(clause, object=self._other(subject))
        if frame == "give":
            clause = replace(clause, recipient=self._other(subject))
        return self.details(clause, optional)

    def _other(self, subject: Phrase) -> Phrase:
        while True:
            person = self.person()
            if (person.head, person.name[:1]) != (subject.head, subject.name[:1]):
                return person

    def details(self, clause: Clause, optional: float) -> Clause:
        """Add place, time and manner by chance."""
        if self.chance(optional):
            clause = replace(clause, place=self.place(), preposition=self.preposition())
        if self.chance(optional):
            clause = replace(clause, time=self.rng.choice(members("time")))
        if self.chance(0.12):
            clause = replace(clause, adverb=self.rng.choice(members("manner", "ADV")))
        return clause

    def preposition(self) -> str:
        """Mostly "in"."""
        return "in" if self.chance(0.6) else self.rng.choice(PLACES)

    def state(self, subject: Phrase) -> Clause:
        """A state: "the lamp was heavy"."""
        kind = "state" if is_person(subject) else "quality"
        adjective = self.rng.choice(members(kind, "ADJ"))
        return Clause("be", replace(subject, adjective=None), state=adjective, negated=self.chance(0.15))

    def story(self, length: int) -> list[Clause]:
        """A coherent document: the same people and things come back, causes are followed by effects.

        All that is caused in one story is good or all is bad, so that it shows which events and states go together.
        """
        good = self.chance(0.5)
        cast = [self.person(named=0.75) for _ in range(2)]
        thing = self.thing()
        told: list[Clause] = []
        while len(told) < length:
            subject = self.rng.choice(cast)
            kind = self.rng.random()
            if kind < 0.6 and length - len(told) >= 2:
                told += self.causal(subject, thing, good)
            elif kind < 0.68 and told:
                told.append(self.state(self.rng.choice((subject, thing))))
            elif kind < 0.84:
                clause = self.clause(subject, optional=0.4, frame="thing")
                told.append(replace(clause, object=thing))
            else:
                told.append(self.clause(subject, optional=0.4))
        return told[:length]

    def causal(self, subject: Phrase, thing: Phrase, good: bool) -> list[Clause]:
        """A cause and its effect, with the details stories have."""
        rule = self.rng.choice([rule for rule in RULES if rule.good == good])
        return [self.details(_fill(rule.cause, subject, thing), 0.25), _fill(rule.effect, subject, thing)]


# causes and effects: verb or "be:state"; "x" is the person, "y" the thing ("y:" opens a clause about the thing)
GOOD = """
find.v y > x be happy; rest.v > x be awake; win.v > x be famous; sell.v y > x be rich; clean.v y > y be clean.a;
repair.v y > y be whole; sleep.v > x be strong; sing.v > x laugh.v; wait.v > x be calm; dance.v > x rest.v;
paint.v y > y be new; hold.v y > x be safe; take.v y > x arrive.v; draw.v y > x be healthy
"""
BAD = """
lose.v y > x be sad; work.v > x be tired; fail.v > x be angry; buy.v y > x be poor; steal.v y > x hide.v y;
fall.v > x be sick; drop.v y > y be broken; push.v y > y be lost.a; break.v y > x cry.v; swim.v > x be wet;
carry.v y > x be weak
"""

Pattern = tuple[str, str, str]
"""Subject ("x" or "y"), verb, object or state."""


class Rule(NamedTuple):
    """What follows from what, and whether it is a good or a bad turn."""

    cause: Pattern
    effect: Pattern
    good: bool


def _parse(text: str) -> Pattern:
    """``"lose.v y"`` -> (subject, verb, object or state)."""
    who, verb, *rest = text.split() if text.split()[0] in ("x", "y") else ["x", *text.split()]
    return who, verb, rest[0] if rest else ""


def _rules(text: str, good: bool) -> list[Rule]:
    sides = [[_parse(side) for side in rule.split(">")] for rule in text.split(";")]
    return [Rule(cause, effect, good) for cause, effect in sides]


RULES = (*_rules(GOOD, True), *_rules(BAD, False))


def turn(rng: random.Random) -> int:
    """A rule, good or bad alike."""
    good = rng.random() < 0.5
    return rng.choice([number for number, rule in enumerate(RULES) if rule.good == good])


def _fill(pattern: Pattern, subject: Phrase, thing: Phrase) -> Clause:
    who, verb, rest = pattern
    topic = subject if who == "x" else replace(thing, adjective=None, article="the")
    if verb == "be":
        return Clause("be", replace(topic, adjective=None), state=rest)
    return Clause(verb, topic, object=replace(thing, adjective=None, article="the") if rest == "y" else None)


def cause_of(rule: int, subject: Phrase, thing: Phrase) -> Clause:
    """The cause of a rule, for given participants."""
    return _fill(RULES[rule].cause, subject, thing)


def effect_of(rule: int, subject: Phrase, thing: Phrase) -> Clause:
    """The effect of a rule, for given participants."""
    return _fill(RULES[rule].effect, subject, thing)


def opposite_rules(rule: int, count: int, rng: random.Random) -> list[int]:
    """Bad turns for a good one and good ones for a bad one, with causes and effects of their own."""
    candidates = [number for number, other in enumerate(RULES) if other.good != RULES[rule].good]
    rng.shuffle(candidates)
    found: list[int] = []
    for other in candidates:
        if all(RULES[other].cause != RULES[one].cause and RULES[other].effect != RULES[one].effect for one in found):
            found.append(other)
    return found[:count]
