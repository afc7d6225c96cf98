"""How the words of a Babel language come about: sound changes on source words, family roots, scripts, names.

A language is near to the source when many of its words are cognates (the source word after a few regular sound changes)
and far when they grow from roots of its own family. Everything is a function of the seed and the language's settings.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

from xlt.babel.config import SOURCE, LanguageConfig
from xlt.babel.lexicon import CONCEPTS

LATIN = "abcdefghijklmnopqrstuvwxyz"
SCRIPTS = {
    "latin": LATIN,
    "cyrillic": "абцдефгхийклмнопярстувшхыз",
    "greek": "αβκδεφγηιξκλμνοπχρστυβωξψζ",
    "armenian": "աբցդեֆգհիջկլմնոպքրստըվւխյզ",
    "georgian": "აბცდეფგჰიჯკლმნოპქრსტუვშხყზ",
    "devanagari": "अबचदएफगहइजकलमनओपटरसतउवशखयझ",
}
VOWELS = "aeiou"
ONSETS = "b d f g h k l m n p r s t v z br dr gr kr tr st sk"


def stream(seed: int, *names: object) -> random.Random:
    """A random generator of its own for each named purpose, so that one part of the world never shifts another."""
    return random.Random("/".join(str(name) for name in (seed, *names)))


@cache
def name_rank(seed: int, name: str) -> float:
    """A draw for a proper name: languages keep it verbatim where their share of shared names is higher."""
    return stream(seed, "name", name).random()


def _invent(rng: random.Random) -> str:
    """A pronounceable root of two or three open syllables."""
    parts = [rng.choice(ONSETS.split()) + rng.choice(VOWELS) for _ in range(rng.choice((2, 2, 3)))]
    return "".join(parts) + rng.choice(("", "", "n", "r", "s", "l"))


@dataclass
class BabelLanguage:
    """The words of one language.

    ``forms[concept][i]`` translates the i-th English synonym of the concept; ``everyday[concept]`` is the position of the
    synonym this language prefers.
    """

    code: str
    settings: LanguageConfig
    seed: int
    forms: dict[str, tuple[str, ...]] = field(init=False)
    everyday: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        taken: set[str] = set()
        self.everyday = {name: self._everyday(name) for name in CONCEPTS}
        self.forms = {name: self._forms(name, taken) for name in CONCEPTS}

    def _everyday(self, concept: str) -> int:
        """0, the everyday synonym of English, or by the language's share another one (one draw for the whole world)."""
        synonyms = len(CONCEPTS[concept].words)
        draw = stream(self.seed, "everyday", concept)
        rarer = draw.random() < self.settings.rarer_synonyms
        return draw.randrange(1, synonyms) if rarer and synonyms > 1 else 0

    def _forms(self, concept: str, taken: set[str]) -> tuple[str, ...]:
        english = CONCEPTS[concept].words
        if self.code == SOURCE:
            return english
        usual = self.everyday[concept]
        words = dict.fromkeys(range(len(english)), self._word(f"{concept}/{usual}", english[usual], taken))
        for index, word in enumerate(english):
            own = stream(self.seed, "synonym", self.code, concept, index).random() < self.settings.synonyms
            if own and index != usual:
                words[index] = self._word(f"{concept}/{index}", word, taken)
        return tuple(words.values())

    def _word(self, key: str, english: str, taken: set[str]) -> str:
        rng = stream(self.seed, "word", self.code, key)
        # one draw per word for the whole world: a word that is a cognate in a far language is one in every nearer one
        rank = stream(self.seed, "cognate", key).random()
        if rank < self.settings.cognates:
            root = english
        elif rng.random() < self.settings.family_words:
            root = _invent(stream(self.seed, "family", self.settings.family, key))
        else:
            root = _invent(rng)
        word = self.write(self.shift(root))
        while word in taken:
            word = self.write(self.shift(_invent(rng)))
        taken.add(word)
        return word

    def shift(self, word: str) -> str:
        """Apply the language's regular sound changes, in order, each once from left to right."""
        for old, new in self.settings.changes.items():
            word = word.replace(old, new)
        return word

    def write(self, word: str) -> str:
        """Write Latin letters in the language's script; other characters stay."""
        script = self.settings.script
        return word if script == "latin" else word.lower().translate(str.maketrans(LATIN, SCRIPTS[script]))

    def capital(self, word: str) -> str:
        """Capitalise where the script has capitals (Georgian and Devanagari have none in running text)."""
        return word if self.settings.script in ("georgian", "devanagari") else word[:1].upper() + word[1:]

    def name(self, name: str) -> str:
        """A proper name: verbatim or written and shifted like any other word, by the language's share."""
        if self.code == SOURCE or name_rank(self.seed, name) < self.settings.shared_names:
            return name
        return self.capital(self.write(self.shift(name.lower())))

    def rare(self, word: str) -> str:
        """A rare word (see ``world.rare_word``), which every language borrows in its own spelling."""
        return word if self.code == SOURCE else self.write(self.shift(word))


def distance(settings: LanguageConfig, source: LanguageConfig) -> float:
    """Distance from the source, 0 to 1: half vocabulary, the rest script, word order, morphology and names."""
    vocabulary = 1 - settings.cognates
    script = float(settings.script != source.script)
    grammar = ("order", "adjective", "adposition", "article", "negation", "fronted_question")
    order = sum(getattr(settings, key) != getattr(source, key) for key in grammar) / len(grammar)
    endings = sum(bool(getattr(settings, key)) for key in ("past", "plural", "accusative")) / 3
    names = 1 - settings.shared_names
    return round(0.5 * vocabulary + 0.15 * script + 0.15 * order + 0.05 * endings + 0.15 * names, 3)
