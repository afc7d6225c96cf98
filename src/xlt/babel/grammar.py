"""Meanings (clauses of typed phrases) and their rendering as words of a language, each word with tag, name type and slot.

A clause is the same for every language; word order, articles, endings and the place of adpositions, adjectives, negation
and question words are the language's own. Slots say which part of the meaning a word stands for: that is how answers,
corrupted words and translations are found again without aligning anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from xlt.babel.language import SOURCE, BabelLanguage
from xlt.babel.lexicon import CONCEPTS, WEEKDAYS

RARE = "~"  # marks a rare word among the concept ids
NAME = "@"  # marks a proper name among the concepts of tokens


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase. A named one has ``name`` and ``kind`` (PER, LOC, ORG); ``head`` is then the noun of an ORG, or ""."""

    head: str = ""
    name: tuple[str, ...] = ()
    kind: str = ""
    adjective: str | None = None
    number: str | None = None
    article: str = "the"


@dataclass(frozen=True, slots=True)
class Clause:
    """One event or state. ``verb`` "be" takes ``state`` (an adjective) or ``role`` (a noun: "was a baker from Oster").

    ``ask`` is the slot a question asks for: S, O, R, P or T. ``time_first`` is style: it does not change the meaning.
    """

    verb: str
    subject: Phrase
    object: Phrase | None = None
    recipient: Phrase | None = None
    preposition: str = "in"
    place: Phrase | None = None
    time: str | None = None
    adverb: str | None = None
    state: str | None = None
    role: str | None = None
    negated: bool = False
    time_first: bool = False
    ask: str | None = None


class Token(NamedTuple):
    """A word: text, universal part of speech, BIO name tag, slot, concept ("@Anna" for a name), which synonym."""

    text: str
    tag: str
    name: str
    slot: str
    concept: str
    synonym: int = 0


Choose = Callable[[BabelLanguage, str], int]
"""Which synonym of a concept a language's speaker says: a position in the language's forms of it."""


def everyday(language: BabelLanguage, concept: str) -> int:
    """Always the everyday word."""
    return language.everyday[concept]


