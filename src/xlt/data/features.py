"""From records to token ids: what the encoder reads, one feature per sequence (or per set of options).

Nothing here needs torch. A *row* is one sequence of token ids; ``choice`` features hold one row per option, all others
one row. Every feature remembers which record it came from, so that predictions go back in order. No row is longer than
the encoder has positions for, whatever ``max_length`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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


def type_ids(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[int]:
    """Zeros when the encoder has no segments; otherwise kept as the tokenizer gave them."""
    return list(ids) if "token_type_ids" in tokenizer.model_input_names else [0] * len(ids)


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
