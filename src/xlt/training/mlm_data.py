"""Raw text as masked batches: what language adapters, and masked-language modelling beside a task, are trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xlt.errors import InputError
from xlt.modeling.collate import pad_rows
from xlt.modeling.mlm import IGNORE, MaskedBatch

SMOOTHING = 0.7
"""Languages are drawn in proportion to their blocks to this power (multilingual BERT's released training recipe)."""
LINES_AT_ONCE = 10_000
LENGTHS = 8
"""Parts of equal size into which a language's blocks are divided by length; a batch is drawn from one of them."""
MASKED, KEPT = 0.8, 0.1
"""Of the sub-words to be predicted: the part that becomes the mask, and the part that stays (Devlin et al. 2019, 3.1)."""


class MaskedCorpus:
    """Blocks of raw text in one or several languages, masked anew in each batch.

    A block is as many lines of one document as fit (DOC-SENTENCES, Liu et al. 2019, RoBERTa, section 4.2); blank lines
    separate documents, and a line that is too long is cut.

    Args:
        files: the text files of each language: UTF-8, one sentence or paragraph a line.
        tokenizer: the encoder's fast tokenizer.
        max_length: longest block in sub-words, special tokens included.
        mask: part of the sub-words that are predicted.
        seed: with the step it decides everything that is drawn.
        held_out: part of each language's blocks that ``batch`` never draws, at least one if it is not 0.

    Raises:
        InputError: a file is absent, empty or not UTF-8, or a language has too little text.
    """

    def __init__(
        self,
        files: Mapping[str, Path | Sequence[Path]],
        tokenizer: Any,
        max_length: int,
        mask: float,
        seed: int,
        *,
        held_out: float = 0.0,
    ) -> None:
        if tokenizer.mask_token_id is None:
            raise InputError("expected a tokenizer with a mask token for masked text, got none; choose another MODEL")
        self.tokenizer, self.mask, self.seed = tokenizer, mask, seed
        special = set(tokenizer.all_special_ids)
        self.ordinary = np.array(sorted(set(tokenizer.get_vocab().values()) - special))
        self.blocks: dict[str, list[NDArray[np.int32]]] = {}
        self.held_out: dict[str, list[NDArray[np.int32]]] = {}
        for language, given in files.items():
            paths = [given] if isinstance(given, Path) else list(given)
            blocks = [block for path in paths for block in _blocks(path, tokenizer, max_length)]
            order = np.random.default_rng(seed).permutation(len(blocks))
            kept = len(blocks) - (max(1, round(held_out * len(blocks))) if held_out else 0)
            if kept < 1:
                raise InputError(f"expected more text to learn {language} from, got {len(blocks)} blocks", paths[0])
            self.blocks[language] = [blocks[i] for i in order[:kept]]
            self.held_out[language] = [blocks[i] for i in order[kept:]]
        self.languages = list(self.blocks)
        weights = np.array([len(self.blocks[language]) ** SMOOTHING for language in self.languages])
        self.chances = weights / weights.sum()
        parts = min(LENGTHS, *(len(own) for own in self.blocks.values()))
        self.by_length = {code: np.array_split(_by_length(own), parts) for code, own in self.blocks.items()}
        self.parts = parts

    def batch(self, step: int, size: int) -> MaskedBatch:
        """``size`` blocks drawn and masked for a step: the same for the same seed and step, whatever came before.

        They are of similar length, so that little padding is computed; every block of a language is equally likely.
        """
        rng = np.random.default_rng([self.seed, step])
        part = int(rng.integers(self.parts))
        drawn = [self.languages[i] for i in rng.choice(len(self.languages), size, p=self.chances)]
        blocks = [self.blocks[language][rng.choice(self.by_length[language][part])] for language in drawn]
        return self._masked(blocks, rng)

    def held_out_batches(self, size: int, limit: int) -> Iterator[MaskedBatch]:
        """At most ``limit`` held-out blocks of each language in batches, always masked alike."""
        rng = np.random.default_rng([self.seed, 0, 0])  # two numbers more: no step's
        chosen = [block for own in self.held_out.values() for block in own[:limit]]
        chosen.sort(key=len)
        for start in range(0, len(chosen), size):
            yield self._masked(chosen[start : start + size], rng)

    def _masked(self, blocks: Sequence[NDArray[np.int32]], rng: np.random.Generator) -> MaskedBatch:
        types = [self.tokenizer.create_token_type_ids_from_sequences([0] * (len(block) - 2)) for block in blocks]
        rows = pad_rows([block.tolist() for block in blocks], types, int(self.tokenizer.pad_token_id))
        inputs, labels = mask_ids(
            rows.input_ids.numpy(), self.mask, int(self.tokenizer.mask_token_id), self.ordinary, rng
        )
        rows.input_ids.copy_(torch.from_numpy(inputs))
        return MaskedBatch(rows, torch.from_numpy(labels))


def mask_ids(
    ids: NDArray[np.int64], share: float, mask_id: int, ordinary: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """BERT's masking (Devlin et al. 2019, section 3.1): inputs and labels, each of the shape of ``ids``.

    Of the ``ordinary`` sub-words (no special tokens) a part ``share`` is to be predicted; of these 80 % become the mask,
    10 % another sub-word drawn uniformly, 10 % stay.
    """
    chosen = np.isin(ids, ordinary) & (rng.random(ids.shape) < share)
    labels = np.where(chosen, ids, IGNORE)
    action = rng.random(ids.shape)
    inputs = np.where(chosen & (action < MASKED), mask_id, ids)
    random_pieces = ordinary[rng.integers(len(ordinary), size=ids.shape)]
    return np.where(chosen & (action >= MASKED + KEPT), random_pieces, inputs), labels


def _by_length(blocks: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """The indices of the blocks, shortest first."""
    return np.argsort([len(block) for block in blocks], kind="stable")


def _blocks(path: Path, tokenizer: Any, max_length: int) -> Iterator[NDArray[np.int32]]:
    """The blocks of one file, special tokens included."""
    room = max_length - tokenizer.num_special_tokens_to_add()
    block: list[int] = []
    found = False
    for ids in _lines(path, tokenizer):
        if (block and len(block) + min(len(ids), room) > room) or not ids:
            if block:
                yield _finished(block, tokenizer)
            block = []
        for start in range(0, len(ids), room):
            found = True
            piece = ids[start : start + room]
            if len(block) + len(piece) > room:
                yield _finished(block, tokenizer)
                block = []
            block = block + piece
    if block:
        yield _finished(block, tokenizer)
    if not found:
        raise InputError("expected raw text, found an empty file; put text into it or remove it", path)


def _finished(block: list[int], tokenizer: Any) -> NDArray[np.int32]:
    return np.array(tokenizer.build_inputs_with_special_tokens(block), dtype=np.int32)


def _lines(path: Path, tokenizer: Any) -> Iterator[list[int]]:
    """The sub-word ids of each line; an empty list for a blank line."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as handle:
            for lines in _chunks(handle):
                yield from tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"]
    except FileNotFoundError:
        raise InputError("expected raw text, found no file; see docs/data-layout.md", path) from None
    except UnicodeDecodeError as error:
        raise InputError(f"expected UTF-8 text: {error.reason} at byte {error.start}", path) from None


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line.strip())
        if len(chunk) == LINES_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
