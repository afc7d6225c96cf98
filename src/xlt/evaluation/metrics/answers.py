"""Exact match and token F1 of answer strings: the definitions of SQuAD 1.1 (XQuAD, TyDiQA-GoldP) and of MLQA."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

ASCII_PUNCTUATION = frozenset(string.punctuation)
ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")

# Whole words, except in Arabic, where the article is a prefix. The owner's Arabic pattern has an alternative that can
# never match (an anchor for the start of the text after two letters); the rest drops alif-lam wherever it stands.
MLQA_ARTICLES = {
    "en": ENGLISH_ARTICLES,
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "ar": re.compile("ال"),
}
CJK = re.compile(r"([\u4e00-\u9fa5])")


def normalize_squad(text: str) -> str:
    """Lower-case, drop ASCII punctuation, then English articles, then surplus white space.

    Source: the official SQuAD 1.1 script (Rajpurkar et al. 2016), which XTREME applies to XQuAD and TyDiQA in every
    language: words of other languages that read "a" or "the" go too, and other punctuation stays.
    """
    text = "".join(character for character in text.lower() if character not in ASCII_PUNCTUATION)
    return " ".join(ENGLISH_ARTICLES.sub(" ", text).split())


def normalize_mlqa(text: str, language: str) -> str:
    """Lower-case, drop ASCII and Unicode punctuation, then the language's articles, then surplus white space.

    Chinese is also cut into single CJK characters (U+4E00 to U+9FA5) and the words between them. Hindi and Chinese have
    no articles; a language that is not one of MLQA's seven (as in the embedded default) is treated as Hindi is.

    Source: ``mlqa_evaluation_v1.py`` of the MLQA repository (Lewis et al. 2020).

    Args:
        language: the language of the answer, which is that of the passage.
    """
    text = "".join(character for character in text.lower() if not _is_punctuation(character))
    if language in MLQA_ARTICLES:
        text = MLQA_ARTICLES[language].sub(" ", text)
    if language == "zh":
        text = CJK.sub(r" \1 ", text)
    return " ".join(text.split())


def _is_punctuation(character: str) -> bool:
    return character in ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")


def token_f1(predicted: str, gold: str) -> float:
    """F1 (0 to 1) between the bags of words of two normalised answers; 0 when they share none."""
    predicted_words, gold_words = predicted.split(), gold.split()
    shared = sum((Counter(predicted_words) & Counter(gold_words)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted_words), shared / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def question_scores(
    gold: Mapping[str, Sequence[str]], predicted: Mapping[str, str], normalize: Callable[[str], str]
) -> tuple[list[float], list[float]]:
    """Exact match (0 or 1) and F1 (0 to 1) of every question, each the best over the question's gold answers.

    A question without a prediction scores 0, as in both owners' scripts.

    Args:
        gold: question id to at least one right answer; the order of the result is its order.
        predicted: question id to the answer given.
        normalize: applied to both sides before they are compared.
    """
    exact, overlap = [], []
    for question, answers in gold.items():
        if question not in predicted:
            exact.append(0.0)
            overlap.append(0.0)
            continue
        given = normalize(predicted[question])
        right = [normalize(answer) for answer in answers]
        exact.append(max(float(given == answer) for answer in right))
        overlap.append(max(token_f1(given, answer) for answer in right))
    return exact, overlap
