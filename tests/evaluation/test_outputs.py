"""Which label an output stands for, and which tasks a recipe's head cannot be scored on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tasks import score_task, submission_file, write_submission

from xlt.config.benchmark import Recipe, Task, load_all
from xlt.data.records import Pair, Tagged
from xlt.errors import InputError
from xlt.families.outputs import as_trained, check_task
from xlt.modeling.model import TokenBatch, TransferModel
from xlt.pipeline.predict_run import predict_languages

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TASKS, RECIPES = load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_benchmarks_fits_its_recipe(name: str) -> None:
    check_task(TASKS[name], RECIPES, CONFIGS / "tasks" / f"{name}.yaml")


MISFITS: dict[str, tuple[str, dict[str, Any], str]] = {
    "another family": (
        "xnli",
        {"recipe": "udpos"},
        "family: expected tagging, as recipe udpos trains, got classification",
    ),
    "no recipe": ("xnli", {"recipe": "mnil"}, "recipe: no recipe mnil"),
    "more labels": (
        "panx",
        {"labels": [*(TASKS["panx"].labels or []), "B-DATE"]},
        "labels: expected .* recipe panx: not B-DATE",
    ),
    "fewer labels": ("xnli", {"labels": ["neutral", "entailment"]}, "labels: .* recipe mnli: also contradiction"),
    "other labels": ("pawsx", {"labels": ["no", "1"]}, "labels: .* recipe pawsx: not no and also 0"),
    "a label twice": ("pawsx", {"labels": ["0", "1", "1"]}, "labels: .* recipe pawsx: each once"),
    "options": ("xcopa", {"options": 3}, "options: expected 2, as recipe copa has, got 3"),
    "a metric": ("xnli", {"metrics": ["f1"]}, "metrics: expected one of accuracy, got f1"),
    "another task's metric": (
        "panx",
        {"metrics": ["f1", "exact_match"]},
        "metrics: .* f1, precision, recall, accuracy, got exact_match",
    ),
    "the metrics of a family": (
        "xnli",
        {"family": "bucc"},
        "metrics: expected one of f1, precision, recall, got accuracy",
    ),
    "the name of a folder beside": ("tatoeba", {"name": "xnli_ranks"}, "name: expected another ending than _ranks"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    name, change, message = MISFITS[case]
    path = tmp_path / f"{name}.yaml"
    task = Task.model_validate({**TASKS[name].model_dump(), **change})
    path.write_text(yaml.safe_dump({**task.model_dump(mode="json")}, sort_keys=False))
    with pytest.raises(InputError, match=message) as error:
        check_task(task, RECIPES, path)
    key = message.partition(":")[0]
    assert f"{path}:{next(n for n, row in enumerate(path.read_text().splitlines(), 1) if row.startswith(key))}:" in str(
        error.value
    )


def test_a_label_that_task_and_recipe_have_is_enough() -> None:
    labels = {"labels": [*(TASKS["panx"].labels or []), "B-DATE"]}
    task, recipe = TASKS["panx"].model_copy(update=labels), RECIPES["panx"].model_copy(update=labels)
    check_task(task, {"panx": recipe}, CONFIGS / "tasks" / "panx.yaml")


def test_retrieval_needs_no_head_of_its_own() -> None:
    path = CONFIGS / "tasks" / "tatoeba.yaml"
    check_task(TASKS["tatoeba"].model_copy(update={"recipe": "mnli"}), RECIPES, path)
    assert as_trained(TASKS["tatoeba"], None) == TASKS["tatoeba"]


class Reads:
    """A model whose k-th output is largest where the first text (classification) or word is ``WORDS[k]``."""

    composition, pad_id, device, batch = None, 1, torch.device("cpu"), TransferModel.batch

    def __init__(self, tokenizer: Any, words: list[str], tagging: bool) -> None:
        self.ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
        self.tagging = tagging

    def eval(self) -> None:
        pass

    def scores(self, rows: TokenBatch) -> torch.Tensor:
        found = torch.stack([(rows.input_ids == wanted).float() for wanted in self.ids], -1)
        return found if self.tagging else found[:, 1]


WORDS = ["cat", "dog", "bird", "tree", "red", "house", "Bob"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(("name", "metric"), [("xnli", "accuracy"), ("panx", "f1")])
def test_the_order_of_a_task_s_labels_changes_no_score(
    tokenizer: Any, tmp_path: Path, name: str, metric: str, data: st.DataObject
) -> None:
    """The recipe's head gives its k-th label for the k-th word. All right but one of four pairs, or one entity of four."""
    recipe = RECIPES[TASKS[name].recipe]
    names = list(recipe.labels or [])
    task = TASKS[name].model_copy(update={"labels": data.draw(st.permutations(names))})
    tagging = name == "panx"
    gold: list[Any] = ["B-LOC", "B-ORG", "B-PER", "B-PER"] if tagging else [*names, names[0]]
    given = ["B-LOC", "B-ORG", "B-PER", "B-LOC"] if tagging else [*names, names[1]]
    words = [WORDS[names.index(label)] for label in given]
    records: list[Any] = [
        Pair(str(i), word, "x", label) for i, (word, label) in enumerate(zip(words, gold, strict=True))
    ]
    if tagging:
        records = [Tagged(str(i), (word,), (tag,)) for i, (word, tag) in enumerate(zip(words, gold, strict=True))]
    config = SimpleNamespace(head=recipe, regime=SimpleNamespace(smoothing=None))
    context: Any = SimpleNamespace(config=config, budget=999)
    model: Any = Reads(tokenizer, WORDS[: len(names)], tagging)
    evaluation: Any = SimpleNamespace(task=task)
    predicted = predict_languages(evaluation, {"sw": records}, model, tokenizer, context)["sw"]
    assert predicted == ([[tag] for tag in given] if tagging else given)
    for side, content in (("predictions", predicted), ("labels", [[tag] for tag in gold] if tagging else gold)):
        write_submission(tmp_path / side, name, "sw", content)
    found = score_task(name, *(submission_file(tmp_path / s, name, "sw") for s in ("predictions", "labels")), "sw")
    assert found[metric] == 75
