"""Every architecture with every kind of tuning: the same that holds of BERT and XLM-R, on tiny random checkpoints."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.modeling.test_earlier import trained_elsewhere
from tests.modeling.test_language_adapters import SETTINGS, write_adapter
from tests.tiny_encoders import MADE, write_encoder
from torch import Tensor

from xlt.config.regimes import Adversarial, Bottleneck, Full, Head, LoRA, MadX, RandomPerturbation, Tuning
from xlt.config.schedules import FisherUnfreezing, GradualUnfreezing
from xlt.data import batching
from xlt.data.features import Feature
from xlt.errors import InputError, Interrupted
from xlt.families import FAMILIES
from xlt.modeling import trained_rows
from xlt.modeling.architectures import ARCHITECTURES, architecture_of
from xlt.modeling.composition import prepare_for_adapters
from xlt.modeling.intermediate_adapters import IntermediateAdapters
from xlt.modeling.language_adapters import add_language_adapter
from xlt.modeling.mlm import MaskedBatch, load_masked_lm_head, masked_lm_loss
from xlt.modeling.model import TransferModel, build_model
from xlt.modeling.outputs import outputs_of
from xlt.modeling.preparation import prepare, resolve_model
from xlt.modeling.pretrained import load_encoder, load_tokenizer, load_word_embeddings
from xlt.modeling.sentence_embeddings import embed
from xlt.modeling.tuning import merged
from xlt.modeling.word_embeddings import embed_words
from xlt.training.checkpointer import Checkpointer
from xlt.training.multitask import fit
from xlt.training.registry import PERTURBATIONS, SCHEDULES
from xlt.training.trainer import TrainingArguments

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FULL = Full(kind="full")
TUNINGS: dict[str, Tuning] = {
    "full": FULL,
    "head": Head(kind="head"),
    "pfeiffer": Bottleneck(kind="bottleneck", placement="pfeiffer", reduction_factor=4),
    "houlsby": Bottleneck(kind="bottleneck", placement="houlsby", reduction_factor=4),
    "parallel": Bottleneck(kind="bottleneck", placement="parallel", reduction_factor=4),
    "lora": LoRA(kind="lora", rank=2, alpha=4, targets=["q", "k", "v", "intermediate", "output"]),
}
SENTENCES = [
    "the cat sat on the mat",
    "it ran",
    "Anna saw the big old dog under a tree and he ate fish",
    "where is Paris",
    "a bird",
    "Bob loves the small blue house by the river because they sat",
]
Folder = Callable[..., Path]
EVERY = pytest.mark.parametrize("architecture", MADE)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A function that gives the prepared folder of an architecture, made once."""

    @cache
    def function(architecture: str, **more: Any) -> Path:
        place = tmp_path_factory.mktemp("architecture")
        source = write_encoder(place / architecture, architecture, **more)
        return prepare(resolve_model(str(source), CONFIGS), place / "cache").path

    return function


def make(path: Path, tuning: Tuning, family: str = "tagging", **more: Any) -> TransferModel:
    return build_model(path, family=FAMILIES[family], labels=3, tuning=tuning, pooling="mean", seed=1, **more)


def features(path: Path) -> list[Feature]:
    """Six sentences of different lengths; each token's tag is its id modulo 3."""
    return tagged(load_tokenizer(path)(SENTENCES)["input_ids"])


def tagged(rows: list[list[int]]) -> list[Feature]:
    return [Feature(n, [row], [[0] * len(row)], [token % 3 for token in row]) for n, row in enumerate(rows)]


def predicted(model: TransferModel, given: list[Feature], budget: int = 10_000) -> np.ndarray:
    """The scores of all tokens of all sentences: [tokens, tags]."""
    return np.concatenate(outputs_of(model, given, budget=budget, title="t"))


def settings(**changes: Any) -> TrainingArguments:
    given: dict[str, Any] = {
        "epochs": 8,
        "batch_size": 3,
        "learning_rate": 0.02,
        "warmup_steps": 0,
        "weight_decay": 0.1,
    }
    return TrainingArguments(**{**given, "max_grad_norm": 1.0, "seed": 1, **changes})


