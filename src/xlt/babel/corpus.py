"""The raw text the encoder is pre-trained on: documents, code-switched documents, translations, corrupted pairs.

Each kind of text carries a lesson. Coherent documents in one language teach that language. Code-switched documents
(words replaced by their translations, as in CoSDA-ML, Qin et al. 2020, arXiv 2006.06402) put words of all languages into
one space; translations do the same for sentences. Pairs, whose second side is partly corrupted, teach to compare two
texts: each word of the second is marked as supported by the first, conflicting with it, new, part of another sentence, or
what the first asks for (in the spirit of replaced-token detection, Clark et al. 2020, arXiv 2003.10555, across sentences
and languages).
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xlt.babel.config import BabelConfig, CorpusConfig
from xlt.babel.context import Babel
from xlt.babel.grammar import NAME, RARE, Choose, Clause, Phrase, Speaker, Token, text_of, with_phrase
from xlt.babel.language import SOURCE, BabelLanguage
from xlt.babel.lexicon import CONCEPTS, members
from xlt.babel.pairs import PHRASES, drop, swap
from xlt.babel.world import Storyteller, cause_of, effect_of, opposite_rules, turn
from xlt.files import digest, sha256_file, write_atomic

SUPPORTED, CONFLICTING, NEW, ELSEWHERE, ASKED = "01234"
SLOT_OF = {"subject": "S", "object": "O", "recipient": "R", "place": "P"}


@dataclass(frozen=True, slots=True)
class CorpusPair:
    """Two texts and one mark per space-separated word of the second."""

    languages: tuple[str, str]
    first: str
    second: str
    marks: str

    def row(self) -> str:
        """A line of ``raw/pairs.tsv``."""
        return "\t".join((*self.languages, self.first, self.second, self.marks)) + "\n"


def any_synonym(rng: random.Random) -> Choose:
    """Every synonym alike: the raw text knows no everyday words."""
    return lambda language, concept: rng.randrange(len(language.forms[concept]))


def translators(babel: Babel, first: str, second: str, rng: random.Random) -> tuple[Speaker, Speaker]:
    """Speakers of the two sides of a translation, which keeps the synonym, or of a paraphrase, which need not."""
    chosen: dict[str, int] = {}
    free = any_synonym(rng)

    def same(language: BabelLanguage, concept: str) -> int:
        return chosen.setdefault(concept, free(language, concept))

    choose = free if first == second else same
    return Speaker(babel.languages[first], choose), Speaker(babel.languages[second], choose)


def language_drawer(babel: Babel, rng: random.Random, kind: Literal["mixed", "parallel"]) -> Callable[[], str]:
    """Draws languages by their weight in a kind of text."""
    codes = list(babel.languages)
    weights = [getattr(babel.languages[code].settings, kind) for code in codes]
    return lambda: rng.choices(codes, weights)[0]


def documents(babel: Babel, language: str) -> str:
    """Stories, a sentence per line, a blank line after each."""
    count = round(babel.config.corpus.documents * babel.languages[language].settings.text)
    teller = babel.teller("raw-" + language, "train")
    speaker = Speaker(babel.languages[language], any_synonym(babel.rng(language, "raw")))
    blocks = []
    for _ in range(count):
        lines = [text_of(speaker.sentence(clause)) for clause in with_questions(teller)]
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)


def with_questions(teller: Storyteller) -> list[Clause]:
    """A story in which a sentence is now and then preceded by the question it answers."""
    told: list[Clause] = []
    for clause in teller.story(teller.rng.choice((2, 3, 4))):
        if clause.verb != "be" and teller.chance(0.25):
            told.append(asked(clause, teller))
        told.append(replace(clause, time_first=teller.chance(0.2)))
    return told


def asked(clause: Clause, teller: Storyteller) -> Clause:
    """A question about one of the parts of a clause."""
    slots = [slot for name, slot in SLOT_OF.items() if getattr(clause, name) is not None]
    return replace(clause, ask=teller.rng.choice(slots + ["T"] * (clause.time is not None)))


def mixed_documents(babel: Babel, count: int) -> str:
    """Code-switched stories: each sentence has the grammar of one language and words of all."""
    teller = babel.teller("mixed", "train")
    rng = teller.rng
    draw = language_drawer(babel, rng, "mixed")
    speakers = {code: Speaker(language, any_synonym(rng)) for code, language in babel.languages.items()}
    blocks = []
    for _ in range(count):
        lines = []
        for clause in with_questions(teller):
            tokens = speakers[draw()].sentence(clause)
            for place, token in enumerate(tokens):
                if token.concept and rng.random() < babel.config.corpus.switch:
                    tokens[place] = _translated(token, speakers[draw()])
            lines.append(text_of(tokens))
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)


def _translated(token: Token, speaker: Speaker) -> Token:
    language = speaker.language
    if token.concept.startswith(NAME):
        return token._replace(text=language.name(token.concept[1:]))
    word = speaker.word(token.concept, token.tag, token.slot, past=token.tag == "VERB", synonym=token.synonym)
    return token._replace(text=language.capital(word.text) if token.tag == "PROPN" else word.text)


def parallel(babel: Babel, count: int) -> str:
    """Translations: two language codes and two sentences a line, tab-separated. One side in three is the source."""
    teller = babel.teller("parallel", "train")
    rng = teller.rng
    draw = language_drawer(babel, rng, "parallel")
    rows = []
    for _ in range(count):
        first = SOURCE if rng.random() < 1 / 3 else draw()
        second = draw()
        clause = teller.clause(optional=0.5) if rng.random() < 0.85 else teller.state(teller.person())
        if clause.verb != "be" and rng.random() < 0.2:
            clause = asked(clause, teller)
        said = [replace(clause, time_first=rng.random() < 0.2) for _ in range(2)]
        speakers = translators(babel, first, second, rng)
        texts = [text_of(speaker.sentence(one)) for speaker, one in zip(speakers, said, strict=True)]
        rows.append("\t".join((first, second, *texts)) + "\n")
    return "".join(rows)


def pairs(babel: Babel, count: int) -> list[CorpusPair]:
    """Pairs of a clause and its translation, alone or (``corpus.long_pairs`` of them) in a story.

    ``corpus.causes`` of them are causes and effects instead, in the source language alone. Of the others
    ``corpus.questions`` have a question first; ``corpus.corrupted`` of the rest differ in something.
    """
    teller = babel.teller("pairs", "train")
    rng = teller.rng
    draw = language_drawer(babel, rng, "parallel")
    settings = babel.config.corpus
    found = []
    for _ in range(count):
        causal = rng.random() < settings.causes
        first = SOURCE if causal or rng.random() < 0.3 else draw()
        second = first if causal or rng.random() < 0.25 else draw()
        speakers = translators(babel, first, second, rng)
        text, told, marks = causal_pair(teller, speakers) if causal else _told_pair(teller, speakers, settings)
        found.append(CorpusPair((first, second), text, told, marks))
    return found


def _told_pair(teller: Storyteller, speakers: tuple[Speaker, Speaker], settings: CorpusConfig) -> tuple[str, str, str]:
    """A clause or question; its translation, changed or not, alone or in a story; the marks."""
    rng = teller.rng
    story = teller.story(3) if rng.random() < settings.long_pairs else [teller.clause(optional=0.5)]
    position = rng.randrange(len(story))
    known = other = story[position]
    if known.verb != "be" and rng.random() < settings.questions:
        known = asked(known, teller)
    elif known.verb != "be" and rng.random() < settings.corrupted:
        for _ in range(rng.choice((1, 1, 2))):
            known, other = corrupt(known, other, teller)
    words: list[str] = []
    marks = ""
    for index, clause in enumerate(story):
        told = replace(other if index == position else clause, time_first=rng.random() < 0.3)
        tokens = speakers[1].sentence(told)
        words.append(text_of(tokens))
        marks += mark(tokens, known, other) if index == position else ELSEWHERE * len(text_of(tokens).split())
    return text_of(speakers[0].sentence(replace(known, time_first=rng.random() < 0.3))), " ".join(words), marks


def causal_pair(teller: Storyteller, speakers: tuple[Speaker, Speaker]) -> tuple[str, str, str]:
    """A cause and an effect in either order, the effect's own or one of the other sort; the marks of the second side.

    Every word of a clause that does not go with the first conflicts with it: what is marked is the connection, not a word.
    """
    rng = teller.rng
    rule = turn(rng)
    right = rng.random() < 0.5
    other = rule if right else opposite_rules(rule, 1, rng)[0]
    subject = replace(teller.person(), adjective=None)
    thing = replace(teller.thing(0.0), article="the", number=None)
    sides = (cause_of, effect_of) if rng.random() < 0.5 else (effect_of, cause_of)
    first = teller.details(sides[0](rule, subject, thing), 0.25)
    tokens = speakers[1].sentence(sides[1](other, subject, thing))
    words = text_of(tokens)
    return text_of(speakers[0].sentence(first)), words, (SUPPORTED if right else CONFLICTING) * len(words.split())


def corrupt(known: Clause, other: Clause, teller: Storyteller) -> tuple[Clause, Clause]:
    """One change between what the first side says (``known``) and the second (``other``)."""
    rng = teller.rng
    kind = rng.randrange(9)
    if kind == 0:
        return known, replace(other, negated=not other.negated)
    exchanged = swap(other, rng)
    if kind in (1, 8) and exchanged is not None:
        return known, exchanged
    if kind == 2 and other.verb in CONCEPTS:
        verb = CONCEPTS[other.verb]
        choices = [each for each in members(verb.category, "VERB") if each != other.verb]
        return known, replace(other, verb=verb.antonym if verb.antonym and rng.random() < 0.4 else rng.choice(choices))
    if kind == 3:
        return known, drop(other, rng, 0.4)
    if kind == 4:
        return drop(known, rng, 0.4), other
    if kind == 5:
        return known, replace(other, time=rng.choice(members("time")), place=other.place or teller.place())
    name = rng.choice([name for name in PHRASES if getattr(other, name) is not None])
    return known, with_phrase(other, name, _changed(getattr(other, name), name, teller))


def _changed(phrase: Phrase, name: str, teller: Storyteller) -> Phrase:
    """Another phrase of the same kind, or the same noun otherwise described or as its hypernym."""
    rng = teller.rng
    concept = CONCEPTS.get(phrase.head)
    if concept is not None and not phrase.kind and rng.random() < 0.5:
        if concept.category in CONCEPTS and rng.random() < 0.4:
            return replace(phrase, head=concept.category)
        if phrase.adjective and rng.random() < 0.6:
            return replace(phrase, adjective=CONCEPTS[phrase.adjective].antonym)
        if not phrase.number:
            return replace(phrase, adjective=teller.quality(1.0))
    if name == "place":
        return teller.place()
    if phrase.kind or (concept is not None and concept.category == "person") or name == "recipient":
        return teller.person()
    return teller.animal() if concept is not None and concept.category == "animal" else teller.thing()


def mark(tokens: Sequence[Token], known: Clause, other: Clause) -> str:
    """One mark per space-separated word of the second side (final marks belong to the word before them)."""
    changed = _changes(known, other)
    return "".join(changed.get(token.slot, SUPPORTED) for token in tokens if token.tag != "PUNCT")


def _changes(known: Clause, other: Clause) -> dict[str, str]:
    """Slots of ``other`` that ``known`` does not support, with their marks."""
    found: dict[str, str] = {}
    for name, slot in SLOT_OF.items():
        before, after = getattr(known, name), getattr(other, name)
        if after is None:
            continue
        if before is None or slot == known.ask:
            found |= dict.fromkeys((slot, slot + ".a", slot + ".n", slot + ".p"), NEW if before is None else ASKED)
            continue
        if (before.head, before.name) != (after.head, after.name):
            found[slot] = SUPPORTED if _covers(after, before) else NEW if _covers(before, after) else CONFLICTING
        if before.adjective != after.adjective:
            found[slot + ".a"] = NEW if before.adjective is None else CONFLICTING
        if before.number != after.number:
            found[slot + ".n"] = CONFLICTING
    if other.place is not None and known.place is not None and known.preposition != other.preposition:
        found["P.p"] = CONFLICTING
    if known.verb != other.verb or (known.negated and not other.negated):
        found["V"] = CONFLICTING
    if other.negated and not known.negated:
        found["N"] = CONFLICTING
    if other.time is not None and (other.time != known.time or known.ask == "T"):
        found["T"] = ASKED if known.ask == "T" else NEW if known.time is None else CONFLICTING
        found["T.p"] = found["T"]
    if other.adverb != known.adverb:
        found["A"] = NEW if known.adverb is None else CONFLICTING
    return found


def _covers(wide: Phrase, narrow: Phrase) -> bool:
    """Whether one noun is the hypernym of the other."""
    if wide.kind or narrow.kind or narrow.head.startswith(RARE):
        return False
    return CONCEPTS[narrow.head].category == wide.head


def write_corpus(out: Path, config: BabelConfig) -> None:
    """Write the text that the world's encoder is pre-trained on as ``out/raw``, a function of the config alone.

    Monolingual text as the world's own, and code-switched and paired text, which only pre-training reads.
    """
    babel, settings = Babel(config), config.corpus
    texts = {f"{code}.txt": documents(babel, code) for code in babel.languages}
    texts["mixed.txt"] = mixed_documents(babel, settings.mixed_documents)
    texts["parallel.tsv"] = parallel(babel, settings.parallel)
    texts["pairs.tsv"] = "".join(pair.row() for pair in pairs(babel, settings.pairs))
    for name, text in texts.items():
        write_atomic(out / "raw" / name, text)


def corpus_key(config: BabelConfig) -> str:
    """A hash of what an encoder is pre-trained on and how: all dials, and the beginning of each kind of text.

    The text is a function of dials and code; its beginning shows a change of either, and takes a second to write.
    """
    begun = {"documents": 20, "mixed_documents": 50, "pairs": 500, "parallel": 200}
    short = config.model_copy(update={"corpus": config.corpus.model_copy(update=begun)})
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), short)
        texts = {path.name: sha256_file(path) for path in sorted((Path(folder) / "raw").iterdir())}
    dials = config.model_dump(mode="json", include={"seed", "languages", "world", "corpus", "encoder"})
    return digest({"dials": dials, "texts": texts})
