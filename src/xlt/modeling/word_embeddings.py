"""Vectors of single words at every layer of an encoder or a decoder-only model.

A word is encoded by itself; its vector is the mean over the states of its sub-words. Special tokens are left out: on its
first token a decoder piles up a state so large that means which include it are all alike (Ngugi's pilot has cosines of
0.9999 from layer 2 on for this reason, his evaluation without special tokens 0.32).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from xlt.data.batching import by_token_budget
from xlt.errors import InputError
from xlt.modeling.architectures import architecture_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Words:
    """Token ids of some words and, for each token, whether it belongs to the word (1) or is a special one (0)."""

    ids: list[list[int]]
    own: list[list[int]]


@dataclass(frozen=True, slots=True)
class WordBatch:
    """Padded words: ``ids``, ``mask`` (1 = not padding) and ``own`` (1 = sub-word of the word), each [words, tokens]."""

    ids: Tensor
    mask: Tensor
    own: Tensor


def tokenize(words: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> Words:
    """Each word as a text of its own.

    Raises:
        InputError: the tokenizer makes no sub-word of a word.
    """
    encoded = tokenizer(list(words), add_special_tokens=True, return_special_tokens_mask=True)
    own = [[1 - special for special in mask] for mask in encoded["special_tokens_mask"]]
    for word, kept in zip(words, own, strict=True):
        if not any(kept):
            raise InputError(f"expected sub-words of {word!r}, got none; remove the word from the word list")
    return Words(encoded["input_ids"], own)


def pad_words(words: Words, chosen: Sequence[int], pad_id: int, device: torch.device | str) -> WordBatch:
    """Some of the words, padded on the right."""
    width = max(len(words.ids[i]) for i in chosen)
    ids = torch.full((len(chosen), width), pad_id, dtype=torch.long)
    mask, own = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, index in enumerate(chosen):
        length = len(words.ids[index])
        ids[row, :length] = torch.tensor(words.ids[index])
        own[row, :length] = torch.tensor(words.own[index])
        mask[row, :length] = 1
    return WordBatch(ids.to(device), mask.to(device), own.to(device))


def pool_words(states: Tensor, own: Tensor) -> Tensor:
    """L2-normalised means over the words' own tokens.

    Args:
        states: [words, tokens, width].
        own: [words, tokens], 1 where the token is a sub-word of the word.

    Returns:
        float32 [words, width].
    """
    weight = own.unsqueeze(-1).float()
    return nn.functional.normalize((states.float() * weight).sum(1) / weight.sum(1), dim=-1)


def _stack(model: Any) -> tuple[nn.Module, str]:
    """Where a model keeps its transformer layers: the owner module and the attribute's name."""
    owner, _, name = architecture_of(model.config).layers.rpartition(".")
    return model.get_submodule(owner), name


def layer_count(model: Any) -> int:
    """The number of transformer layers."""
    return len(model.get_submodule(architecture_of(model.config).layers))


@contextlib.contextmanager
def lowest_layers(model: Any, count: int) -> Iterator[None]:
    """Only the lowest ``count`` layers inside the block, so that nothing above them is computed."""
    owner, name = _stack(model)
    whole = getattr(owner, name)
    setattr(owner, name, whole[:count])
    try:
        yield
    finally:
        setattr(owner, name, whole)


def layer_vectors(model: Any, batch: WordBatch, layers: Sequence[int]) -> list[Tensor]:
    """Word vectors at some layers, ``hidden_states[layer]`` each: [words, width]; layer 0 is the embeddings."""
    out = model(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True)
    return [pool_words(out.hidden_states[layer], batch.own) for layer in layers]


def vectors_up_to(model: Any, batch: WordBatch, layer: int) -> Tensor:
    """Word vectors at one layer: [words, width].

    One layer more than needed is computed: a decoder puts a final norm on the states of its uppermost layer.
    """
    with lowest_layers(model, min(layer + 1, layer_count(model))):
        return layer_vectors(model, batch, [layer])[0]


def embed_words(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    words: Sequence[str],
    *,
    pad_id: int,
    batch_tokens: int = 4096,
    device: torch.device | str = "cpu",
    progress: str | None = None,
) -> np.ndarray:
    """Vectors of distinct words at every layer, without dropout.

    Returns:
        float32 [layers + 1, len(words), width], of L2 norm 1.
    """
    tokens = tokenize(words, tokenizer)
    layers = range(layer_count(model) + 1)
    found = np.zeros((len(layers), len(words), int(model.config.hidden_size)), dtype=np.float32)
    widths = [len(row) for row in tokens.ids]
    model.eval()
    quiet = True if progress is None else None  # None: without a terminal
    with tqdm(total=len(words), desc=progress, disable=quiet, unit="word") as bar, torch.inference_mode():
        for chosen in by_token_budget(range(len(words)), [1] * len(words), widths, batch_tokens):
            batch = pad_words(tokens, chosen, pad_id, device)
            for layer, vectors in enumerate(layer_vectors(model, batch, layers)):
                found[layer, chosen] = vectors.cpu().numpy()
            bar.update(len(chosen))
    return found
