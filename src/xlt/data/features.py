"""From records to token ids: what the encoder reads, one feature per sequence (or per set of options).

Nothing here needs torch. A *row* is one sequence of token ids; ``choice`` features hold one row per option, all others
one row. Every feature remembers which record it came from, so that predictions go back in order. No row is longer than
the encoder has positions for, whatever ``max_length`` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xlt.config.benchmark import LONGEST_QUESTION
from xlt.data.records import Choice, Pair, Question, Tagged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
"""Target of a position without a label (the ``ignore_index`` of cross-entropy)."""


@dataclass(slots=True)
class Feature:
    """One training or prediction unit.

    Attributes:
        record: position of its record in the list it was made from.
        rows: token ids, one list per sequence.
        types: token type ids, one list per row (all zero for encoders without them).
        target: class index (classification, choice), label index per position (tagging), or (start, end) (span).
        positions: tagging: position of the first sub-word of each word.
        first_word: tagging: index of the first word of this window in its sentence.
        offsets: span: character span in the context of each position, or None outside the context.
        starts: span: whether an answer may start at each position, where a passage has several windows; else empty.
    """

    record: int
    rows: list[list[int]]
    types: list[list[int]]
    target: Any = None
    positions: list[int] = field(default_factory=list)
    first_word: int = 0
    offsets: list[tuple[int, int] | None] = field(default_factory=list)
    starts: list[bool] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens in the longest row."""
        return max(len(row) for row in self.rows)


def longest(tokenizer: PreTrainedTokenizerFast, max_length: int) -> int:
    """``max_length``, or the encoder's own limit where that is smaller."""
    return min(max_length, int(tokenizer.model_max_length))


def _encode(tokenizer: PreTrainedTokenizerFast, first: Sequence[str], second: Sequence[str], max_length: int) -> Any:
    return tokenizer(
        list(first),
        list(second),
        truncation="longest_first",
        max_length=longest(tokenizer, max_length),
        return_token_type_ids=True,
        return_attention_mask=False,
    )


