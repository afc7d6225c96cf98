"""Raw text as masked batches: what is masked, what is drawn, what is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xlt.errors import InputError
from xlt.modeling.mlm import IGNORE
from xlt.training.mlm_data import MaskedCorpus, mask_ids

Writer = Callable[[Path, str], Path]


@pytest.fixture
def text(tmp_path: Path, write: Writer) -> Path:
    lines = [f"the cat sat on the mat {number}\na dog ran under the tree {number}\n" for number in range(20)]
    return write(tmp_path / "en.txt", "\n".join(lines))


def test_blocks_are_documents_cut_to_length(tmp_path: Path, write: Writer, tokenizer: Any) -> None:
    path = write(tmp_path / "a.txt", "the cat\nthe dog\n\nthe red house and the blue house\n")
    blocks = MaskedCorpus({"en": path}, tokenizer, 100, 0.15, 1).blocks["en"]
    read = sorted(" ".join(tokenizer.decode(block[1:-1]).replace("▁", " ").split()) for block in blocks)
    assert read == ["the cat the dog", "the red house and the blue house"]
    ids = tokenizer("the red house and the blue house", add_special_tokens=False)["input_ids"]
    short = MaskedCorpus({"en": path}, tokenizer, 6, 0.15, 1).blocks[
        "en"
    ]  # room for four sub-words beside <s> and </s>
    assert all(len(block) <= 6 and block[0] == 0 and block[-1] == 2 for block in short)
    assert sorted(i for block in short for i in block[1:-1]) == sorted(
        [*ids, *tokenizer("the cat", add_special_tokens=False)["input_ids"]]
        + tokenizer("the dog", add_special_tokens=False)["input_ids"]
    )


def test_masking_is_bert_s() -> None:
    ordinary = np.arange(5, 1000)
    ids = np.random.default_rng(0).integers(0, 1000, (400, 500))
    inputs, labels = mask_ids(ids, 0.15, 3, ordinary, np.random.default_rng(1))
    chosen = labels != IGNORE
    assert not chosen[ids < 5].any() and (labels[chosen] == ids[chosen]).all()
    assert (inputs[~chosen] == ids[~chosen]).all()
    # 199,000 ordinary ids: the standard deviation of the share is sqrt(0.15 * 0.85 / 199000) = 0.0008
    assert chosen.sum() / (ids >= 5).sum() == pytest.approx(0.15, abs=0.004)
    masked, kept = inputs[chosen] == 3, inputs[chosen] == ids[chosen]
    # 30,000 chosen ids: 0.0023 and 0.0017
    assert masked.mean() == pytest.approx(0.8, abs=0.012)
    assert kept.mean() == pytest.approx(0.1, abs=0.009)  # a random sub-word is the old one in 1 of 995 cases
    others = inputs[chosen][~masked & ~kept]
    assert others.min() >= 5 and len(set(others.tolist())) > 900


def test_a_step_depends_on_seed_and_step_only(text: Path, tokenizer: Any) -> None:
    data = MaskedCorpus({"en": text}, tokenizer, 60, 0.15, 1)
    first = data.batch(3, 4)
    data.batch(4, 4)
    again, other = MaskedCorpus({"en": text}, tokenizer, 60, 0.15, 1).batch(3, 4), data.batch(5, 4)
    assert torch.equal(first.rows.input_ids, again.rows.input_ids) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.rows.input_ids, other.rows.input_ids)
    seeded = MaskedCorpus({"en": text}, tokenizer, 60, 0.15, 2).batch(3, 4)
    assert seeded.rows.input_ids.shape != first.rows.input_ids.shape or not torch.equal(
        seeded.rows.input_ids, first.rows.input_ids
    )
    assert (first.labels[first.rows.attention_mask == 0] == IGNORE).all()
    real = torch.where(first.labels == IGNORE, first.rows.input_ids, first.labels)
    known = {tuple(block.tolist()) for block in data.blocks["en"]}
    lengths = first.rows.attention_mask.sum(1).tolist()
    assert all(tuple(row[:length]) in known for row, length in zip(real.tolist(), lengths, strict=True))


def test_languages_are_drawn_by_smoothed_size(tmp_path: Path, write: Writer, tokenizer: Any) -> None:
    one = write(tmp_path / "a.txt", "\n\n".join(f"the cat sat {i}" for i in range(100)))
    two = write(tmp_path / "b.txt", "\n\n".join(f"dog fish bird {i}" for i in range(10)))
    data = MaskedCorpus({"a": one, "b": [two]}, tokenizer, 60, 0.15, 1)
    small = 10**0.7 / (10**0.7 + 100**0.7)  # 0.166
    assert data.chances == pytest.approx([1 - small, small])
    dog = set(tokenizer("dog fish bird", add_special_tokens=False)["input_ids"])
    cat = set(tokenizer("the cat sat", add_special_tokens=False)["input_ids"])
    rows = [
        torch.where(b.labels == IGNORE, b.rows.input_ids, b.labels)
        for b in (data.batch(step, 20) for step in range(100))
    ]
    drawn = [bool((dog - cat) & set(row)) for batch in rows for row in batch.tolist()]
    assert np.mean(drawn) == pytest.approx(small, abs=0.034)  # 2,000 draws: four times 0.0083


def test_held_out_blocks_are_never_drawn(text: Path, tokenizer: Any) -> None:
    data = MaskedCorpus({"en": text}, tokenizer, 60, 0.15, 1, held_out=0.2)
    assert len(data.blocks["en"]) == 16 and len(data.held_out["en"]) == 4
    held = {tuple(block.tolist()) for block in data.held_out["en"]}
    assert not held & {tuple(block.tolist()) for block in data.blocks["en"]}
    first, second = list(data.held_out_batches(3, 100)), list(data.held_out_batches(3, 100))
    assert [len(batch.labels) for batch in first] == [3, 1]
    assert all(torch.equal(a.rows.input_ids, b.rows.input_ids) for a, b in zip(first, second, strict=True))
    assert sum(len(batch.labels) for batch in data.held_out_batches(3, 2)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected raw text, found no file"),
        (b"\n\n", "expected raw text, found an empty file"),
        (b"\xff\xfe", "expected UTF-8 text"),
        (b"the cat\n", "expected more text to learn en from, got 1 blocks"),
    ],
)
def test_bad_text_is_one_line(tmp_path: Path, tokenizer: Any, content: bytes | None, message: str) -> None:
    path = tmp_path / "en.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        MaskedCorpus({"en": path}, tokenizer, 60, 0.15, 1, held_out=0.1)