def whole_loss(model: TransferModel, given: list[Feature]) -> float:
    """The mean loss over all examples, without dropout."""
    gold = torch.tensor([tag for feature in given for tag in feature.target])
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(predicted(model, given)), gold))


def test_every_architecture_has_a_checkpoint_here_and_its_row_in_the_docs() -> None:
    assert MADE.keys() == ARCHITECTURES.keys()
    page = (CONFIGS.parent / "docs" / "models.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    rows = {cells[0].strip("`"): cells[2:] for cells in lines if cells[0].strip("`") in ARCHITECTURES}
    assert rows.keys() == ARCHITECTURES.keys()
    for name, cells in rows.items():  # MAD-X is the fourth column of tunings, masked text the last
        refused = {"madx": cells[3], "masked_text": cells[7]}
        assert all(cell.startswith("no (") == (kind in ARCHITECTURES[name].refused) for kind, cell in refused.items())
        assert all(cell.startswith("yes") for cell in cells if cell not in refused.values())


@EVERY
@pytest.mark.parametrize("tuning", TUNINGS)
def test_losses_fall_and_nothing_else_moves(architecture: str, tuning: str, folder: Folder) -> None:
    path = folder(architecture)
    model, given = make(path, TUNINGS[tuning]), features(path)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    first = whole_loss(model, given)
    fit(model, given, settings(), None, title="t")
    assert whole_loss(model, given) < 0.9 * first
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved and moved <= model.trainable


@EVERY
@pytest.mark.parametrize("tuning", ["full", "pfeiffer", "parallel"])
def test_padding_does_not_change_scores(architecture: str, tuning: str, folder: Folder) -> None:
    path = folder(architecture)
    model, given = make(path, TUNINGS[tuning]), features(path)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapters." in name:
                parameter.normal_(std=0.3)
    together = predicted(model, given)
    assert np.allclose(together, predicted(model, given, budget=1), atol=1e-5)
    assert np.abs(np.diff(together, axis=0)).max() > 0.1


@EVERY
def test_the_fast_path_is_the_reference_path(
    architecture: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths sorted, words gathered, read rows trained alone; against the whole table in the order drawn."""
    path = folder(architecture)
    losses, tables = [], []
    for fast in (True, False):
        monkeypatch.setattr(batching, "FAST", fast)
        monkeypatch.setattr(trained_rows, "WORTH_VALUES", 0 if fast else 10**9)
        model = make(path, FULL)
        given = tagged([[0, 8, 9, 2], [0, 10, 2], [0, 11, 12, 8, 2], [0, 9, 2], [0, 12, 13, 2], [0, 13, 2]])
        losses.append(fit(model, given, settings(learning_rate=1e-3, token_budget=10), None, title="t").losses)
        assert (model.unread_factor != 1.0) == fast
        tables.append(model.trained_state()[model.table_name()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert torch.allclose(tables[0], tables[1], atol=1e-4)
    assert not torch.allclose(tables[0], load_word_embeddings(path), atol=1e-3)


@EVERY
@pytest.mark.parametrize("tuning", ["full", "pfeiffer", "lora"])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(
    architecture: str, tuning: str, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(architecture)
    given = features(path)

    def trained(checkpointer: Checkpointer | None = None) -> dict[str, Tensor]:
        model = make(path, TUNINGS[tuning])
        fit(model, given, settings(epochs=3), None, title="t", checkpointer=checkpointer)
        return model.trained_state()

    whole = trained()
    stopped, seen = Checkpointer(tmp_path, "key"), iter(range(1, 1000))
    after_step = stopped.after_step

    def stop_in_the_third() -> None:
        if next(seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        after_step()

    monkeypatch.setattr(stopped, "after_step", stop_in_the_third)
    with pytest.raises(Interrupted):
        trained(stopped)
    resumed = trained(Checkpointer(tmp_path, "key"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())


@EVERY
def test_merged_lora_predicts_the_same_and_leaves_no_trace(architecture: str, folder: Folder) -> None:
    path = folder(architecture)
    model, given = make(path, TUNINGS["lora"]), features(path)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    apart = predicted(model, given)
    with merged(model.encoder):
        together = predicted(model, given)
    assert np.allclose(apart, together, atol=1e-4)
    assert np.array_equal(np.argmax(apart, -1), np.argmax(together, -1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not np.allclose(apart, predicted(make(path, FULL), given), atol=1e-2)


@EVERY
def test_sentence_vectors_do_not_depend_on_the_batch(architecture: str, folder: Folder) -> None:
    path = folder(architecture)
    encoder, tokenizer = load_encoder(path), load_tokenizer(path)
    for layer in (None, 1):
        together = embed(encoder, tokenizer, SENTENCES, layer=layer, batch_tokens=10_000)
        alone = np.concatenate([embed(encoder, tokenizer, [text], layer=layer) for text in SENTENCES])
        assert np.allclose(together, alone, atol=1e-5)
        assert together.shape == (len(SENTENCES), 16)
    assert not np.allclose(embed(encoder, tokenizer, SENTENCES), together, atol=1e-2)  # another layer, other vectors
    assert embed_words(encoder, tokenizer, ["cat", "dog"], pad_id=1).shape == (3, 2, 16)


@EVERY
def test_a_library_that_puts_in_nothing_changes_nothing(architecture: str, folder: Folder) -> None:
    """adapters 1.3.0 gives the joint attention matrix of ModernBERT a random bias as it wraps it."""
    path = folder(architecture)
    encoder = load_encoder(path).eval()
    ids = torch.tensor([[0, 9, 10, 11, 12, 2]])
    with torch.no_grad():
        before = encoder(input_ids=ids).last_hidden_state
        prepare_for_adapters(encoder)
        assert torch.equal(encoder(input_ids=ids).last_hidden_state, before)


def test_an_adapter_reads_through_the_norm_of_its_own_layer(folder: Folder) -> None:
    """adapters 1.3.0 hands every layer's adapter the norm of the last one: RemBERT, through the plug-in interface."""
    model = make(folder("rembert"), TUNINGS["pfeiffer"])
    seen: list[Tensor] = []
    layer = model.encoder.encoder.layer[0]
    adapter = layer.output_adapters.adapters["task"]
    adapter.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    with torch.no_grad():
        layer.output.LayerNorm.bias.fill_(7.0)  # mean of what a norm gives: its bias
        model.eval().hidden(model.batch(features(folder("rembert"))[:1]))
    assert seen[0].mean().item() == pytest.approx(7.0, abs=1e-4)


@pytest.mark.parametrize(
    "architecture", [name for name, each in ARCHITECTURES.items() if "masked_text" not in each.refused]
)
def test_the_checkpoint_s_head_predicts_what_transformers_own_does(architecture: str, tmp_path: Path) -> None:
    import transformers

    path = write_encoder(tmp_path / "encoder", architecture, head=True)
    model = getattr(transformers, f"{MADE[architecture][0]}ForMaskedLM").from_pretrained(path).eval()
    head, ids = load_masked_lm_head(path, 1), torch.tensor([[0, 6, 7, 8, 2]])
    assert head.pretrained
    with torch.no_grad():
        states = load_encoder(path).eval()(input_ids=ids).last_hidden_state[0]
        assert torch.allclose(head(states, model.base_model), model(input_ids=ids).logits[0], atol=1e-4)


@pytest.mark.parametrize("architecture", [name for name, each in ARCHITECTURES.items() if "madx" not in each.refused])
def test_madx(architecture: str, folder: Folder, tmp_path: Path) -> None:
    """A language adapter learns, is undone before the output matrix, is saved, loaded and exchanged."""
    path = folder(architecture, head=True)
    encoder, head = load_encoder(path), load_masked_lm_head(path, 1).requires_grad_(False)
    trained = add_language_adapter(encoder, "en", SETTINGS)
    assert any("invertible" in name for name in trained)
    given = features(path)
    rows = make(path, FULL).batch(given)
    labels = torch.where(rows.input_ids > 5, rows.input_ids, -100)
    batch = MaskedBatch(rows, labels)
    optimizer = torch.optim.AdamW(trained.values(), lr=0.01)
    losses = []
    for _ in range(20):
        losses.append(masked_lm_loss(encoder, head, batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < 0.9 * losses[0].item()
    states = torch.randn(2, 5, 16)
    there = encoder.invertible_adapters_forward(states)
    assert (there - states).abs().max() > 1e-3
    assert torch.allclose(encoder.invertible_adapters_forward(there, rev=True), states, atol=1e-4)
    folders = {"en": tmp_path / "en", "qag": tmp_path / "qag"}
    for language, place in folders.items():
        write_adapter(path, place, language, 0.3)
    model = make(path, MadX(kind="madx", reduction_factor=4), language_adapters=folders)
    before = whole_loss(model, given)
    fit(model, given, settings(), None, title="t")
    assert whole_loss(model, given) < before
    assert all(".task." in name or name.startswith("head.") for name in model.trainable)
    english = predicted(model, given)
    model.use_language("qag")
    assert not np.allclose(english, predicted(model, given), atol=1e-3)


@EVERY
@pytest.mark.parametrize("transfer", ["stack", "fuse"])
def test_earlier_adapters(architecture: str, transfer: Any, folder: Folder) -> None:
    path = folder(architecture)
    states = {name: trained_elsewhere(path, seed) for seed, name in enumerate(("mnli", "udpos"))}
    model = make(path, TUNINGS["pfeiffer"], earlier=IntermediateAdapters(transfer, states))
    given = features(path)
    before = whole_loss(model, given)
    fit(model, given, settings(), None, title="t")
    assert whole_loss(model, given) < before
    part = ".adapter_fusion_layer." if transfer == "fuse" else ".adapters.task."
    assert all(part in name or name.startswith("head.") for name in model.trainable)
    frozen = {name: value for name, value in model.named_parameters() if ".intermediate-mnli." in name}
    for name, value in frozen.items():
        assert torch.equal(value, states["mnli"][name.replace("intermediate-mnli", "task")])
    assert frozen


@EVERY
@pytest.mark.parametrize("tuning", ["full", "pfeiffer", "lora"])
@pytest.mark.parametrize("kind", ["gradual", "fisher"])
def test_unfreezing(architecture: str, tuning: str, kind: str, folder: Folder) -> None:
    path = folder(architecture)
    config = GradualUnfreezing(kind="gradual") if kind == "gradual" else FisherUnfreezing(kind="fisher")
    schedule = SCHEDULES[kind](config, 2, 1)
    model, given = make(path, TUNINGS[tuning]), features(path)
    fit(model, given, settings(), None, title="t", schedule=schedule)
    assert [entry.layer for entry in schedule.unfrozen] == [1, 0]
    assert all(parameter.requires_grad for parameter in model.trained_parameters().values())


@EVERY
@pytest.mark.parametrize(
    "noise",
    [Adversarial(kind="adversarial", radius=0.1, step_size=0.05), RandomPerturbation(kind="random", radius=0.1)],
    ids=["adversarial", "random"],
)
def test_perturbation_of_word_embeddings(architecture: str, noise: Any, folder: Folder) -> None:
    path = folder(architecture)
    model, given = make(path, TUNINGS["pfeiffer"]), features(path)
    perturbation = PERTURBATIONS[type(noise)](noise, load_tokenizer(path), 1)
    before = whole_loss(model, given)
    fit(model, given, settings(), None, title="t", perturbation=perturbation)
    assert whole_loss(model, given) < before
    model.eval()
    rows = model.batch(given)
    plain = model.hidden(rows)
    model.embedding_perturbation = lambda words, rows: words
    torch.testing.assert_close(model.hidden(rows)[rows.attention_mask == 1], plain[rows.attention_mask == 1])


def test_what_cannot_be_is_refused_with_its_reason(folder: Folder, tmp_path: Path) -> None:
    path = folder("rembert")
    with pytest.raises(
        InputError, match="tuning madx cannot be had with an encoder of architecture rembert: its output"
    ):
        make(path, MadX(kind="madx"), language_adapters={"en": tmp_path})
    with pytest.raises(
        InputError, match="masked_text cannot be had with an encoder of architecture rembert: its output"
    ):
        load_masked_lm_head(path, 1)
    with pytest.raises(InputError, match=r"expected one of the architectures bert, xlm-roberta, .* got gpt2"):
        architecture_of({"model_type": "gpt2"})