class Speaker:
    """Renders clauses in one language; ``choose`` picks among synonyms."""

    def __init__(self, language: BabelLanguage, choose: Choose = everyday) -> None:
        self.language = language
        self.settings = language.settings
        self.choose = choose

    def word(
        self, concept: str, tag: str, slot: str, ending: str = "", past: bool = False, synonym: int | None = None
    ) -> Token:
        """One common word with an ending (already in Latin letters); ``synonym`` overrides the speaker's choice."""
        rare, english = concept.startswith(RARE), self.language.code == SOURCE
        index = 0 if rare else self.choose(self.language, concept) if synonym is None else synonym
        stem = self.language.rare(concept[1:]) if rare else self.language.forms[concept][index]
        if past and english:
            text = stem + "ed" if rare else CONCEPTS[concept].past[index]
        else:
            text = stem + self.language.write(self.settings.past if past else ending)
        return Token(text, tag, "O", slot, concept, index)

    def phrase(self, phrase: Phrase, slot: str, *, accusative: bool = False) -> list[Token]:
        """A noun phrase in the language's order, with its article and endings."""
        if phrase.kind:
            return self._name(phrase, slot)
        plural = phrase.number is not None
        english = self.language.code == SOURCE
        ending = ("s" if english else self.settings.plural) if plural else ""
        ending += self.settings.accusative if accusative else ""
        article = "" if plural else phrase.article
        if article and self.settings.article == "suffix":
            ending += {"the": "en", "a": "ik"}[article]
        tokens = [self.word(phrase.head, "NOUN", slot, ending)]
        if phrase.adjective:
            rare_noun = phrase.adjective.startswith(RARE) and len(phrase.adjective) % 2 == 0
            adjective = self.word(phrase.adjective, "NOUN" if rare_noun else "ADJ", slot + ".a")
            tokens = [adjective, *tokens] if self.settings.adjective == "before" else [*tokens, adjective]
        if phrase.number:
            tokens = [self.word(phrase.number, "NUM", slot + ".n"), *tokens]
        if article and self.settings.article == "word":
            tokens = [self.word(article, "DET", ""), *tokens]
        return tokens

    def _name(self, phrase: Phrase, slot: str) -> list[Token]:
        parts = [(self.language.name(part), NAME + part) for part in phrase.name]
        if phrase.head:
            head = (self.language.capital(self.language.forms[phrase.head][0]), phrase.head)
            parts = [*parts, head] if self.settings.adjective == "before" else [head, *parts]
        marks = ["B-" + phrase.kind] + ["I-" + phrase.kind] * (len(parts) - 1)
        return [Token(text, "PROPN", mark, slot, concept) for (text, concept), mark in zip(parts, marks, strict=True)]

    def adpositional(self, adposition: str, tokens: list[Token], slot: str) -> list[Token]:
        """Put the adposition before or after its phrase."""
        word = [self.word(adposition, "ADP", slot + ".p")]
        return word + tokens if self.settings.adposition == "before" else tokens + word

    def time(self, time: str) -> list[Token]:
        """A time: "in the morning", "on Monday"."""
        if time in WEEKDAYS:
            day = self.word(time, "PROPN", "T")
            day = day._replace(text=self.language.capital(day.text))
            return self.adpositional("on", [day], "T")
        return self.adpositional("in", self.phrase(Phrase(time), "T"), "T")

    def sentence(self, clause: Clause) -> list[Token]:
        """The whole clause with its final mark."""
        asked = clause.ask
        mark = Token("?" if asked else ".", "PUNCT", "O", "", "")
        question = [self._question_word(clause)] if asked else []
        fronted = bool(asked) and self.settings.fronted_question
        parts: dict[str, list[Token]] = {}
        parts["S"] = question if asked == "S" else self.phrase(clause.subject, "S")
        if clause.object is not None:
            parts["O"] = question if asked == "O" else self.phrase(clause.object, "O", accusative=True)
        if clause.recipient is not None:
            recipient = question if asked == "R" else self.phrase(clause.recipient, "R")
            parts["R"] = self.adpositional("to", recipient, "R")
        if asked == "P":
            parts["P"] = question
        elif clause.place is not None:
            parts["P"] = self.adpositional(clause.preposition, self.phrase(clause.place, "P"), "P")
        if asked == "T":
            parts["T"] = question
        elif clause.time is not None:
            parts["T"] = self.time(clause.time)
        if fronted and asked != "S":
            parts[str(asked)] = [token for token in parts[str(asked)] if token not in question]
            parts["Q"] = question
        elif fronted and self.settings.order == "VSO":
            parts["Q"], parts["S"] = question, []
        tokens = [*self._order(clause, parts), mark]
        if self.settings.capitals:
            tokens[0] = tokens[0]._replace(text=self.language.capital(tokens[0].text))
        return tokens

    def _question_word(self, clause: Clause) -> Token:
        slot = str(clause.ask)
        if slot in "PT":
            return self.word("where" if slot == "P" else "when", "ADV", "Q")
        asked = {"S": clause.subject, "O": clause.object, "R": clause.recipient}[slot]
        return self.word("who" if asked is not None and is_person(asked) else "what", "PRON", "Q")

    def _order(self, clause: Clause, parts: dict[str, list[Token]]) -> list[Token]:
        auxiliary, verb = self._verb(clause)
        subject, time, front = parts["S"], parts.get("T", []), parts.get("Q", [])
        rest = parts.get("R", []) + parts.get("P", [])
        target = parts.get("O", []) + self._complement(clause)
        if clause.time_first and not clause.ask:
            front, time = front + time, []
        if self.settings.order == "SOV":
            return [*front, *subject, *time, *rest, *target, *auxiliary, *verb]
        if self.settings.order == "VSO":
            return [*front, *auxiliary, *verb, *subject, *target, *rest, *time]
        inverted = front and clause.ask  # "where did she go"
        first = auxiliary + subject if inverted else subject + auxiliary
        return [*front, *first, *verb, *target, *rest, *time]

    def _verb(self, clause: Clause) -> tuple[list[Token], list[Token]]:
        """(auxiliary and negation, verb with its adverb)."""
        negation = [self.word("not", "PART", "N")] if clause.negated else []
        before, after = (negation, []) if self.settings.negation == "before" else ([], negation)
        adverb = [self.word(clause.adverb, "ADV", "A")] if clause.adverb else []
        if clause.verb == "be":
            return [], [self.word("was", "AUX", "V"), *before, *after, *adverb]
        if self.language.code != SOURCE:
            return [], [*before, *adverb, self.word(clause.verb, "VERB", "V", past=True), *after]
        asked = clause.ask is not None and clause.ask != "S"
        support = clause.negated or asked
        verb = [self.word(clause.verb, "VERB", "V", past=not support)]
        auxiliary = [self.word("did", "AUX", "")] if support else []
        return (auxiliary, [*before, *adverb, *verb]) if asked else (auxiliary + before, adverb + verb)

    def _complement(self, clause: Clause) -> list[Token]:
        if clause.state is not None:
            return [self.word(clause.state, "ADJ", "C")]
        if clause.role is not None:
            return self.phrase(Phrase(clause.role, article="a"), "C")
        return []


def is_person(phrase: Phrase) -> bool:
    """Whether a phrase is asked for with "who"."""
    if phrase.kind:
        return phrase.kind == "PER"
    return phrase.head == "person" or (phrase.head in CONCEPTS and CONCEPTS[phrase.head].category == "person")


def join(tokens: Sequence[Token]) -> tuple[str, list[tuple[int, int]]]:
    """Running text and the characters [start, end) of each token: spaces between words, none before marks."""
    text, spans = "", []
    for token in tokens:
        if text and token.tag != "PUNCT":
            text += " "
        spans.append((len(text), len(text) + len(token.text)))
        text += token.text
    return text, spans


def text_of(tokens: Sequence[Token]) -> str:
    """Running text of a sentence."""
    return join(tokens)[0]


def span_of(tokens: Sequence[Token], slot: str) -> tuple[int, int]:
    """Characters of the words of one slot, its adjective and number included, its adposition and article left out."""
    spans = join(tokens)[1]
    own = {slot, slot + ".a", slot + ".n"}
    inside = [span for token, span in zip(tokens, spans, strict=True) if token.slot in own]
    return inside[0][0], inside[-1][1]


def with_phrase(clause: Clause, name: str, phrase: Phrase) -> Clause:
    """The clause with another phrase as its ``name``: subject, object, recipient or place."""
    changed: Any = {name: phrase}
    return replace(clause, **changed)
