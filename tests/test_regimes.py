"""Every combination of axis values either loads, or is refused in one line that says why and what is allowed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from xlt.config.benchmark import load, load_all
from xlt.config.regimes import CONTRADICTIONS, Regime
from xlt.errors import InputError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
Values = dict[str, Any] | None

TUNING: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "head": {"kind": "head"},
    "frozen": {"kind": "frozen"},
    "bottleneck": {"kind": "bottleneck"},
    "madx": {"kind": "madx"},
    "bottleneck-parallel": {"kind": "bottleneck", "placement": "parallel"},
    "madx-parallel": {"kind": "madx", "placement": "parallel"},
    "lora": {"kind": "lora"},
    "lora-two-layers": {"kind": "lora", "layers": [0, 2]},
    "lora-one-layer": {"kind": "lora", "layers": [2]},
    "dora": {"kind": "dora"},
    "ia3": {"kind": "ia3"},
    "prefix": {"kind": "prefix"},
    "loreft": {"kind": "loreft"},
}
INTERMEDIATE: dict[str, Values] = {
    "none": None,
    "one": {"recipes": ["mnli"]},
    "several": {"recipes": ["mnli", "squad"]},
    "several-weighed": {"recipes": ["mnli", "squad"], "temperature": 2.0},
    "one-weighed": {"recipes": ["mnli"], "temperature": 2.0},
    "twice": {"recipes": ["mnli", "mnli"]},
    "masked": {"recipes": ["mnli"], "masked_text": {}},
    "stack": {"recipes": ["mnli"], "transfer": "stack"},
    "stack-several": {"recipes": ["mnli", "squad"], "transfer": "stack"},
    "stack-masked": {"recipes": ["mnli"], "transfer": "stack", "masked_text": {}},
    "fuse": {"recipes": ["mnli"], "transfer": "fuse"},
    "fuse-fusion-rate": {"recipes": ["mnli"], "transfer": "fuse", "learning_rate": 5.0e-5},
    "one-fusion-rate": {"recipes": ["mnli"], "learning_rate": 5.0e-5},
    "stack-fusion-rate": {"recipes": ["mnli"], "transfer": "stack", "learning_rate": 5.0e-5},
    "fuse-several": {"recipes": ["mnli", "squad"], "transfer": "fuse"},
    "fuse-masked": {"recipes": ["mnli"], "transfer": "fuse", "masked_text": {}},
    "fuse-weighed": {"recipes": ["mnli", "squad"], "transfer": "fuse", "temperature": 2.0},
}
ROBUSTNESS: dict[str, Values] = {
    "none": None,
    "adversarial": {"kind": "adversarial", "radius": 0.1, "step_size": 0.05},
    "random": {"kind": "random", "radius": 0.1},
    "synonyms": {"kind": "synonyms", "copies": {"default": 3}},
    "repeated": {"kind": "repeated", "copies": {"default": 3}},
}
SMOOTHING: dict[str, Values] = {"none": None, "votes": {"sigma": 0.1}}
UNFREEZING: dict[str, Values] = {"none": None, "gradual": {"kind": "gradual"}, "fisher": {"kind": "fisher"}}
LEXICAL = {"none": None, "tli": "tli"}
CHECKPOINT = {"none": None, "average": "average"}


def regime(
    tuning: str,
    intermediate: str,
    robustness: str,
    smoothing: str,
    unfreezing: str,
    checkpoint: str,
    lexical: str = "none",
) -> Values:
    """The YAML of one point on the axes, as Python values."""
    axes = {
        "tuning": TUNING[tuning],
        "intermediate": INTERMEDIATE[intermediate],
        "robustness": ROBUSTNESS[robustness],
        "smoothing": SMOOTHING[smoothing],
        "unfreezing": UNFREEZING[unfreezing],
        "checkpoint": CHECKPOINT[checkpoint],
        "lexical": LEXICAL[lexical],
    }
    return {"name": "x", "title": "x", "description": "x", **{k: v for k, v in axes.items() if v is not None}}


def faults(
    tuning: str, intermediate: str, robustness: str, smoothing: str, unfreezing: str, checkpoint: str
) -> set[str]:
    """The keys at fault in a combination, written down from what each axis means (not from the validators)."""
    found = set()
    if tuning == "frozen":  # nothing is trained, nothing predicted but sentence embeddings
        found |= {"intermediate"} if intermediate != "none" else set()
        found |= {"robustness"} if robustness != "none" else set()
        found |= {"smoothing"} if smoothing != "none" else set()
        found |= {"unfreezing"} if unfreezing != "none" else set()
        found |= {"checkpoint"} if checkpoint != "none" else set()
    if tuning == "head":  # nothing that is shared between tasks, and no layer, is trained
        found |= {"intermediate"} if intermediate != "none" else set()
        found |= {"unfreezing"} if unfreezing != "none" else set()
    if tuning in ("lora-one-layer", "prefix") and unfreezing != "none":
        found.add("unfreezing")
    composed = intermediate.startswith(("stack", "fuse"))
    if composed and not tuning.startswith(("bottleneck", "madx")):
        found.add("intermediate.transfer")
    if tuning == "madx-parallel" or (composed and tuning == "bottleneck-parallel"):
        found.add("tuning.placement")  # what is below a parallel adapter would not be seen
    if tuning.startswith("madx") and intermediate in ("masked", "stack-masked"):
        found.add("intermediate.masked_text")  # one language adapter at a time, text in all languages
    if intermediate in ("one-fusion-rate", "stack-fusion-rate"):
        found.add("learning_rate")
    if tuning == "madx" and intermediate in ("masked", "stack-masked"):  # many languages, one adapter at a time
        found.add("intermediate.masked_text")
    if intermediate in ("one-weighed", "fuse-weighed"):
        found.add("temperature")
    if intermediate == "fuse-masked":
        found.add("masked_text")
    if intermediate == "twice":
        found.add("recipes")
    return found


@pytest.mark.parametrize("tuning", TUNING)
def test_every_combination_loads_or_is_refused_with_reason_and_allowed_values(tuning: str) -> None:
    outcomes = set()
    for point in itertools.product(INTERMEDIATE, ROBUSTNESS, SMOOTHING, UNFREEZING, CHECKPOINT, LEXICAL):
        wrong = faults(tuning, *point[:5])
        try:
            loaded = Regime.model_validate(regime(tuning, *point))
        except ValidationError as error:
            (only,) = error.errors()
            message = only["msg"].removeprefix("Value error, ")
            assert message.partition(":")[0] in wrong, (point, message)
            assert "expected " in message
            assert "\n" not in message
            outcomes.add("refused")
        else:
            assert not wrong, point
            assert loaded.tuning.kind == TUNING[tuning]["kind"]
            outcomes.add("loaded")
    always = tuning == "madx-parallel"  # wrong whatever stands beside it
    assert outcomes == ({"refused"} if always else {"loaded", "refused"})


def test_no_contradiction_is_there_in_vain() -> None:
    hit = set()
    for point in itertools.product(TUNING, INTERMEDIATE, ROBUSTNESS, SMOOTHING, UNFREEZING, CHECKPOINT):
        try:
            Regime.model_validate(regime(*point))
        except ValidationError as error:
            hit.add(error.errors()[0]["msg"].removeprefix("Value error, "))
    assert {contradiction.message for contradiction in CONTRADICTIONS} <= hit


@pytest.mark.parametrize(
    ("point", "line", "message"),
    [
        (
            ("head", "none", "none", "none", "gradual", "none"),
            6,
            "unfreezing: with tuning head no layer is trained; expected no unfreezing, or tuning full, bottleneck, madx, "
            "lora, dora, ia3, prefix or loreft",
        ),
        (
            ("lora", "stack", "none", "none", "none", "none"),
            9,
            "intermediate.transfer: only bottleneck adapters can be stacked or fused; expected continue, or tuning "
            "bottleneck or madx",
        ),
        (
            ("full", "one-weighed", "none", "none", "none", "none"),
            9,
            "intermediate: temperature: it weighs recipes that are trained together; expected 1.0, or two or more "
            "recipes with transfer continue or stack",
        ),
        (
            ("frozen", "none", "random", "votes", "none", "none"),
            6,
            "robustness: nothing of a frozen encoder is trained; expected no robustness, or tuning full, head, "
            "bottleneck, madx, lora, dora, ia3, prefix or loreft",
        ),
    ],
)
def test_a_contradiction_names_the_file_and_the_line_of_the_key(
    tmp_path: Path, write: Callable[[Path, str], Path], point: tuple[str, ...], line: int, message: str
) -> None:
    path = write(tmp_path / "x.yaml", yaml.safe_dump(regime(*point), sort_keys=False))
    with pytest.raises(InputError) as caught:
        load(Regime, path)
    assert (caught.value.path, caught.value.line, caught.value.message) == (path, line, message)
    assert str(caught.value) == f"{path}:{line}: {message}"


@pytest.mark.parametrize(
    ("axis", "value", "message"),
    [
        ("tuning", {"kind": "bitfit"}, "tuning.kind: expected one of 'full', 'head', 'frozen', 'bottleneck', 'madx', "),
        ("tuning", {"kind": "dora", "rank": 4}, "tuning.dora: alpha: the update of DoRA is not scaled; expected alpha"),
        ("robustness", {"kind": "fgsm"}, "robustness.kind: expected one of 'adversarial', 'random', 'synonyms', 'repeated'"),
        ("unfreezing", {"kind": "random"}, "unfreezing.kind: expected one of 'gradual', 'fisher', got 'random'"),
        ("unfreezing", {"kind": "gradual", "share": 1.0}, "unfreezing.gradual.share: expected less than 1, got 1.0"),
        ("unfreezing", {"kind": "gradual", "every": 3}, "unknown key unfreezing.gradual.every"),
        ("unfreezing", {"kind": "gradual", "batches": 3}, "unknown key unfreezing.gradual.batches"),
        ("unfreezing", {"kind": "fisher", "interval": {"squad": 3}}, "unfreezing.fisher.interval: expected an entry default"),
        ("robustness", {"kind": "repeated", "copies": {"mnli": 3}}, "robustness.repeated: copies: expected an entry default"),
        ("training", {"mnli": {"epoch": 3}}, "unknown key training.mnli.epoch"),
        ("intermediate", {"recipes": []}, "intermediate.recipes: List is expected to have at least 1 item"),
        ("intermediate", {"recipes": ["mnli"], "transfer": "copy"}, "intermediate.transfer: expected one of 'continue', "),
        ("tuning", {"kind": "lora", "layers": [1, 1]}, "tuning.lora.layers: expected distinct values, got 1, 1"),
        ("tuning", {"kind": "lora", "targets": ["q", "q"]}, "tuning.lora.targets: expected distinct values, got q, q"),
        ("tuning", {"kind": "lora", "layers": [-1]}, "tuning.lora.layers.0: expected greater than or equal to 0"),
        ("tuning", {"kind": "head", "rank": 8}, "unknown key tuning.head.rank"),
    ],
)  # fmt: skip
def test_an_unknown_value_names_those_allowed(
    tmp_path: Path, write: Callable[[Path, str], Path], axis: str, value: Any, message: str
) -> None:
    values = {"name": "x", "title": "x", "description": "x", "tuning": {"kind": "full"}, axis: value}
    path = write(tmp_path / "x.yaml", yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(InputError) as caught:
        load(Regime, path)
    assert caught.value.message.startswith(message)
    assert caught.value.line is not None
    assert caught.value.line >= 4


def test_no_two_regimes_of_the_project_are_the_same_method() -> None:
    regimes = load_all(Regime, CONFIGS / "regimes").values()
    axes = [yaml.safe_dump(each.axes()) for each in regimes]
    assert len(set(axes)) == len(axes)


def test_a_head_alone_is_not_trained_on_recipes_of_dual_encoders(planned: Path) -> None:
    recipes = {name: {path.name for path in (planned / "runs" / name).iterdir()} for name in ("head", "adapter")}
    assert recipes["adapter"] - recipes["head"] >= {"lareqa", "mewslix"}
    assert recipes["head"] >= {"mnli", "copa", "udpos", "panx", "squad", "tydiqa"}
