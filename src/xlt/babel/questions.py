"""Passages with questions about them: extractive question answering and answer retrieval.

Each passage reuses its people, things and verbs, so that a question can only be answered by finding the one sentence that
agrees with all it says. Questions use synonyms of the passage's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xlt.babel.context import Babel
from xlt.babel.grammar import Clause, is_person, span_of, text_of
from xlt.babel.lexicon import members
from xlt.babel.world import Storyteller

SLOTS = {"S": "subject", "O": "object", "R": "recipient", "P": "place", "T": "time"}


@dataclass(frozen=True, slots=True)
class PassageMeaning:
    """Clauses told in order; each question is (position of the clause with the answer, question clause)."""

    clauses: tuple[Clause, ...]
    questions: tuple[tuple[int, Clause], ...]


def passage(teller: Storyteller, sentences: int = 3, questions: int = 3) -> PassageMeaning:
    """One passage; no two of its sentences share verb and subject."""
    rng = teller.rng
    while True:
        cast = [teller.person(named=0.85) for _ in range(2)]
        verbs = [rng.choice(members("thing", "VERB")) for _ in range(2)]
        told: list[Clause] = []
        for _ in range(sentences):
            clause = teller.clause(rng.choice(cast), optional=0.4)
            acts_on_thing = clause.object is not None and not is_person(clause.object) and clause.recipient is None
            if acts_on_thing and rng.random() < 0.35:
                clause = replace(clause, verb=rng.choice(verbs))
            told.append(replace(clause, adverb=None))
        asked = [(i, slot) for i, clause in enumerate(told) for slot, name in SLOTS.items() if getattr(clause, name)]
        rng.shuffle(asked)
        found: list[tuple[int, Clause]] = []
        for position, slot in asked:
            question = _question(told[position], slot, teller)
            if _only_answer(question, told, position):
                found.append((position, question))
            if len(found) == questions:
                return PassageMeaning(tuple(told), tuple(found))


def _question(clause: Clause, slot: str, teller: Storyteller) -> Clause:
    """Ask for a slot; a third of the details that are not needed are left out."""
    kept = replace(clause, ask=slot, time_first=False)
    if slot != "P" and teller.chance(0.35):
        kept = replace(kept, place=None)
    if slot != "T" and teller.chance(0.35):
        kept = replace(kept, time=None)
    return kept


def _only_answer(question: Clause, told: Sequence[Clause], position: int) -> bool:
    """No other sentence agrees with everything the question says."""
    given = [name for slot, name in SLOTS.items() if slot != question.ask and getattr(question, name) is not None]
    given.append("verb")
    others = (clause for index, clause in enumerate(told) if index != position)
    return not any(all(getattr(clause, name) == getattr(question, name) for name in given) for clause in others)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A passage in one language: text, sentence breaks [start, end), and (question, answer, answer start)."""

    context: str
    breaks: tuple[tuple[int, int], ...]
    questions: tuple[tuple[str, str, int], ...]


def render(babel: Babel, meaning: PassageMeaning, language: str, key: str) -> Rendered:
    """Write a passage in a language. The answer is the words of the asked slot in its sentence."""
    speaker = babel.speaker(language, "passage", key)
    sentences = [speaker.sentence(clause) for clause in meaning.clauses]
    context, breaks = "", []
    for tokens in sentences:
        start = len(context) + bool(context)
        context += (" " if context else "") + text_of(tokens)
        breaks.append((start, len(context)))
    asker = babel.speaker(language, "question", key)
    found = []
    for position, question in meaning.questions:
        start, end = (breaks[position][0] + at for at in span_of(sentences[position], str(question.ask)))
        found.append((text_of(asker.sentence(question)), context[start:end], start))
    return Rendered(context, tuple(breaks), tuple(found))


def make(babel: Babel, task: str, split: str, questions: int, per_passage: int = 3) -> list[PassageMeaning]:
    """Passages with ``questions`` questions in all (rounded up to whole passages)."""
    teller = babel.teller(task, split)
    return babel.fresh(
        task, -(-questions // per_passage), lambda: passage(teller, questions=per_passage), lambda made: made.clauses
    )


def squad(
    babel: Babel, meanings: Sequence[PassageMeaning], language: str, key: str, question_language: str = ""
) -> Any:
    """A SQuAD 1.1 document. With ``question_language`` the questions are in another language than the passages."""
    articles = []
    for number, meaning in enumerate(meanings):
        name = f"{key}-{number}"
        told = render(babel, meaning, language, name)
        asked = render(babel, meaning, question_language or language, name).questions
        entries = [
            {"id": f"{name}-{index}", "question": text, "answers": [{"text": answer, "answer_start": start}]}
            for index, ((_, answer, start), (text, *_)) in enumerate(zip(told.questions, asked, strict=True))
        ]
        articles.append({"title": f"Passage {number + 1}", "paragraphs": [{"context": told.context, "qas": entries}]})
    return {"version": "1.1", "data": articles}


def xquad_r(babel: Babel, meanings: Sequence[PassageMeaning], language: str, key: str) -> Any:
    """The XQuAD-R document of the same passages: SQuAD with ``sentences`` and ``sentence_breaks`` per paragraph."""
    document = squad(babel, meanings, language, key)
    for number, (article, meaning) in enumerate(zip(document["data"], meanings, strict=True)):
        breaks = render(babel, meaning, language, f"{key}-{number}").breaks
        paragraph = article["paragraphs"][0]
        paragraph["sentences"] = [paragraph["context"][start:end] for start, end in breaks]
        paragraph["sentence_breaks"] = [list(pair) for pair in breaks]
    return document


def squad_v2(babel: Babel, meanings: Sequence[PassageMeaning], language: str, key: str) -> Any:
    """SQuAD 2.0: every third question is asked of the next passage, where it has no answer."""
    document = squad(babel, meanings, language, key)
    document["version"] = "v2.0"
    paragraphs = [article["paragraphs"][0] for article in document["data"]]
    borrowed = [paragraph["qas"].pop() for paragraph in paragraphs]
    for paragraph, entry in zip(paragraphs, borrowed[1:] + borrowed[:1], strict=True):
        for answered in paragraph["qas"]:
            answered["is_impossible"] = False
        paragraph["qas"].append(
            {"id": entry["id"], "question": entry["question"], "answers": [], "is_impossible": True}
        )
    return document
