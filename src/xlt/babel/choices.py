"""Choosing what follows or why: XCOPA and COPA, and the English intermediate tasks SIQA, HellaSwag, Cosmos QA, CommonsenseQA.

Every task turns on the world's causes and effects (``world.RULES``), of which some are good and some bad turns: the wrong
options come from the other sort. Right and wrong options speak of the same people and things, so that an option cannot be
told by the words it shares with the prompt; good and bad ones are right equally often.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from xlt.babel.context import Babel
from xlt.babel.grammar import Clause
from xlt.babel.language import SOURCE
from xlt.babel.lexicon import CONCEPTS, THINGS, members
from xlt.babel.world import Storyteller, cause_of, effect_of, opposite_rules, turn

NONE_OF_THEM = "None of the above choices ."


@dataclass(frozen=True, slots=True)
class ChoiceMeaning:
    """A premise, what is asked ("cause" or "effect"), options, and the position of the right one."""

    premise: Clause
    question: str
    options: tuple[Clause, ...]
    label: int


def causal(teller: Storyteller, question: str, label: int, options: int) -> ChoiceMeaning:
    """One question with the right option at position ``label``."""
    rng = teller.rng
    rule = turn(rng)
    subject = replace(teller.person(), adjective=None)
    thing = replace(teller.thing(0.0), article="the", number=None)
    premise_of, option_of = (effect_of, cause_of) if question == "cause" else (cause_of, effect_of)
    wrong = [option_of(other, subject, thing) for other in opposite_rules(rule, options - 1, rng)]
    wrong.insert(label, option_of(rule, subject, thing))
    premise = premise_of(rule, subject, thing)
    if question == "effect":
        premise = teller.details(premise, 0.4)
    return ChoiceMeaning(premise, question, tuple(wrong), label)


def make(babel: Babel, task: str, split: str, count: int, options: int = 2) -> list[ChoiceMeaning]:
    """``count`` questions: causes and effects in turn, right options spread evenly."""
    teller = babel.teller(task, split)
    labels = [index % options for index in range(count)]
    asked = ["cause" if (index // options) % 2 else "effect" for index in range(count)]
    order = list(range(count))
    teller.rng.shuffle(order)
    found = []
    for index in order:
        draw = partial(causal, teller, asked[index], labels[index], options)
        found += babel.fresh(task, 1, draw, lambda made: (made.premise, made.options[made.label]))
    return found


def xcopa(babel: Babel, meanings: Sequence[ChoiceMeaning], language: str, key: str) -> list[dict[str, Any]]:
    """Rows of an XCOPA (and SuperGLUE COPA) file."""
    rows = []
    for index, meaning in enumerate(meanings):
        texts = babel.say_all((meaning.premise, *meaning.options), language, key, index)
        named = dict(zip(("premise", "choice1", "choice2"), texts, strict=True))
        rows.append({**named, "question": meaning.question, "label": meaning.label, "idx": index})
    return rows


def siqa(babel: Babel, meanings: Sequence[ChoiceMeaning], key: str) -> list[dict[str, str]]:
    """Rows of a Social IQa file (v1.4: the right letter is in "correct")."""
    rows = []
    for index, meaning in enumerate(meanings):
        context, *answers = babel.say_all((meaning.premise, *meaning.options), SOURCE, key, index)
        asked = "Why did this happen?" if meaning.question == "cause" else "What happened next?"
        named = dict(zip(("answerA", "answerB", "answerC"), answers, strict=True))
        rows.append({"context": context, "question": asked, **named, "correct": "ABC"[meaning.label]})
    return rows


def hellaswag(babel: Babel, split: str) -> list[dict[str, Any]]:
    """Rows of a HellaSwag file: two sentences of a story, then the effect of the second without its subject."""
    rows, task = [], "hellaswag"
    count = babel.size(task, split)
    meanings = [m for m in make(babel, task, split, 2 * count, 4) if m.question == "effect"][:count]
    teller = babel.teller(task + "-before", split)
    for index, meaning in enumerate(meanings):
        before = babel.say(teller.clause(meaning.premise.subject, optional=0.2), SOURCE, task, split, index, "before")
        context = f"{before} {babel.say(meaning.premise, SOURCE, task, split, index)}"
        rows.append(
            {
                "ind": index,
                "activity_label": meaning.premise.verb.split(".")[0],
                "ctx_a": context,
                "ctx_b": "then",
                "ctx": f"{context} then",
                "split": split,
                "split_type": "indomain",
                "label": meaning.label,
                "endings": babel.say_all(meaning.options, SOURCE, task, split, index),
                "source_id": f"babel~{split}-{index}",
            }
        )
    return rows


def cosmosqa(babel: Babel, split: str) -> list[dict[str, Any]]:
    """Rows of a Cosmos QA file; in a tenth of them none of the other answers is right."""
    rows, task = [], "cosmosqa"
    rng = babel.rng(task, split, "none")
    for index, meaning in enumerate(make(babel, task, split, babel.size(task, split), 4)):
        answers = babel.say_all(meaning.options, SOURCE, task, split, index)
        right = meaning.label
        removed = right if rng.random() < 0.1 else rng.choice([i for i in range(4) if i != right])
        label = 3 if removed == right else right - (removed < right)
        answers = [*answers[:removed], *answers[removed + 1 :], NONE_OF_THEM]
        asked = "Why did this happen ?" if meaning.question == "cause" else "What may happen next ?"
        context = babel.say(meaning.premise, SOURCE, task, split, index)
        row = {"id": f"{split}-{index}", "context": context, "question": asked}
        rows.append({**row, **{f"answer{i}": text for i, text in enumerate(answers)}, "label": label})
    return rows


def commonsenseqa(babel: Babel, split: str) -> list[dict[str, Any]]:
    """Rows of a CommonsenseQA file: kinds of things, opposites, words for the same."""
    rng = babel.rng("commonsenseqa", split)
    rows = []
    for index in range(babel.size("commonsenseqa", split)):
        question, concept, right, wrong = _fact(rng)
        options = rng.sample(wrong, 4)
        options.insert(index % 5, right)
        asked = {"question": question, "question_concept": concept, "choices": {"label": [*"ABCDE"], "text": options}}
        rows.append({"id": f"{split}-{index}", **asked, "answerKey": "ABCDE"[index % 5]})
    rng.shuffle(rows)
    return rows


def _fact(rng: random.Random) -> tuple[str, str, str, list[str]]:
    """(question, its concept, right answer, wrong answers)."""
    kind = rng.randrange(3)
    if kind == 0:
        category = rng.choice(("animal", "food", "tool", "garment", "vehicle", "jewel", "furniture", "place"))
        others = [CONCEPTS[c] for c in THINGS + members("animal") + members("place")]
        right = rng.choice(CONCEPTS[rng.choice(members(category))].words)
        question = f"What is a kind of {rng.choice(CONCEPTS[category].words)}?"
        return question, category, right, [other.words[0] for other in others if other.category != category]
    adjectives = [c for c in CONCEPTS.values() if c.pos == "ADJ"]
    if kind == 1:
        concept = rng.choice(adjectives)
        right = rng.choice(CONCEPTS[str(concept.antonym)].words)
        wrong = [c.words[0] for c in adjectives if c.id not in (concept.id, concept.antonym)]
        word = rng.choice(concept.words)
        return f"What is the opposite of {word}?", word, right, wrong
    several = [c for c in CONCEPTS.values() if c.pos in ("ADJ", "NOUN") and len(c.words) > 1]
    concept = rng.choice(several)
    word, right = rng.sample(concept.words, 2)
    wrong = [c.words[0] for c in several if c.pos == concept.pos and c.id != concept.id]
    return f"What is another word for {word}?", word, right, wrong
