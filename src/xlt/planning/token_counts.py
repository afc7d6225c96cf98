"""How much text a split has: how many rows the encoder reads, and how long they are in sub-words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from xlt.config.benchmark import QUERY_TOKENS, Recipe, Task
from xlt.config.lexical_injection import LexicalRun
from xlt.config.run_config import FileSet
from xlt.data.dataset import answerable, first, labelled, load_entities, load_split, sample
from xlt.data.records import (
    CandidateEntity,
    Choice,
    Mention,
    Mining,
    Pair,
    ParallelText,
    Passage,
    Question,
    Record,
    Tagged,
)
from xlt.data.word_lists import read_lexicon
from xlt.files import digest, read_json, sha256_file, to_json, write_atomic

SAMPLE = 300
"""Rows of a split that are cut into sub-words; the others are taken to be as long on average."""
DOCUMENTS = 30
"""Documents of a file of raw text that are cut into sub-words."""
CHARACTERS_PER_TOKEN = 4.0
"""Where there is no tokenizer yet: English text in XLM-R's vocabulary."""
SPECIAL = 3
"""Special tokens of a row, where there is no tokenizer yet."""

Row = tuple[str, str | None]
Spec = Task | Recipe


@dataclass(frozen=True)
class Extent:
    """Examples as batches count them, and sums over all rows of their lengths in sub-words and of the squares of these."""

    examples: float = 0.0
    tokens: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Extent) -> Extent:
        return Extent(self.examples + other.examples, self.tokens + other.tokens, self.squares + other.squares)

    def __mul__(self, factor: float) -> Extent:
        return Extent(self.examples * factor, self.tokens * factor, self.squares * factor)

    __rmul__ = __mul__


def rows_of(record: Record, training: bool) -> list[Row]:
    """The texts or pairs of texts that the encoder reads for one record."""
    match record:
        case Pair(text_a=a, text_b=b):
            return [(a, b)]
        case Choice(prompt=prompt, options=options):
            return [(prompt, option) for option in options]
        case Tagged(words=words):
            return [(" ".join(words), None)]
        case Question(question=question, context=context):
            return [(question, context)]
        case Passage(context=context, sentences=sentences, questions=questions):
            asked: list[Row] = [(text, None) for _, text, _ in questions]
            found = [sentences[index] for _, _, index in questions] if training else sentences
            return [*asked, *((sentence, context) for sentence in found)]
        case Mention(text=text):
            return [(text[:300], None)]  # the sentence around the mention
        case CandidateEntity(description=description):
            return [(description, None)]


def windows(length: int, spec: Spec) -> list[int]:
    """The lengths of the rows that a text of ``length`` sub-words becomes: cut, or for passages several windows."""
    room = spec.max_length - QUERY_TOKENS if spec.family == "lareqa" else spec.max_length
    if length <= room:
        return [length]
    if spec.family != "span" or spec.doc_stride is None:
        return [room]
    further = math.ceil((length - room) / spec.doc_stride)
    return [room] * further + [length - further * spec.doc_stride]


