"""Sentence embeddings for retrieval: pooled states of one layer, each distinct text encoded once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from xlt.data.batching import by_token_budget
from xlt.data.features import text_rows
from xlt.errors import InputError
from xlt.modeling.collate import pad_rows
from xlt.modeling.distributed import add, is_main_process, shard
from xlt.modeling.heads import pool
from xlt.modeling.precision import arithmetic
from xlt.modeling.word_embeddings import layer_count, lowest_layers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


Text = str | tuple[str, str]
"""A sentence, or a pair that the encoder reads as two segments (LAReQA: answer sentence and its passage)."""


def embed(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[Text],
    *,
    prefix: str = "",
    pooling: str = "mean",
    pooler: nn.Module | None = None,
    layer: int | None = None,
    max_length: int = 512,
    batch_tokens: int = 4096,
    device: torch.device | str = "cpu",
    progress: str | None = None,
) -> np.ndarray:
    """Embed sentences with a transformers encoder.

    Args:
        model: an encoder; it is moved to ``device`` and left in the mode it was in.
        tokenizer: its tokenizer.
        texts: sentences, or pairs of texts (not mixed); repeated ones are encoded once.
        prefix: put in front of every text, or of the first of a pair (E5's "query: ").
        pooling: "mean" over all real tokens, special tokens included, or "cls", the first token.
        pooler: in its place, states [rows, tokens, width] -> vectors [rows, width].
        layer: number of transformer layers to run, i.e. ``hidden_states[layer]``, with the norm that some architectures
            put on the uppermost; None for all of them.
        max_length: longest input in tokens, prefix and special tokens included; longer texts are cut.
        batch_tokens: largest padded size of a batch, rows x longest row.
        device: where to compute.
        progress: label of the progress bar; None for no bar.

    Returns:
        float32 ``[len(texts), width]``, rows in the order of ``texts`` and of L2 norm 1.

    Raises:
        InputError: the encoder has fewer layers than ``layer``.
    """
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    if not distinct:
        return np.zeros((0, int(model.config.hidden_size)), dtype=np.float32)
    rows, types = text_rows(
        [prefix + text if isinstance(text, str) else (prefix + text[0], text[1]) for text in distinct],
        tokenizer,
        max_length,
    )
    widths = [len(row) for row in rows]
    vectors = np.zeros((len(rows), int(model.config.hidden_size)), dtype=np.float32)
    batches = by_token_budget(range(len(rows)), [1] * len(rows), widths, batch_tokens)
    quiet = True if progress is None or not is_main_process() else None  # None: without a terminal
    bar = tqdm(total=len(rows), desc=progress, disable=quiet, unit="text")
    with bar, _evaluating(model.to(device)), _lowest(model, layer), torch.inference_mode():
        for batch in shard(batches):
            padded = pad_rows([rows[i] for i in batch], [types[i] for i in batch], int(tokenizer.pad_token_id)).to(
                device
            )
            with arithmetic(padded.input_ids.device):
                states = model(input_ids=padded.input_ids, **padded.beside_ids(model)).last_hidden_state
            pooled = pool(states.float(), padded.attention_mask, pooling) if pooler is None else pooler(states.float())
            vectors[batch] = nn.functional.normalize(pooled, dim=-1).cpu().numpy()
            bar.update(len(batch))
    add(torch.from_numpy(vectors))  # rows of other processes' batches are still 0 here
    return vectors[[distinct[text] for text in texts]]


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off inside the block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextlib.contextmanager
def _lowest(model: Any, count: int | None) -> Iterator[None]:
    """Only the first ``count`` transformer layers inside the block, or all of them."""
    depth = layer_count(model)
    if count is not None and not 0 <= count <= depth:
        raise InputError(f"expected a layer from 0 to {depth}, got {count}; correct retrieval_layer of the model")
    with lowest_layers(model, depth if count is None else count):
        yield
