"""Sentence embeddings: the same vectors whatever the batches, layers as transformers counts them, padding ignored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from xlt.errors import InputError
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.modeling.sentence_embeddings import embed

TEXTS = [" ".join(f"w{(3 * i + j) % 30}" for j in range(1 + i % 9)) for i in range(25)]


@pytest.fixture(scope="module")
def loaded(tiny_checkpoint: Path) -> tuple[Any, Any]:
    return load_encoder(tiny_checkpoint), load_tokenizer(tiny_checkpoint)


def test_batches_do_not_matter_and_rows_have_unit_norm(loaded: tuple[Any, Any]) -> None:
    whole = embed(*loaded, TEXTS, batch_tokens=10_000)
    single = embed(*loaded, TEXTS, batch_tokens=1)
    assert whole.shape == (25, 8) and whole.dtype == np.float32
    np.testing.assert_allclose(whole, single, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)


def test_order_is_kept_and_each_distinct_text_is_encoded_once(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    rows = 0

    def count(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal rows
        rows += len(kwargs["input_ids"])

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    vectors = embed(model, tokenizer, ["w1 w2", "w3", "w1 w2", "w4 w5 w6", "w3"])
    handle.remove()
    assert rows == 3
    alone = [embed(model, tokenizer, [text])[0] for text in ("w1 w2", "w3", "w4 w5 w6")]
    np.testing.assert_allclose(vectors, np.stack([alone[i] for i in (0, 1, 0, 2, 1)]), atol=2e-6)


@pytest.mark.parametrize("layer", [0, 1, 2, 3, None])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_layer_is_the_hidden_state_of_that_number(loaded: tuple[Any, Any], layer: int | None, pooling: str) -> None:
    model, tokenizer = loaded
    text = "w4 w8 w15 w16 w23"
    with torch.no_grad():
        states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
    chosen = states[3 if layer is None else layer][0]
    vector = chosen.mean(0) if pooling == "mean" else chosen[0]
    expected = (vector / vector.norm()).numpy()
    np.testing.assert_allclose(embed(model, tokenizer, [text], layer=layer, pooling=pooling)[0], expected, atol=2e-6)
    assert len(model.encoder.layer) == 3


@pytest.mark.parametrize(("specific", "layer"), [(0, 1), (1, 2), (2, 3)])
def test_a_layer_as_xtreme_counts_it(loaded: tuple[Any, Any], specific: int, layer: int) -> None:
    """Of three layers XTREME keeps the last three states and counts from 0: its layer 1 is the output of the second."""
    model, tokenizer = loaded
    with torch.no_grad():
        states = model(**tokenizer("w4 w8 w15", return_tensors="pt"), output_hidden_states=True).hidden_states
    vector = states[-3:][specific][0].mean(0)
    found = embed(model, tokenizer, ["w4 w8 w15"], layer=layer)[0]
    np.testing.assert_allclose(found, (vector / vector.norm()).numpy(), atol=2e-6)


def test_the_layers_above_are_not_computed(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    seen = []
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: seen.append(number))
        for number, layer in enumerate(model.encoder.layer)
    ]
    embed(model, tokenizer, ["w1"], layer=2)
    for hook in hooks:
        hook.remove()
    assert seen == [0, 1]


def test_mean_pooling_ignores_padding_by_hand() -> None:
    """An encoder that answers with fixed states: 9s where the mask is 0 must not reach the mean."""

    class Fixed(torch.nn.Module):
        config = SimpleNamespace(hidden_size=2, model_type="bert")

        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Module()
            self.encoder.layer = torch.nn.ModuleList()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SimpleNamespace:
            states = torch.stack([input_ids, torch.full_like(input_ids, 4)], dim=-1).float()
            states[attention_mask == 0] = 9.0
            return SimpleNamespace(last_hidden_state=states)

    class Numbers:
        pad_token_id = 0
        model_input_names = ("input_ids",)
        model_max_length = 512

        def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
            rows = [[int(word) for word in text.split()] for text in texts]
            return {"input_ids": rows, "token_type_ids": rows}

    # "3": mean (3, 4), norm 5.  "1 2 6": mean (3, 4) too.  "6 0 3 3": mean (3, 4); its 0 is a word here, not padding.
    vectors = embed(Fixed(), Numbers(), ["3", "1 2 6", "6 0 3 3"])  # type: ignore[arg-type]
    np.testing.assert_allclose(vectors, [[0.6, 0.8]] * 3, atol=1e-6)


def test_prefix_length_and_mode(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    np.testing.assert_allclose(
        embed(model, tokenizer, ["w7"], prefix="w9 "), embed(model, tokenizer, ["w9 w7"]), atol=1e-7
    )
    # 5 tokens: <s> w1 w2 w3 </s>
    long, cut = embed(model, tokenizer, ["w1 w2 w3 w4 w5"], max_length=5), embed(model, tokenizer, ["w1 w2 w3"])
    np.testing.assert_allclose(long, cut, atol=1e-6)
    model.train()
    try:
        assert np.array_equal(embed(model, tokenizer, TEXTS), embed(model, tokenizer, TEXTS))  # no dropout
        assert model.training
    finally:
        model.eval()


def test_pairs_are_encoded_as_two_segments(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    coded = tokenizer("w1 w2", "w3", return_tensors="pt")
    assert coded["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]  # <s> w1 w2 </s> w3 </s>
    with torch.no_grad():
        vector = model(**coded).last_hidden_state[0].mean(0)
    expected = (vector / vector.norm()).numpy()
    np.testing.assert_allclose(embed(model, tokenizer, [("w2", "w3")], prefix="w1 ")[0], expected, atol=2e-6)


def test_no_texts_and_a_layer_that_is_not_there(loaded: tuple[Any, Any]) -> None:
    assert embed(*loaded, []).shape == (0, 8)
    with pytest.raises(InputError, match="expected a layer from 0 to 3, got 7"):
        embed(*loaded, ["w1"], layer=7)
    assert len(loaded[0].encoder.layer) == 3
