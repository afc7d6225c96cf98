"""The word pairs of a lexical injection, from word lists or from parallel sentences, and which of them are held out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xlt.config.lexical_injection import LexicalRun
from xlt.data.parallel import aligned, held_out_of, read_bitext, words_in
from xlt.data.word_lists import REASONS, WordPair, read_lexicon, split_pairs
from xlt.errors import InputError
from xlt.evaluation.word_alignment import SPLITS, Pairs
from xlt.modeling.word_embeddings import embed_words, layer_count
from xlt.training.job import TrainingJob

LexicalJob = TrainingJob[LexicalRun]
"""One lexical injection to be carried out."""
MOST_OF_ONE = 5
"""Occurrences of the same two words that a realignment keeps: else articles would be most of its pairs."""


def read_pairs(job: LexicalJob) -> Pairs:
    """Read the word lists and split them; the split holds over all languages at once, since they share English words."""
    config = job.config
    lexicons = {
        language: read_lexicon([(job.data / name, f.format) for f in found for name in f.files], language)
        for language, found in config.files.items()
    }
    every = {language: lexicon.pairs for language, lexicon in lexicons.items()}
    together = [pair for pairs in every.values() for pair in pairs]
    trained, held_out = split_pairs(together, config.lexical.held_out, config.seed)
    parts = [{code: [pair for pair in part if pair.language == code] for code in every} for part in (trained, held_out)]
    for part, name in zip(parts, SPLITS, strict=True):
        for code, pairs in part.items():
            if len(pairs) < 2:
                raise InputError(
                    f"{code}: expected at least two {name} pairs, got {len(pairs)}; use a larger word list"
                )
    return Pairs(every, parts[0], parts[1], {code: dict(lexicon.left_out) for code, lexicon in lexicons.items()})


def align_pairs(job: LexicalJob, model: Any, tokenizer: Any, pad_id: int) -> Pairs:
    """Align the words of parallel sentences by the model as it is; whole sentence pairs are held out.

    Raises:
        InputError: a language has too few sentences, or none of their words are aligned.
    """
    method, wanted = job.config.lexical, job.config.lexical.sentences
    assert wanted is not None
    layer = max(1, round(wanted.depth * layer_count(model)))
    parts: list[dict[str, list[WordPair]]] = [{}, {}]
    left_out: dict[str, dict[str, int]] = {}
    for code, found in job.config.files.items():
        sentences = read_bitext([job.data / name for each in found for name in each.files], wanted.most)
        if len(sentences) < 2:
            raise InputError(f"{code}: expected at least two sentence pairs, got {len(sentences)}; use a larger bitext")
        apart, counts = held_out_of(len(sentences), method.held_out, job.config.seed), Counter[str]()
        seen = Counter[tuple[str, str]]()
        for part in parts:
            part[code] = []
        for number, pair in enumerate(sentences):
            own, english = (words_in(text) for text in pair)
            vectors = embed_words(model, tokenizer, [*own, *english], pad_id=pad_id, device=job.device)[layer]
            lexicon = aligned(code, (own, english), vectors[: len(own)], vectors[len(own) :])
            counts += lexicon.left_out
            for each in lexicon.pairs:
                seen[each.keys] += 1
                if seen[each.keys] <= MOST_OF_ONE:
                    parts[number in apart][code].append(each)
                else:
                    counts[REASONS[2]] += 1
        left_out[code] = dict(counts)
        if not (parts[0][code] and parts[1][code]):
            raise InputError(
                f"{code}: expected aligned words in trained and held-out sentences, got none; use a larger bitext"
            )
    return Pairs({code: parts[0][code] + parts[1][code] for code in parts[0]}, parts[0], parts[1], left_out)
