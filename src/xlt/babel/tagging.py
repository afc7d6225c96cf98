"""Tagged sentences: universal parts of speech (CoNLL-U) and names (WikiANN)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from xlt.babel.grammar import RARE, Clause, Token, text_of, with_phrase
from xlt.babel.world import Storyteller, refer

RARE_MODIFIERS = 0.5  # of the common nouns in UD-POS; without them English part-of-speech tagging is solved


def tagging_clause(teller: Storyteller) -> Clause:
    """A sentence of any kind: events and states, negated or asked, with rare words."""
    rng = teller.rng
    if rng.random() < 0.15:
        return teller.state(rng.choice((teller.person(), teller.thing(0.0), teller.animal())))
    clause = rare_modifiers(teller.clause(optional=0.5), teller)
    if rng.random() < 0.2:
        return replace(clause, negated=True)
    if rng.random() < 0.15:
        return replace(clause, ask="S")
    return replace(clause, time_first=rng.random() < 0.25)


def rare_modifiers(clause: Clause, teller: Storyteller) -> Clause:
    """Put a rare word before nouns: half of the rare words are adjectives, half nouns, which only their use tells."""
    for name in ("subject", "object", "place"):
        phrase = getattr(clause, name)
        if phrase is not None and not phrase.kind and teller.chance(RARE_MODIFIERS):
            word = RARE + teller.rng.choice(teller.world.rare)
            clause = with_phrase(clause, name, replace(phrase, adjective=word))
    return clause


def naming_clause(teller: Storyteller) -> Clause:
    """A sentence with several names of all kinds; an organisation may go by its founder's name alone."""
    rng = teller.rng
    clause = replace(teller.clause(optional=0.6), time_first=rng.random() < 0.2)
    if rng.random() < 0.6:
        clause = replace(clause, subject=refer(rng.choice(teller.world.entities), rng))
    if clause.place is not None and rng.random() < 0.5:
        clause = replace(clause, place=refer(rng.choice(teller.world.places + teller.world.organisations), rng))
    for name in ("subject", "place"):
        phrase = getattr(clause, name)
        if phrase is not None and phrase.kind == "ORG" and rng.random() < 0.3:
            clause = with_phrase(clause, name, replace(phrase, head=""))
    return clause


def conllu(sentences: Sequence[Sequence[Token]], rng: random.Random, key: str) -> str:
    """CoNLL-U text. "did not" is sometimes written as one multi-word token, and an elided verb as an empty node."""
    blocks = []
    for number, tokens in enumerate(sentences):
        lines = [f"# sent_id = {key}-{number + 1}", f"# text = {text_of(tokens)}"]
        for index, token in enumerate(tokens, start=1):
            following = tokens[index] if index < len(tokens) else None
            if following is not None and (token.concept, following.concept) == ("did", "not") and rng.random() < 0.5:
                lines.append("\t".join((f"{index}-{index + 1}", f"{token.text}n't", *"________")))
            elif following is not None and token.tag == "ADP" and following.tag == "DET" and rng.random() < 0.1:
                lines.append("\t".join((f"{index}-{index + 1}", token.text + following.text, *"________")))
            columns = (str(index), token.text, token.text.lower(), token.tag, "_", "_", str(index - 1), "dep", "_", "_")
            lines.append("\t".join(columns))
        if rng.random() < 0.03:
            lines.append("\t".join((f"{len(tokens)}.1", "_", "_", "VERB", *"_____", "_")))
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)


def wikiann(sentences: Sequence[Sequence[Token]], language: str) -> str:
    """WikiANN text: "en:word<TAB>TAG", a blank line after each sentence."""
    rows = ("".join(f"{language}:{token.text}\t{token.name}\n" for token in tokens) for tokens in sentences)
    return "\n".join(rows) + "\n"
