"""Word vectors: what is pooled, at which layer, for an encoder and for a decoder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlt.config.benchmark import Decoder
from xlt.errors import InputError
from xlt.modeling.decoder import load_decoder, load_decoder_tokenizer
from xlt.modeling.pretrained import load_encoder
from xlt.modeling.word_embeddings import (
    embed_words,
    layer_count,
    layer_vectors,
    lowest_layers,
    pad_words,
    pool_words,
    tokenize,
    vectors_up_to,
)

WORDS = ["cat", "umbrella", "Rome"]


@pytest.fixture(scope="module", params=["encoder", "decoder"])
def loaded(request: pytest.FixtureRequest, mini_encoder: Path, mini_decoder: Path, tokenizer: Any) -> tuple[Any, Any]:
    """(model in evaluation mode, its tokenizer), once as an encoder and once as a decoder."""
    if request.param == "encoder":
        return load_encoder(mini_encoder).eval(), tokenizer
    return load_decoder(mini_decoder, Decoder(), torch.device("cpu")).eval(), load_decoder_tokenizer(mini_decoder)


def test_pooling_is_the_normalised_mean_of_the_word_s_own_tokens() -> None:
    # own tokens (1, 0) and (3, 4): their mean is (2, 2), normalised (1, 1) / sqrt 2; the (100, -50) of <s> is left out.
    states = torch.tensor([[[100.0, -50.0], [1.0, 0.0], [3.0, 4.0], [7.0, 7.0]]])
    pooled = pool_words(states, torch.tensor([[0, 1, 1, 0]]))
    torch.testing.assert_close(pooled, torch.full((1, 2), 1 / math.sqrt(2)))


def test_special_tokens_are_no_part_of_a_word(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    tokens = tokenize(WORDS, tokenizer)
    for ids, own in zip(tokens.ids, tokens.own, strict=True):
        special = [number for number, kept in zip(ids, own, strict=True) if not kept]
        assert [tokenizer.bos_token_id, tokenizer.eos_token_id][: len(special)] == special
        assert len(special) == (2 if hasattr(model, "encoder") else 1)  # <s> word </s>, or <s> word
    with torch.inference_mode():
        for layer in range(layer_count(model) + 1):
            for word in WORDS:
                states = model(**tokenizer(word, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][
                    0
                ]
                by_hand = states[1:-1].mean(0) if hasattr(model, "encoder") else states[1:].mean(0)
                batch = pad_words(tokenize([word], tokenizer), [0], tokenizer.pad_token_id, "cpu")
                (vector,) = layer_vectors(model, batch, [layer])[0]
                torch.testing.assert_close(vector, by_hand / by_hand.norm(), atol=1e-6, rtol=1e-5)


def test_padding_does_not_change_a_vector(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    together = embed_words(model, tokenizer, WORDS, pad_id=tokenizer.pad_token_id)
    alone = [embed_words(model, tokenizer, [word], pad_id=tokenizer.pad_token_id)[:, 0] for word in WORDS]
    assert together.shape == (layer_count(model) + 1, len(WORDS), model.config.hidden_size)
    np.testing.assert_allclose(together, np.stack(alone, 1), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=-1), 1, atol=1e-5)


def test_the_layers_above_are_not_needed(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    batch = pad_words(tokenize(WORDS, tokenizer), [2, 0], tokenizer.pad_token_id, "cpu")
    depth = layer_count(model)
    with torch.inference_mode():
        everything = layer_vectors(model, batch, range(depth + 1))
        for layer in range(depth + 1):
            torch.testing.assert_close(vectors_up_to(model, batch, layer), everything[layer])
    with lowest_layers(model, 1):
        assert layer_count(model) == 1
    assert layer_count(model) == depth


def test_a_word_without_sub_words_is_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="expected sub-words of '', got none"):
        tokenize(["cat", ""], tokenizer)