class Extents:
    """The extent of every split asked for, remembered from call to call in the file ``store``.

    Args:
        data: the data folder.
        encoder: folder of the prepared encoder; without its tokenizer, lengths are estimated from characters.
        store: where extents are kept.
    """

    def __init__(self, data: Path, encoder: Path, store: Path) -> None:
        self.data, self.store = data, store
        path = encoder / "tokenizer.json"
        self.tokenizer = Tokenizer.from_file(str(path)) if path.exists() else None
        self.tokenizer_hash = sha256_file(path) if path.exists() else "none"
        if self.tokenizer is not None:
            self.tokenizer.no_truncation()
            self.tokenizer.no_padding()
        self.known: dict[str, dict[str, float]] = read_json(store) if store.exists() else {}
        self.changed = False

    def save(self) -> None:
        """Keep what was measured for the next call."""
        if self.changed:
            write_atomic(self.store, to_json(self.known))

    def train(self, files: FileSet, recipe: Recipe, cap: int | None) -> Extent:
        """The extent of a training set: for retrieval, question and answer of a pair are an example of two rows."""
        return self._remember("train", files, recipe, recipe.language, cap)

    def test(self, files: FileSet, spec: Spec, language: str, cap: int | None) -> Extent:
        """The extent of a split that is predicted (the candidates of Mewsli-X are apart: ``candidates``)."""
        return self._remember("test", files, spec, language, cap)

    def candidates(self, files: FileSet, task: Task) -> Extent:
        """The extent of the candidate entities of Mewsli-X, shared by all languages."""
        return self._remember("candidates", files, task, "", None)

    def words(self, run: LexicalRun) -> int:
        """How many pairs of words the lists of a lexical injection have."""
        return sum(
            len(read_lexicon([(self.data / name, f.format) for f in found for name in f.files], language).pairs)
            for language, found in run.files.items()
        )

    def blocks(self, text: Mapping[str, FileSet], max_length: int) -> float:
        """Mean length of the blocks of raw text: as many lines of one document as fit; blank lines separate documents."""
        key = digest(
            ["blocks", [files.model_dump(mode="json") for files in text.values()], max_length, self.tokenizer_hash]
        )
        if key not in self.known:
            lengths = [self._length((each, None)) for files in text.values() for each in self._documents(files)]
            tokens = sum(lengths)
            number = sum(math.ceil(length / max_length) for length in lengths)
            self.known[key] = {"tokens": tokens / max(1, number)}
            self.changed = True
        return self.known[key]["tokens"]

    def _documents(self, files: FileSet) -> Iterator[str]:
        """The first documents of the files of a language."""
        for name in files.files:
            with (self.data / name).open(encoding="utf-8", errors="replace") as lines:
                groups = (
                    list(own) for filled, own in itertools.groupby(lines, lambda line: line.strip() != "") if filled
                )
                for group in itertools.islice(groups, DOCUMENTS):
                    yield "".join(itertools.islice(group, SAMPLE))

    def _remember(self, part: str, files: FileSet, spec: Spec, language: str, cap: int | None) -> Extent:
        reading = [files.model_dump(mode="json"), spec.family, spec.max_length, spec.doc_stride]
        key = digest([part, reading, language, cap, self.tokenizer_hash])
        if key not in self.known:
            self.known[key] = asdict(self._measure(part, files, spec, language, cap))
            self.changed = True
        return Extent(**self.known[key])

    def _measure(self, part: str, files: FileSet, spec: Spec, language: str, cap: int | None) -> Extent:
        if part == "candidates":
            return self._extent(list(load_entities(self.data, files)), spec, training=False)
        records = load_split(self.data, files, language, spec.known_labels)
        if part == "test":
            records = first(records, cap)
            return self._extent(_listed(answerable(records)), spec, training=False) if labelled(records) else Extent()
        if spec.family == "mewslix":
            return self._contrastive(records, spec, cap)
        return self._extent(sample(records, cap), spec, training=True)

    def _contrastive(self, records: Sequence[Record], spec: Spec, cap: int | None) -> Extent:
        """Mewsli-X's training pairs: each mention with its entity's description, which are as long as all of them are."""
        mentions = sample([record for record in records if isinstance(record, Mention)], cap)
        entities = self._extent(
            [record for record in records if isinstance(record, CandidateEntity)], spec, training=True
        )
        own = self._extent(mentions, spec, training=True)
        share = len(mentions) / max(1.0, entities.examples)
        return Extent(len(mentions), own.tokens + share * entities.tokens, own.squares + share * entities.squares)

    def _extent(self, records: Sequence[Record | Row], spec: Spec, *, training: bool) -> Extent:
        """Measured on at most ``SAMPLE`` records, evenly spaced."""
        chosen = [records[i] for i in range(0, len(records), max(1, math.ceil(len(records) / SAMPLE)))]
        if not chosen:
            return Extent()
        examples, lengths = 0, []
        for record in chosen:
            rows = [record] if isinstance(record, tuple) else rows_of(record, training)
            examples += len(record.questions) if isinstance(record, Passage) else 1
            lengths += [own for row in rows for own in windows(self._length(row), spec)]
        factor = len(records) / len(chosen)
        return factor * Extent(examples, sum(lengths), sum(length**2 for length in lengths))

    def _length(self, row: Row) -> int:
        if self.tokenizer is None:
            return SPECIAL + round(sum(len(text or "") for text in row) / CHARACTERS_PER_TOKEN)
        return len(self.tokenizer.encode(*row).ids)


def _listed(records: Any) -> list[Record | Row]:
    """Records, or both sides of a collection of sentences, as a list."""
    if isinstance(records, ParallelText):
        return [(text, None) for text in (*records.source, *records.target)]
    if isinstance(records, Mining):
        return [(text, None) for text in (*records.source.values(), *records.target.values())]
    return list(records)
