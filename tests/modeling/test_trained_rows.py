"""Training only the rows of the embedding table that are read is the same training, and saves only what moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.test_resume import killed_and_resumed, result, several_steps
from torch import Tensor, nn

from xlt.config.regimes import Bottleneck, Full
from xlt.config.robustness import Adversarial
from xlt.data import batching
from xlt.data.features import Feature
from xlt.families import FAMILIES
from xlt.files import read_json
from xlt.modeling import trained_rows
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.pretrained import load_word_embeddings
from xlt.modeling.trained_rows import ReadRows, only_moved, read_rows_only, whole_table, with_all_rows
from xlt.pipeline.context import Context
from xlt.pipeline.steps import train_step
from xlt.pipeline.train_run import TRAINED, WEIGHTS, load_trained, train
from xlt.training import checkpointer
from xlt.training.multitask import fit
from xlt.training.robustness.adversarial import AdversarialTraining
from xlt.training.trainer import TrainingArguments

TABLE = "encoder.embeddings.word_embeddings.weight"
WORDS = [[7, 8, 7], [9], [8, 20, 21, 22], [7, 19], [12, 7], [13, 14, 15]]
FEATURES = [
    Feature(number, [[0, *words, 2]], [[0] * (len(words) + 2)], number % 2) for number, words in enumerate(WORDS)
]
READ = sorted({0, 1, 2} | {word for words in WORDS for word in words})  # with begin, padding and end


@pytest.fixture(autouse=True)
def _every_table_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_rows, "WORTH_VALUES", 0)


def settings(**changes: Any) -> TrainingArguments:
    given: dict[str, Any] = {"epochs": 3, "batch_size": 4, "learning_rate": 0.01, "warmup_steps": 2}
    return TrainingArguments(**{**given, "weight_decay": 0.1, "max_grad_norm": 0.5, "seed": 1, **changes})


def make(encoder: Path, tuning: Any = None) -> TransferModel:
    tuning = tuning or Full(kind="full")
    return build_model(encoder, family=FAMILIES["classification"], labels=2, tuning=tuning, pooling="mean", seed=1)


def trained(encoder: Path, *, rows: bool, monkeypatch: pytest.MonkeyPatch, **how: Any) -> dict[str, Tensor]:
    """All trained tensors after three epochs with decay and clipping, the table whole or only by the rows that are read."""
    monkeypatch.setattr(trained_rows, "WORTH_VALUES", 0 if rows else 10**9)
    model = make(encoder)
    own = settings(checkpoint=how.pop("checkpoint", "best"))
    fit(model, FEATURES, own, how.pop("evaluate", None), title="t", **how)
    assert (model.unread_factor == 1.0) != rows
    return model.trained_state()


def close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=2e-4, atol=2e-6, msg=name)


@pytest.mark.parametrize("fast", [True, False], ids=["gathered", "plain"])
def test_the_same_training_with_decay_and_clipping(
    mini_encoder: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(batching, "FAST", True)
    dense = trained(mini_encoder, rows=False, monkeypatch=monkeypatch)
    if not fast:  # a micro-batch of all examples: words are not gathered
        monkeypatch.setattr("xlt.training.optimizer_step.gathered_embeddings", None)
    close(trained(mini_encoder, rows=True, monkeypatch=monkeypatch), dense)
    before = load_word_embeddings(mini_encoder)
    unread = [number for number in range(len(before)) if number not in READ]
    assert len(unread) > len(READ)
    assert not torch.equal(dense[TABLE][unread], before[unread])  # decayed


@pytest.mark.parametrize("checkpoint", ["average", "best"])
def test_unread_rows_belong_to_what_is_kept(
    mini_encoder: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Any
) -> None:
    def training(rows: bool) -> dict[str, Tensor]:
        scores = iter([3.0, 2.0, 1.0])  # the first epoch is the best
        changes = {"checkpoint": checkpoint, "evaluate": lambda: next(scores)}
        return trained(mini_encoder, rows=rows, monkeypatch=monkeypatch, **changes)

    close(training(True), training(False))


def test_the_same_adversarial_training(mini_encoder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def training(rows: bool) -> dict[str, Tensor]:
        values = Adversarial(kind="adversarial", norm="l2", radius=0.1, step_size=0.05, steps=2)
        attack = AdversarialTraining(values, tokenizer, 1)
        return trained(mini_encoder, rows=rows, monkeypatch=monkeypatch, perturbation=attack)

    close(training(True), training(False))


def test_development_texts_may_have_other_words(mini_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(mini_encoder).eval()
    ids = torch.tensor([[7, 40, 41, 2]])
    before = model.encoder.get_input_embeddings()(ids)
    with read_rows_only(model.encoder, FEATURES, 1) as rows:
        assert isinstance(rows, ReadRows)
        assert rows.ids.tolist() == READ
        assert torch.equal(rows(ids), before)
        rows.unread_factor = 0.5
        assert torch.equal(rows(ids)[0, 1:3], 0.5 * before[0, 1:3])
        assert torch.equal(rows(ids)[0, 0], before[0, 0])
        with pytest.raises(IndexError):
            rows.train()(ids)
        assert whole_table(model.encoder).shape == load_word_embeddings(mini_encoder).shape
    assert isinstance(model.encoder.get_input_embeddings(), nn.Embedding)
    assert torch.equal(model.encoder.get_input_embeddings()(ids)[0, 1:3], 0.5 * before[0, 1:3])


def test_unread_rows_are_multiplied_by_what_adamw_would(mini_encoder: Path) -> None:
    model = make(mini_encoder)
    with read_rows_only(model.encoder, FEATURES, 1) as rows:
        assert rows is not None
        optimizer = torch.optim.AdamW([{"params": [rows.weight], "weight_decay": 0.5}], lr=0.1)
        rows.follow(optimizer)
        for rate in (0.1, 0.2):
            optimizer.param_groups[0]["lr"] = rate
            rows.weight.grad = torch.zeros_like(rows.weight)
            optimizer.step()
        rows.weight.grad = None  # frozen: no decay
        optimizer.step()
        assert rows.unread_factor == pytest.approx(0.95 * 0.9)


@pytest.mark.parametrize("why", ["frozen", "small", "most of it read"])
def test_the_table_stays_where_nothing_is_won(mini_encoder: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    model = make(mini_encoder, Bottleneck(kind="bottleneck", reduction_factor=4) if why == "frozen" else None)
    size = model.encoder.get_input_embeddings().num_embeddings
    words = list(range(3, size)) if why == "most of it read" else [7]
    if why == "small":
        monkeypatch.setattr(trained_rows, "WORTH_VALUES", model.encoder.get_input_embeddings().weight.numel() + 1)
    with read_rows_only(model.encoder, [Feature(0, [words], [[0] * len(words)], 0)], 1) as rows:
        assert rows is None
        assert isinstance(model.encoder.get_input_embeddings(), nn.Embedding)


def test_what_moved_is_saved_and_the_whole_is_loaded() -> None:
    before = torch.arange(12.0).view(6, 2)
    after = before * 0.5
    after[[1, 4]] += 1.0
    state = {TABLE: after, "head.out.weight": torch.ones(2)}
    saved = only_moved(state, TABLE, lambda: before, 0.5)
    assert saved[TABLE].tolist() == [[2.0, 2.5], [5.0, 5.5]]
    assert saved[f"{TABLE}.rows"].tolist() == [1, 4]
    loaded = with_all_rows(saved, TABLE, before)
    assert loaded.keys() == state.keys()
    assert torch.equal(loaded[TABLE], after)
    assert only_moved(state, TABLE, lambda: before, 1.0)[TABLE] is after  # every row but the first differs


@pytest.mark.parametrize("name", ["full/mnli", "full/copa", "full-itt/udpos", "full-adv/mnli"])
def test_a_run_s_file_has_the_rows_that_moved(open_run: Callable[[str], Context], name: str) -> None:
    context = open_run(f"{name}/seed-1")
    for upstream in context.config.upstream:
        train(open_run(upstream.folder.removeprefix("runs/")))
    model = train(context)
    saved = load_file(context.folder / WEIGHTS)
    whole = load_word_embeddings(context.encoder)
    assert len(saved[TABLE]) == len(saved[f"{TABLE}.rows"]) < len(whole) / 2
    again = load_trained(context)
    for key, tensor in model.trained_state().items():
        assert torch.equal(tensor, again.trained_state()[key]), key
    counts = read_json(context.folder / "trained.json")
    assert counts["trainable_parameters"] == counts["total_parameters"]  # the whole table counts as trained


@pytest.mark.parametrize("name", ["full/copa", "full/squad"])  # two stages; weight decay
def test_a_killed_run_ends_as_one_that_was_not(
    open_run: Callable[[str], Context], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "LARGEST_SHARE", 1e9)  # checkpoints at every step, no matter what they cost
    context = several_steps(open_run(f"{name}/seed-1"), tmp_path)
    train(context)
    expected = result(context.folder)
    (context.folder / TRAINED).unlink()
    assert f"{TABLE}.rows" in load_file(context.folder / WEIGHTS)
    (context.folder / WEIGHTS).unlink()
    assert killed_and_resumed(lambda: train_step(context, 0), [2, 1]) >= 1
    assert result(context.folder) == expected
