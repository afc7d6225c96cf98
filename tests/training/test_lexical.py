"""Lexical injection: the loss, what is trained, the pilot, the merged encoder, whole jobs."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.conftest import CONFIGS

from xlt.config.benchmark import Decoder, Model, ModelSource, load
from xlt.config.lexical_injection import LexicalConfig, LexicalRun
from xlt.config.run_config import FileSet, write_config
from xlt.data.word_lists import WordPair, translations
from xlt.errors import InputError, exit_status
from xlt.files import read_json
from xlt.modeling.pretrained import load_encoder, load_tokenizer
from xlt.modeling.word_embeddings import embed_words
from xlt.training.lexical_injection import (
    choose_layer,
    forbidden_negatives,
    inject,
    job_key,
    load_model,
    make_job,
    save_merged,
    train,
    triplet_loss,
)
from xlt.training.pairs import LexicalJob, read_pairs

CPU = torch.device("cpu")
TEXT = (
    "the cat dog bird fish sat ran saw ate on under with and not never always who what where when why did does is was "
    "mat tree river house red blue old young"
)
ENGLISH = TEXT.split()


def tli() -> LexicalConfig:
    return load(LexicalConfig, CONFIGS / "lexical" / "tli.yaml")


@pytest.fixture
def job(tmp_path: Path, mini_encoder: Path) -> Callable[..., LexicalJob]:
    """A function that makes a job on hand-made word lists; its arguments change the method."""

    def function(
        encoder: Path = mini_encoder, decoder: Decoder | None = None, rate: float = 0.01, **method: Any
    ) -> LexicalJob:
        data, folder = tmp_path / "data", tmp_path / "root" / "lexical" / "tli" / "all" / "seed-1"
        (data / "lexicon").mkdir(parents=True, exist_ok=True)
        files = {}
        for code, ending in (("qaa", "o"), ("qab", "ix")):
            name = f"lexicon/en-{code}.tsv"
            rows = [f"{english}\t{english[::-1]}{ending}" for english in ENGLISH]
            (data / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
            files[code] = [FileSet(format="lexicon-tsv", files=[name], sha256={name: "0" * 64})]
        values = {"epochs": 2, "layer": 1, "early": 1.0} | method
        config = LexicalConfig.model_validate(tli().model_dump() | values)
        model = load(Model, CONFIGS / "models" / "babel.yaml").model_copy(
            update={"sources": [ModelSource(local=str(encoder))], "decoder": decoder}
        )
        run = LexicalRun(lexical=config, seed=1, model=model, learning_rate=rate, files=files)
        write_config(run, folder)
        return make_job(folder, data, encoder)

    return function


def unit(degrees: list[float]) -> torch.Tensor:
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], 1)


def test_the_hardest_negative_of_each_anchor_counts() -> None:
    # anchors at 0, 90, 180 degrees, positives at 30, 100, 60; angles between them:
    #          p0   p1   p2
    #   a0     30  100   60   hardest negative: p2, cos 60 = 0.5;      positive cos 30 = 0.866
    #   a1     60   10   30   hardest negative: p2, cos 30 = 0.866;    positive cos 10 = 0.985
    #   a2    150   80  120   hardest negative: p1, cos 80 = 0.174;    positive cos 120 = -0.5
    # margin 0.4: max(0, 0.4 + 0.5 - 0.866) = 0.034; 0.4 + 0.866 - 0.985 = 0.281; 0.4 + 0.174 + 0.5 = 1.074
    anchors, positives = unit([0, 90, 180]), unit([30, 100, 60])
    by_hand = [0.4 + 0.5 - math.sqrt(0.75), 0.4 + math.sqrt(0.75) - math.cos(math.radians(10))]
    by_hand.append(0.4 + math.cos(math.radians(80)) + 0.5)
    loss = triplet_loss(anchors, positives, 0.4, torch.eye(3, dtype=torch.bool))
    assert float(loss) == pytest.approx(sum(by_hand) / 3, abs=1e-6)
    # a margin of 0.1 leaves the first two anchors without a loss: 0.1 + 0.5 - 0.866 and 0.1 + 0.866 - 0.985 are negative
    loss = triplet_loss(anchors, positives, 0.1, torch.eye(3, dtype=torch.bool))
    assert float(loss) == pytest.approx((0.1 + math.cos(math.radians(80)) + 0.5) / 3, abs=1e-6)


def test_a_translation_is_no_negative_and_an_anchor_without_one_costs_nothing() -> None:
    anchors, positives = unit([0, 90, 180]), unit([30, 100, 60])
    forbidden = torch.eye(3, dtype=torch.bool)
    forbidden[0, 2] = True  # now a0's hardest negative is p1, cos 100 = -0.174: 0.4 - 0.174 - 0.866 < 0
    forbidden[1] = True
    by_hand = (0.4 + math.cos(math.radians(80)) + 0.5) / 3
    assert float(triplet_loss(anchors, positives, 0.4, forbidden)) == pytest.approx(by_hand, abs=1e-6)
    anchors.requires_grad_(True)
    triplet_loss(anchors, positives, 0.4, torch.ones(3, 3, dtype=torch.bool)).backward()
    assert anchors.grad is not None
    assert torch.equal(anchors.grad, torch.zeros(3, 2))


def test_synonyms_and_repeated_words_are_forbidden_negatives() -> None:
    pairs = [
        WordPair("x", "a", "big"),
        WordPair("y", "b", "Big"),
        WordPair("x", "a", "large"),
        WordPair("x", "c", "sea"),
    ]
    # a is big and large; b is big (another language); c is sea
    expected = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    assert forbidden_negatives(pairs, translations(pairs)).int().tolist() == expected


@pytest.mark.parametrize("layer", [1, 2])
def test_only_lora_below_the_layer_is_trained(job: Callable[..., LexicalJob], layer: int) -> None:
    made = job(layer=layer)
    model, tokenizer, pad_id = load_model(made)
    released = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pairs = [pair for found in read_pairs(made).trained.values() for pair in found]
    history = train(made, model, tokenizer, pad_id, pairs, layer)
    expected = {
        f"encoder.layer.{number}.attention.self.{matrix}.loras.task.lora_{half}"
        for number in range(layer)
        for matrix in ("query", "value")
        for half in "AB"
    }
    names = dict(model.named_parameters())
    assert {name for name in names if "lora" in name} == expected  # none in the layers above
    assert {name for name, parameter in names.items() if parameter.requires_grad} == expected
    assert {name for name, parameter in names.items() if parameter.grad is not None} == expected
    assert all(float(names[name].detach().abs().max()) > 0 for name in expected)  # lora_B starts at 0
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in released.items())
    assert history["steps"] == 2 * math.ceil(len(pairs) / 8)
    assert len(history["losses"]) == 2


def test_merging_does_not_change_a_state(job: Callable[..., LexicalJob]) -> None:
    made = job(layer=2)
    model, tokenizer, pad_id = load_model(made)
    pairs = read_pairs(made)
    together = [pair for found in pairs.trained.values() for pair in found]
    before = embed_words(model, tokenizer, pairs.words(), pad_id=pad_id)
    train(made, model, tokenizer, pad_id, together, 2)
    unmerged = embed_words(model, tokenizer, pairs.words(), pad_id=pad_id)
    save_merged(made, model, 2)
    folder = made.folder / "encoder"
    merged = embed_words(load_encoder(folder), load_tokenizer(folder), pairs.words(), pad_id=pad_id)
    np.testing.assert_allclose(merged, unmerged, atol=1e-6)
    assert np.abs(merged[1:] - before[1:]).max() > 1e-2  # and training did change them
    np.testing.assert_array_equal(merged[0], before[0])  # the embeddings have nothing below them
    np.testing.assert_allclose(embed_words(model, tokenizer, pairs.words(), pad_id=pad_id), unmerged, atol=1e-6)


def rows(cosines: list[float], precisions: list[float]) -> list[dict[str, Any]]:
    return [
        {"cosine": {"trained": cosine}, "p@1": {"trained": {"to-en": precision, "from-en": 0.0}}}
        for cosine, precision in zip(cosines, precisions, strict=True)
    ]


def test_the_pilot_chooses_by_the_mean_over_languages(job: Callable[..., LexicalJob]) -> None:
    # layer 0 would win by cosine, but has nothing below it; means by cosine: 0.5, 0.6, 0.6, 0.7, by P@1: 10, 30, 20, 20
    before = {
        "qaa": rows([0.9, 0.3, 0.8, 0.5, 0.7], [9, 10, 50, 0, 20]),
        "qab": rows([0.9, 0.7, 0.4, 0.7, 0.7], [9, 10, 10, 40, 20]),
    }
    assert choose_layer(job(layer="cosine"), before) == 4
    assert choose_layer(job(layer="retrieval"), before) == 2
    assert choose_layer(job(layer="cosine", early=0.75), before) == 2  # the lowest three; 2 and 3 are equal
    assert choose_layer(job(layer="cosine", early=0.1), before) == 1  # never none
    assert choose_layer(job(layer=3), before) == 3
    with pytest.raises(
        InputError, match=r"layer: expected 1 to 4 for babel, got 5; correct it in configs/lexical/tli.yaml"
    ):
        choose_layer(job(layer=5), before)


def run_script(made: LexicalJob) -> int:
    """The command line of reproduce/job.py in this process; its exit status."""
    main = importlib.import_module("job").main
    before = sys.argv, sys.path[0]
    sys.argv = [
        "job.py",
        str(made.folder),
        "--data",
        str(made.data),
        "--encoder",
        str(made.encoder),
        "--threads",
        "1",
    ]
    try:
        return exit_status(main)
    finally:
        sys.argv, sys.path[0] = before


def test_a_run_is_no_job(job: Callable[..., LexicalJob], capsys: pytest.CaptureFixture[str]) -> None:
    made = job()
    (made.folder / "config.json").write_text('{"regime": {}}', encoding="utf-8")
    assert run_script(made) == 2
    assert capsys.readouterr().err == (
        f"error: {made.folder}: expected the folder of a job; runs are carried out by reproduce/run.py\n"
    )


def test_a_job_says_what_it_did_and_is_not_repeated(
    job: Callable[..., LexicalJob], capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(layer="retrieval", epochs=1)
    assert run_script(made) == 0
    assert "layer" in capsys.readouterr().out
    path = made.folder / "lexical.json"
    result = read_json(path)
    assert (result["key"], result["layers"], result["chosen_by"]) == (job_key(made), 2, "retrieval")
    assert set(result["after"]) == set(result["before"]) == {"qaa", "qab"}
    assert all(len(layers) == 3 for layers in result["after"].values())
    assert result["after"]["qaa"][0] == result["before"]["qaa"][0]
    assert result["after"]["qaa"][result["layer"]] != result["before"]["qaa"][result["layer"]]
    counts = result["pairs"]["qaa"]
    assert counts["trained"] + counts["held-out"] + sum(result["left_out"]["qaa"].values()) == len(ENGLISH)
    stamp = read_json(made.folder / "encoder" / "prepared.json")
    assert stamp["sha256"]["model.safetensors"] == result["weights"]["sha256"]
    assert stamp["origin"].startswith("drawn at random for the tests; lexical injection tli (all, ")
    original = read_json(made.encoder / "prepared.json")
    assert set(stamp["sha256"]) == set(original["sha256"])
    assert stamp["sha256"]["tokenizer.json"] == original["sha256"]["tokenizer.json"]

    os.utime(path, ns=(10**9, 10**9))
    content = path.read_bytes()
    assert run_script(made) == 0
    assert capsys.readouterr().out.endswith("done already\n")
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns > 10**9  # make sees that it is newer than a config written again
    (made.folder / "encoder" / "model.safetensors").write_bytes(b"damaged")
    assert run_script(made) == 0
    again = read_json(path)
    assert {**again, "training": 0, "wall_seconds": 0, "peak_memory_bytes": 0} == {
        **result, "training": 0, "wall_seconds": 0, "peak_memory_bytes": 0
    }  # fmt: skip
    assert again["training"]["losses"] == result["training"]["losses"]


def test_what_a_result_depends_on_is_in_its_key(job: Callable[..., LexicalJob]) -> None:
    keys = {job_key(job(**changed)) for changed in ({}, {"layer": 2}, {"margin": 0.5}, {"epochs": 3})}
    assert len(keys) == 4
    assert job_key(job(title="another", seeds=7)) == job_key(job())


def moved(result: dict[str, Any], kind: str) -> float:
    """How far the mean cosine of some pairs went at the injected layer, over both languages."""
    cosines = [
        [rows[result["layer"]]["cosine"][kind] for rows in result[when].values()] for when in ("before", "after")
    ]
    return float(np.mean(cosines[1]) - np.mean(cosines[0]))


def test_an_encoder_draws_trained_pairs_from_random_ones(job: Callable[..., LexicalJob]) -> None:
    result = inject(job(layer=2, epochs=20, rate=0.003))
    assert result["training"]["losses"][-1] < result["training"]["losses"][0]
    assert moved(result, "trained") > moved(result, "random trained") + 0.02


def test_a_decoder_is_injected_from_end_to_end_and_random_pairs_show_its_collapse(
    job: Callable[..., LexicalJob], mini_decoder: Path
) -> None:
    made = job(encoder=mini_decoder, decoder=Decoder(), layer=2, epochs=10, rate=0.003)
    result = inject(made)
    assert (result["layer"], result["layers"]) == (2, 3)
    assert result["trainable_parameters"] == 2 * (16 * (16 + 16) + 16 * (16 + 8))  # q: 16 -> 16, v: 16 -> 8, rank 16
    # A random Llama has nothing to align: all words move to one point, and the loss to the margin, 0.4. The mean cosine
    # of trained pairs alone would look like a success.
    assert result["training"]["losses"][-1] == pytest.approx(0.4, abs=0.05)
    assert moved(result, "trained") > 0.5
    assert moved(result, "random trained") > moved(result, "trained")
    assert not (made.folder / "encoder").exists()  # no regime goes on from a decoder
    assert (made.folder / result["weights"]["path"]).is_file()
    assert result["weights"]["path"].startswith("adapter/")


def test_a_word_list_that_cannot_be_split_in_every_language_is_refused(job: Callable[..., LexicalJob]) -> None:
    made = job(held_out=0.01)  # room for one pair of 62, but every English word has two languages
    with pytest.raises(InputError, match="expected pairs of which 1% can be held out"):
        inject(made)
    assert not (made.folder / "lexical.json").exists()


def test_a_job_without_a_prepared_encoder_is_refused(job: Callable[..., LexicalJob], tmp_path: Path) -> None:
    made = job()
    with pytest.raises(InputError, match="expected a prepared encoder"):
        make_job(made.folder, made.data, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": 0}, "layer"),
        ({"layer": "best"}, "layer"),
        ({"layer": 2}, "early: it bounds the pilot's choice"),
        ({"lora": {"kind": "lora", "layers": [0]}}, "lora.layers: the layers below `layer` get LoRA"),
        ({"languages": ["sw", "sw"]}, "languages: expected distinct languages"),
        ({"languages": ["en"]}, "languages: en is the other side"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = shutil.copy(CONFIGS / "lexical" / "tli.yaml", tmp_path / "tli.yaml")
    values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) | change
    Path(path).write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load(LexicalConfig, Path(path))
