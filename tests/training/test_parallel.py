"""Two processes train one run: the same losses and weights as one process, and the same end for both."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import ROOT
from tests.training import two_processes

from xlt.modeling import distributed

LIMIT = 240.0
"""Seconds after which processes that wait for each other count as hanging."""


@pytest.fixture(autouse=True)
def _steady() -> Iterator[None]:
    with two_processes.steady():
        yield


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory, mini_encoder: Path) -> Path:
    """The miniature encoder without dropout: what it learns follows from the data alone."""
    return two_processes.write_still_encoder(tmp_path_factory.mktemp("encoder") / "still", mini_encoder)


@pytest.fixture(scope="module")
def two(
    still: Path, mini_encoder: Path, planned: Path, mini_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What every case gave in each of two processes."""
    folder = tmp_path_factory.mktemp("two")
    root = shutil.copytree(planned, folder / "root")
    paths = [str(path) for path in (folder, still, mini_encoder, root, mini_data)]
    command = [sys.executable, two_processes.__file__]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen([*command, str(number), *paths], stderr=subprocess.PIPE, env=environment) for number in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=LIMIT)[1].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    return [pickle.loads((folder / f"{number}.pickle").read_bytes()) for number in (0, 1)]


@pytest.fixture(scope="module")
def one(still: Path, planned: Path, mini_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The comparable cases in this one process, by name."""
    root = shutil.copytree(planned, tmp_path_factory.mktemp("one") / "root")
    return two_processes.comparable(still, root, mini_data)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_both_processes_end_with_the_same_bits(two: list[dict[str, Any]]) -> None:
    for name, result in two[0].items():
        other = two[1][name]
        assert result.keys() == other.keys()
        assert equal(result.get("weights", {}), other.get("weights", {})), name
        for key in result.keys() - {"weights", "outputs", "vectors"}:
            assert result[key] == other[key], (name, key)


@pytest.mark.parametrize(
    "name",
    [
        "classification, full",
        "classification, adapter",
        "choice",
        "tagging",
        "span",
        "contrastive",
        "penalty",
        "fewer examples than processes",
    ],
)
def test_losses_and_weights_are_those_of_one_process(name: str, two: list[dict[str, Any]], one: Any) -> None:
    expected, found = one[name](), two[0][name]
    assert len(found["losses"]) == len(expected["losses"]) == (2 if name.startswith("fewer") else 6)
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert found["history"]["dev_scores"] == pytest.approx(expected["history"]["dev_scores"], rel=1e-5)
    assert found["history"]["best_epoch"] == expected["history"]["best_epoch"]
    for tensor, value in expected["weights"].items():
        assert torch.allclose(found["weights"][tensor], value, rtol=0, atol=1e-5), tensor


@pytest.mark.parametrize("name", ["full/copa", "adapter-fisher/mnli", "lora-gradual/panx", "full-itt-mlm/intermediate"])
def test_runs_end_as_in_one_process(name: str, two: list[dict[str, Any]], one: Any) -> None:
    expected = one[f"run {name}"]()
    found = two[0][f"run {name}"]
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-4)
    for tensor, value in expected["weights"].items():
        assert torch.allclose(found["weights"][tensor], value, rtol=0, atol=1e-4), tensor


def test_predictions_are_those_of_one_process_bit_for_bit(two: list[dict[str, Any]], mini_encoder: Path) -> None:
    expected = two_processes.predicted(mini_encoder)
    for found in (two[0]["predictions"], two[1]["predictions"]):
        assert np.array_equal(found["vectors"], expected["vectors"])
        for family, outputs in expected["outputs"].items():
            assert all(np.array_equal(a, b) for a, b in zip(found["outputs"][family], outputs, strict=True)), family


def test_a_number_that_is_none_in_one_process_ends_both(two: list[dict[str, Any]]) -> None:
    error = two[0]["not a number"]["error"]
    assert error.startswith("t: loss nan at step 1 (gradient norm nan; training examples ")
    assert error.endswith("try a lower learning rate")
    assert two[0]["not a number"]["steps"] == 1  # the state before it is kept


def test_too_little_memory_in_one_process_halves_in_both(two: list[dict[str, Any]]) -> None:
    result, plain = two[0]["out of memory"], two[0]["classification, full"]
    assert result["history"]["halved"][0] == 0
    assert result["losses"] == pytest.approx(plain["losses"], rel=1e-5)


@pytest.mark.parametrize("name", ["dropout", "adversarial"])
def test_stopped_and_resumed_is_as_if_it_had_not_been(name: str, two: list[dict[str, Any]]) -> None:
    result, plain = two[0][f"{name}, stopped"], two[0][name]
    assert result["signal"] == signal.SIGTERM
    assert 0 < result["steps"] < 6 and len(result["losses"]) == 6 - result["steps"]
    assert result["history"] == plain["history"]
    assert equal(result["weights"], plain["weights"])


def test_each_process_draws_its_own_dropout(two: list[dict[str, Any]]) -> None:
    """Alike masks would make the process's halves of a batch move together, which one process's do not."""
    torch.manual_seed(1)
    first = torch.get_rng_state()
    parallel_states = []
    for rank in (0, 1, 2):
        torch.set_rng_state(first)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(distributed, "rank", lambda rank=rank: rank)
            two_processes.trainer.draw_apart(1, 5, None)
        parallel_states.append(torch.get_rng_state())
    assert torch.equal(parallel_states[0], first)
    assert not torch.equal(parallel_states[1], first)
    assert not torch.equal(parallel_states[1], parallel_states[2])
    assert two[0]["dropout"]["losses"] != two[0]["classification, full"]["losses"]


@pytest.mark.parametrize("kind", ["adversarial", "random"])
def test_perturbed_training_is_that_of_one_process_but_for_its_draws(
    kind: str, two: list[dict[str, Any]], still: Path
) -> None:
    found, expected = two[0]["noise" if kind == "random" else kind], two_processes.perturbed(still, kind)
    assert found["measured"] == expected["measured"]
    assert found["losses"] == pytest.approx(expected["losses"], rel=0.02)
    assert found["losses"] != pytest.approx(two[0]["classification, full"]["losses"], rel=1e-6)


def test_a_process_without_examples_at_first_knows_the_size_of_the_perturbation(
    two: list[dict[str, Any]], still: Path
) -> None:
    expected = two_processes.perturbed(still, "adversarial", examples=1)["measured"]
    assert expected is not None and two[1]["adversarial, one example"]["measured"] == expected
