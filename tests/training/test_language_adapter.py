"""Training of language adapters: what it lowers, that it is a function of its seed, and what the job leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from xlt.config.run_config import LanguageAdapterSettings
from xlt.files import read_json
from xlt.layout import ADAPTER
from xlt.modeling.language_adapters import adapter_state
from xlt.modeling.pretrained import load_encoder
from xlt.training.language_adapter import adapter_key, is_made, make_job, make_language_adapter, train_language_adapter

SETTINGS = LanguageAdapterSettings(
    name="test",
    reduction_factor=2,
    invertible_reduction_factor=2,
    learning_rate=0.02,
    steps=25,
    batch_size=8,
    max_length=40,
    held_out=0.1,
)


@pytest.fixture
def text(tmp_path: Path, write: Callable[[Path, str], Path]) -> Path:
    """Text of so few words that any learner lowers its loss."""
    return write(tmp_path / "raw" / "qag.txt", "\n\n".join(f"the cat sat on the mat {i % 5}" for i in range(40)))


def test_the_loss_on_held_out_text_falls_and_only_the_adapter_moves(mini_encoder: Path, text: Path) -> None:
    trained = train_language_adapter(mini_encoder, "qag", [text], SETTINGS, torch.device("cpu"))
    loss = trained.log["held_out_loss"]
    assert loss["after"] < loss["before"] - 0.5
    assert trained.log["training_loss"][-1] < trained.log["training_loss"][0]
    assert trained.log["head"].startswith("fresh")  # the miniature encoder has no head of its own
    bare, own = load_encoder(mini_encoder).state_dict(), trained.encoder.state_dict()
    adapter = adapter_state(trained.encoder, "qag")
    assert all(torch.equal(bare[name], own[name]) for name in bare)
    tied = "prompt_tuning.base_model_embeddings.weight"  # the library's second name of the word embeddings
    assert set(own) - {tied} == set(bare) | set(adapter)


def test_it_is_a_function_of_the_seed(mini_encoder: Path, text: Path) -> None:
    def state(seed: int) -> dict[str, torch.Tensor]:
        settings = SETTINGS.model_copy(update={"seed": seed, "steps": 3})
        return adapter_state(
            train_language_adapter(mini_encoder, "qag", [text], settings, torch.device("cpu")).encoder, "qag"
        )

    first, again, other = state(1), state(1), state(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_job_is_done_once(planned: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path) -> None:
    folder = Path(shutil.copytree(planned / "language-adapters" / "qag", tmp_path / "qag"))
    job = make_job(folder, mini_data, mini_encoder)
    assert not is_made(job)
    assert make_language_adapter(job).startswith("loss on held-out text")
    assert is_made(job)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter.json",
        "adapter.safetensors",
        "adapter_config.json",
        "config.json",
    ]
    made = read_json(folder / ADAPTER)
    assert made["key"] == adapter_key(job) and made["origin"] == "trained on raw text" and made["provenance"]
    weights = folder / "adapter.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not is_made(job)
    text = (folder / "config.json").read_text().replace('"steps": 3', '"steps": 4')
    (folder / "config.json").write_text(text)
    assert adapter_key(make_job(folder, mini_data, mini_encoder)) != made["key"]
