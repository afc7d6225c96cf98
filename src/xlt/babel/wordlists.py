"""Word lists of the world: dictionaries, and the synonyms of English in the form of Robust-XLT's file.

Two words are synonyms when they say the same concept in the same form (dictionary form, past, plural), so exchanging them
changes no meaning and no label of any task. A word with a second reading ("saw": the tool, and the past of "see") is not
among them.
"""

from __future__ import annotations

from collections import Counter

from xlt.babel.language import BabelLanguage
from xlt.babel.lexicon import CONCEPTS, Concept

MOST_NEIGHBOURS = 8
"""Neighbours of a word in ``counterfitted_neighbors.json`` of Robust-XLT (Huang et al. 2021)."""
CONTENT = ("NOUN", "VERB", "ADJ", "ADV", "NUM")


def groups() -> list[tuple[str, ...]]:
    """English words by concept and form; those of one group say the same."""
    found: list[tuple[str, ...]] = []
    for concept in CONCEPTS.values():
        found.append(concept.words)
        if concept.past:
            found.append(concept.past)
        if concept.pos == "NOUN" and concept.category != "time":
            found.append(tuple(word + "s" for word in concept.words))
    return found


def neighbours() -> dict[str, list[str]]:
    """Every English word with its synonyms; without any where the word has several readings."""
    readings = Counter(word for group in groups() for word in group)
    found: dict[str, list[str]] = {}
    for group in groups():
        clear = [word for word in group if readings[word] == 1]
        for word in group:
            found[word] = [other for other in clear if other != word and word in clear][:MOST_NEIGHBOURS]
    return dict(sorted(found.items()))


def _content(concept: Concept) -> bool:
    """Whether a concept is said by a content word; the adverbs of place and time of questions are function words."""
    return concept.pos in CONTENT and concept.category != "function"


def dictionary(language: BabelLanguage) -> list[tuple[str, str]]:
    """(English word, its translation), content words in dictionary form, one to one.

    An English word with two readings is left out, and so is a second English word for the same word of the language.
    """
    concepts = [concept for concept in CONCEPTS.values() if _content(concept)]
    readings = Counter(word for concept in CONCEPTS.values() for word in concept.words)
    found: dict[str, str] = {}
    for concept in concepts:
        for word, form in zip(concept.words, language.forms[concept.id], strict=True):
            if readings[word] == 1:
                found.setdefault(form, word)
    return [(word, form) for form, word in found.items()]
