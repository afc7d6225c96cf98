"""The concepts of the Babel world and their English words.

A hand-written lexicon: each concept has a part of speech, a category (its hypernym), one or more English words
(synonyms, written ``word|synonym``) and perhaps an antonym. Verbs are written ``base/past``. The other languages derive
their words from these (see ``language.py``); nothing here depends on a language other than English.
"""

from __future__ import annotations

from dataclasses import dataclass

HYPERNYMS = {
    "person": "person|human",
    "animal": "animal|beast",
    "food": "food|meal",
    "tool": "tool|instrument",
    "garment": "garment|cloth",
    "vehicle": "vehicle|transport",
    "jewel": "jewel|treasure",
    "furniture": "furniture|fitting",
    "place": "place|spot",
}

NOUNS = {
    "person": "farmer|grower teacher|tutor doctor|physician sailor|seaman baker king|ruler soldier|warrior painter "
    "singer merchant|trader judge hunter guard|watchman student|pupil priest smith cook nurse tailor captain",
    "animal": "dog|hound cat horse|steed cow bird wolf bear fox goat duck mouse snake rabbit|hare lion",
    "food": "bread|loaf apple cheese soup|broth cake honey egg",
    "tool": "hammer knife|blade rope|cord ladder shovel|spade saw needle",
    "garment": "hat|cap coat|cloak shirt shoe|boot glove scarf belt",
    "vehicle": "boat cart ship|vessel wagon sled bicycle",
    "jewel": "ring crown necklace coin pearl medal",
    "furniture": "table|desk chair|seat bed shelf bench mirror lamp|lantern",
    "place": "market|bazaar river|stream forest|wood school house|home garden bridge castle|fortress church harbor|port "
    "field|meadow mountain|hill village|hamlet island tower kitchen station library inn|tavern mill",
}

# verb frames: the category of the object, "" for none; "give" verbs take a recipient ("to somebody") as well
VERBS = {
    "thing": "find/found|discover/discovered lose/lost buy/bought|purchase/purchased sell/sold carry/carried "
    "break/broke|smash/smashed repair/repaired|mend/mended take/took|grab/grabbed hide/hid|conceal/concealed "
    "clean/cleaned|wash/washed drop/dropped paint/painted steal/stole|swipe/swiped keep/kept hold/held draw/drew "
    "push/pushed pull/pulled|drag/dragged",
    "give": "give/gave|hand/handed send/sent|mail/mailed show/showed lend/lent offer/offered bring/brought",
    "person": "meet/met|encounter/encountered help/helped|aid/aided call/called follow/followed thank/thanked "
    "teach/taught praise/praised blame/blamed scold/scolded greet/greeted visit/visited",
    "animal": "feed/fed chase/chased catch/caught|trap/trapped free/freed see/saw|notice/noticed fear/feared",
    "": "sleep/slept|nap/napped sing/sang dance/danced laugh/laughed|giggle/giggled cry/cried|weep/wept work/worked "
    "wait/waited rest/rested swim/swam fall/fell arrive/arrived win/won|triumph/triumphed fail/failed",
}

VERB_ANTONYMS = "find lose, buy sell, break repair, take drop, hide show, push pull, praise blame, catch free, "
VERB_ANTONYMS += "laugh cry, work rest, win fail, help scold"

ADJECTIVES = (
    "big|large small|little, old|ancient new|fresh, hot|warm cold|chilly, happy|glad sad|unhappy, rich|wealthy poor, "
    "clean.a dirty|filthy, heavy light, strong|mighty weak|feeble, fast|quick slow, full empty, long short, wet dry, "
    "soft hard, red blue, white black, round flat, broken whole, tired|weary awake, famous unknown, angry|furious calm, "
    "sick|ill healthy, safe lost.a"
)
# adjectives that describe somebody's state; the others describe things
STATES = "happy sad rich poor strong weak tired awake famous unknown angry calm sick healthy safe lost.a"

TIMES = "morning evening|dusk night winter summer spring autumn noon monday friday sunday tuesday"
WEEKDAYS = ("monday", "friday", "sunday", "tuesday")
NUMBERS = "two three four five six seven eight nine"
ADVERBS = "quickly|swiftly slowly often|frequently again early late secretly quietly suddenly together"
ADPOSITIONS = "in near|by behind under to from with at on of for"
FUNCTION = {
    "DET": "the a every",
    "PRON": "he she they it who what nobody somebody",
    "ADV": "where when why never",
    "AUX": "was did will",
    "PART": "not",
    "CCONJ": "and but or",
    "SCONJ": "because so while that",
    "INTJ": "yes no",
}
# heads of the names of organisations: "Hale Bank"
ORG_HEADS = "bank company museum theatre club hospital"


@dataclass(frozen=True, slots=True)
class Concept:
    """One meaning. ``words``: its English words, synonyms of each other; ``past``: the past forms, for verbs."""

    id: str
    pos: str
    category: str
    words: tuple[str, ...]
    past: tuple[str, ...] = ()
    antonym: str | None = None


def _entries(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Split ``"a|b c"`` into [("a", ("a", "b")), ("c", ("c",))]; a suffix after a dot is part of the id only."""
    items = [item.split("|") for item in text.replace(",", " ").split()]
    return [(words[0], tuple(word.split(".")[0] for word in words)) for words in items]


def _antonyms(text: str) -> dict[str, str]:
    heads = [[item.split("|")[0] for item in chunk.split()] for chunk in text.split(",")]
    return {word: other for pair in heads if len(pair) == 2 for word, other in (pair, pair[::-1])}


def _build() -> dict[str, Concept]:
    nouns = [*(("hypernym", text) for text in HYPERNYMS.values()), *NOUNS.items()]
    concepts = [Concept(name, "NOUN", kind, words) for kind, text in nouns for name, words in _entries(text)]
    opposite = _antonyms(VERB_ANTONYMS)
    for frame, text in VERBS.items():
        for item in text.split():
            base, past = zip(*(pair.split("/") for pair in item.split("|")), strict=True)
            antonym = opposite[base[0]] + ".v" if base[0] in opposite else None
            concepts.append(Concept(base[0] + ".v", "VERB", frame, base, past, antonym))
    opposite = _antonyms(ADJECTIVES)
    for name, words in _entries(ADJECTIVES):
        kind = "state" if name in STATES.split() else "quality"
        concepts.append(Concept(name, "ADJ", kind, words, (), opposite[name]))
    others = [
        (TIMES, "NOUN", "time"),
        (NUMBERS, "NUM", "number"),
        (ADVERBS, "ADV", "manner"),
        (ADPOSITIONS, "ADP", "adposition"),
        (ORG_HEADS, "PROPN", "organisation"),
        *((text, pos, "function") for pos, text in FUNCTION.items()),
    ]
    concepts += [Concept(name, pos, kind, words) for text, pos, kind in others for name, words in _entries(text)]
    return {concept.id: concept for concept in concepts}


CONCEPTS: dict[str, Concept] = _build()


def members(category: str, pos: str = "NOUN") -> tuple[str, ...]:
    """Ids of the concepts of a category, in the order of this file."""
    return tuple(c.id for c in CONCEPTS.values() if c.category == category and c.pos == pos)


THINGS = tuple(c for kind in ("food", "tool", "garment", "vehicle", "jewel", "furniture") for c in members(kind))