def type_ids(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[int]:
    """Zeros when the encoder has no segments; otherwise kept as the tokenizer gave them."""
    return list(ids) if "token_type_ids" in tokenizer.model_input_names else [0] * len(ids)


def pair_features(
    records: Sequence[Pair], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
) -> list[Feature]:
    """Sentence pairs as ``<s> a </s></s> b </s>``, cut to ``max_length`` by shortening the longer sentence."""
    if not records:
        return []
    index = {label: position for position, label in enumerate(labels)}
    coded = _encode(tokenizer, [r.text_a for r in records], [r.text_b for r in records], max_length)
    return [
        Feature(
            number,
            [coded["input_ids"][number]],
            [type_ids(tokenizer, coded["token_type_ids"][number])],
            target=None if record.label is None else index[record.label],
        )
        for number, record in enumerate(records)
    ]


def choice_features(records: Sequence[Choice], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Feature]:
    """One row per option, each the pair (prompt, option)."""
    features = []
    for number, record in enumerate(records):
        coded = _encode(tokenizer, [record.prompt] * len(record.options), record.options, max_length)
        types = [type_ids(tokenizer, row) for row in coded["token_type_ids"]]
        features.append(Feature(number, list(coded["input_ids"]), types, target=record.label))
    return features


def tagging_features(
    records: Sequence[Tagged], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
) -> list[Feature]:
    """Words cut into sub-words, the first of which carries the word's label.

    As XTREME's ``utils_preprocess.py`` does, a sentence of more than ``max_length`` sub-words becomes several windows
    (no word is dropped), and a word without any sub-word, or with more than fit, is read as the unknown token.
    """
    index = {label: position for position, label in enumerate(labels)}
    begin, end = tokenizer("")["input_ids"]  # <s> and </s>, or [CLS] and [SEP]
    room = longest(tokenizer, max_length) - 2
    features: list[Feature] = []
    for number, record in enumerate(records):
        pieces = _word_pieces(record.words, tokenizer, room)
        for first, last in _windows([len(piece) for piece in pieces], room):
            body: list[int] = []
            starts = []
            for piece in pieces[first:last]:
                starts.append(len(body))
                body.extend(piece)
            row = [begin, *body, end]
            positions = [start + 1 for start in starts]
            target = None
            if record.tags is not None:
                target = [IGNORED] * len(row)
                for position, tag in zip(positions, record.tags[first:last], strict=True):
                    target[position] = index[tag]
            features.append(Feature(number, [row], [[0] * len(row)], target, positions, first))
    return features


def _word_pieces(words: Sequence[str], tokenizer: PreTrainedTokenizerFast, room: int) -> list[list[int]]:
    coded = tokenizer(list(words), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    unknown = [tokenizer.unk_token_id]
    return [list(piece) if 0 < len(piece) <= room else unknown for piece in coded]


def _windows(sizes: Sequence[int], room: int) -> Iterable[tuple[int, int]]:
    """Cut consecutive words into windows of at most ``room`` sub-words: (first word, end) of each."""
    first = used = 0
    for word, size in enumerate(sizes):
        if used + size > room:
            yield first, word
            first, used = word, 0
        used += size
    if first < len(sizes):
        yield first, len(sizes)


def span_features(
    records: Sequence[Question],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    doc_stride: int,
    *,
    training: bool,
    max_query_length: int = LONGEST_QUESTION,
) -> list[Feature]:
    """Question and passage windows, each ``doc_stride`` tokens further than the last (Devlin et al. 2019, section 4.2).

    The target is the token span of the first answer, or (0, 0), the first token, where the window lacks the answer.
    Questions are cut to ``max_query_length`` sub-words as in XTREME's ``run_squad.py``. For prediction, ``starts`` marks the
    positions whose token no other window shows with more context.
    """
    features: list[Feature] = []
    max_length = longest(tokenizer, max_length)
    for number, record in enumerate(records):
        question, size = _shortened(record.question.strip(), tokenizer, max_query_length)
        overlap = max(0, max_length - tokenizer.num_special_tokens_to_add(pair=True) - size - doc_stride)
        coded = tokenizer(
            question,
            record.context,
            truncation="only_second",
            max_length=max_length,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_token_type_ids=True,
        )
        windows = [[part == 1 for part in coded.sequence_ids(i)] for i in range(len(coded["input_ids"]))]
        sizes = [sum(inside) for inside in windows]
        most = [] if training or len(sizes) == 1 else most_context(sizes, sizes[0] - overlap)
        for window, (row, inside) in enumerate(zip(coded["input_ids"], windows, strict=True)):
            offsets = [
                (start, end) if keep and end > start else None
                for keep, (start, end) in zip(inside, coded["offset_mapping"][window], strict=True)
            ]
            target = _span_target(record, offsets) if training else None
            types = type_ids(tokenizer, coded["token_type_ids"][window])
            chosen = iter(most[window]) if most else iter(())
            starts = [keep and next(chosen) for keep in inside] if most else []
            features.append(Feature(number, [row], [types], target, offsets=offsets, starts=starts))
    return features


def most_context(sizes: Sequence[int], step: int) -> list[list[bool]]:
    """For each window of a passage, which of its tokens have the most context there (``token_is_max_context``).

    A token's context in a window is the smaller number of tokens on either side of it, plus a hundredth of the window's
    length; the first of equal windows has it (Devlin et al. 2019's and XTREME's ``run_squad.py``).

    Args:
        sizes: tokens of the passage in each window.
        step: tokens by which each window begins after the last.
    """
    best: dict[int, tuple[float, int]] = {}
    for window, size in enumerate(sizes):
        for place in range(size):
            context = min(place, size - 1 - place) + 0.01 * size
            token = window * step + place
            if token not in best or context > best[token][0]:
                best[token] = context, window
    return [[best[window * step + place][1] == window for place in range(size)] for window, size in enumerate(sizes)]


def _shortened(text: str, tokenizer: PreTrainedTokenizerFast, limit: int) -> tuple[str, int]:
    """``text`` cut to at most ``limit`` sub-words, and how many it has."""
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    offsets = coded["offset_mapping"]
    return (text, len(offsets)) if len(offsets) <= limit else (text[: offsets[limit - 1][1]], limit)


def _span_target(record: Question, offsets: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    if not record.answers:
        return 0, 0
    answer = record.answers[0]
    end = answer.start + len(answer.text)
    inside = [
        position
        for position, span in enumerate(offsets)
        if span is not None and span[0] < end and span[1] > answer.start
    ]
    if not inside:
        return 0, 0
    first, last = offsets[inside[0]], offsets[inside[-1]]
    assert first is not None and last is not None
    if first[0] > answer.start or last[1] < end:  # the window cuts the answer
        return 0, 0
    return inside[0], inside[-1]


def text_rows(texts: Sequence[Any], tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Any, Any]:
    """Token ids and type ids of texts, or of (text, text) pairs, each cut to ``max_length`` (for embedding)."""
    coded = tokenizer(
        list(texts),
        truncation="longest_first",
        max_length=longest(tokenizer, max_length),
        return_token_type_ids=True,
        return_attention_mask=False,
    )
    return coded["input_ids"], [type_ids(tokenizer, row) for row in coded["token_type_ids"]]
