"""Pre-training: same bits twice, a tokenizer that gives back its text, files that load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.babel.conftest import CONFIG

from xlt.babel import BabelConfig, corpus_key, load
from xlt.babel.config import EncoderConfig
from xlt.babel.raw_text import Corpus, PretrainingBatch
from xlt.errors import InputError
from xlt.modeling.model_sources import PACKAGE
from xlt.pipeline import pretraining

torch = pytest.importorskip("torch")
ENCODER = PACKAGE / "babel" / "encoder"


@pytest.fixture(scope="session")
def settings(config: BabelConfig) -> EncoderConfig:
    small = {
        "vocabulary": 400,
        "width": 16,
        "layers": 2,
        "heads": 2,
        "feed_forward": 16,
        "steps": 5,
        "batch_tokens": 256,
    }
    return config.encoder.model_copy(update=small)


@pytest.fixture(scope="session")
def encoder(corpus: Path, settings: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("encoder")
    pretraining.pretrain(corpus, out, settings, seed=1, threads=1)
    return out


def test_five_steps_are_the_same_bits_twice(
    corpus: Path, settings: EncoderConfig, encoder: Path, tmp_path: Path
) -> None:
    pretraining.pretrain(corpus, tmp_path, settings, seed=1, threads=1)
    names = sorted(path.name for path in encoder.iterdir())
    assert {"config.json", "model.safetensors", "mlm_head.safetensors", "tokenizer.json", "training_log.json"} <= set(
        names
    )
    for name in names:
        assert (encoder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_another_seed_gives_another_encoder(
    corpus: Path, settings: EncoderConfig, encoder: Path, tmp_path: Path
) -> None:
    pretraining.pretrain(corpus, tmp_path, settings, seed=2, threads=1)
    assert (encoder / "model.safetensors").read_bytes() != (tmp_path / "model.safetensors").read_bytes()


def test_tokenizer_round_trip(corpus: Path, encoder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    assert tokenizer.is_fast
    special: Any = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert special == [0, 1, 2, 3] and tokenizer.mask_token_id == len(tokenizer) - 1
    for name in ("en", "qad", "qaf", "qag"):
        line = (corpus / f"raw/{name}.txt").read_text(encoding="utf-8").splitlines()[0]
        encoded = tokenizer(line, return_offsets_mapping=True)
        assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == line
        pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
        for piece, (start, end) in zip(pieces, encoded["offset_mapping"], strict=True):
            assert piece in ("<s>", "</s>", "\u2581") or line[start:end].strip() == piece.strip("\u2581")
    ids = tokenizer("the dog", "a cat")["input_ids"]
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("the dog", "a cat"))
    assert ids == [0, *first, 2, 2, *second, 2]


def test_encoder_loads_without_pooler(encoder: Path) -> None:
    from safetensors.torch import load_file
    from transformers import XLMRobertaForMaskedLM, XLMRobertaModel

    model = XLMRobertaModel.from_pretrained(encoder, add_pooling_layer=False)
    assert model(input_ids=torch.tensor([[0, 5, 2]])).last_hidden_state.shape == (1, 3, 16)
    head = load_file(encoder / "mlm_head.safetensors")
    known = dict(XLMRobertaForMaskedLM(model.config).named_parameters())
    assert all(known[name].shape == value.shape for name, value in head.items()) and "lm_head.dense.weight" in head


def test_masking_marks_only_ordinary_pieces(settings: EncoderConfig) -> None:
    ids = np.tile(np.array([0, 10, 11, 12, 2, 1]), (500, 1))
    marks = np.tile(np.array([-1, 0, 1, 3, -1, -1]), (500, 1))
    batch = PretrainingBatch(ids, marks, paired=False)
    inputs, labels, wanted = pretraining.mask_batch(batch, settings, 99, np.random.default_rng(0))[:3]
    chosen = labels != pretraining.IGNORE
    assert not chosen[:, [0, 4, 5]].any() and (labels[chosen] == ids[chosen]).all()
    # 1,500 ordinary pieces at the configured share of 0.2: five standard deviations are 0.05
    assert abs(chosen[:, 1:4].mean() - settings.mask) < 0.05
    assert (inputs[~chosen] == ids[~chosen]).all() and (wanted[chosen] == pretraining.IGNORE).all()
    assert (wanted[:, 1:4][~chosen[:, 1:4]] == marks[:, 1:4][~chosen[:, 1:4]]).all()


def test_a_pair_agrees_when_the_first_text_supports_all_of_the_second() -> None:
    # supported; contradicted; new; of another sentence and asked for; no marks at all
    marks = np.array([[-1, 0, 0], [-1, 0, 1], [-1, 2, 0], [-1, 3, 4], [-1, -1, -1]])
    assert pretraining.agreement(marks).tolist() == [1, 0, 0, 1, pretraining.IGNORE]


def test_the_committed_encoder_is_of_the_committed_dials() -> None:
    """The dials of world and encoder, and the text they give, are those that the package's encoder was made from."""
    stamp = json.loads((ENCODER / "prepared.json").read_text(encoding="utf-8"))
    assert stamp["made_from"] == corpus_key(load(CONFIG)), (
        "the dials of the world or the encoder have changed; run make encoder REBUILD=1 and commit what it writes"
    )
    assert sum(path.stat().st_size for path in ENCODER.iterdir()) < 5_000_000


def test_missing_and_damaged_raw_text(tmp_path: Path, corpus: Path, settings: EncoderConfig) -> None:
    with pytest.raises(InputError, match="generate the world"):
        pretraining.pretrain(tmp_path, tmp_path / "out", settings, seed=1, threads=1)
    tokenizer = pretraining.train_tokenizer(["the dog"], 40)
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("en.txt", "mixed.txt"):
        (raw / name).write_text("the dog\n", encoding="utf-8")
    (raw / "parallel.tsv").write_text("en\tqaa\tdog\tdog\n", encoding="utf-8")
    (raw / "pairs.tsv").write_text("en\tqaa\tthe dog\tthe dog\t00\nen\tqaa\tthe dog\tthe dog\t0\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Corpus(tmp_path, tokenizer, 64)
    assert caught.value.line == 2
