"""MAD-X from plan to scores on the miniature world: jobs, what serves a language without an adapter, the swap."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import make_plan

from xlt.config.run_config import RunConfig, read_run
from xlt.errors import InputError
from xlt.families import RETRIEVAL
from xlt.files import read_json
from xlt.modeling.pretrained import load_tokenizer
from xlt.pipeline.context import embedder
from xlt.pipeline.steps import predict_step, score_step, train_step
from xlt.pipeline.train_run import load_trained, training_key
from xlt.training.language_adapter import is_made, make_job, make_language_adapter

Plan = Callable[..., Path]


@pytest.fixture
def plan(tmp_path: Path, mini_configs: Path, mini_data: Path, mini_encoder: Path) -> Plan:
    """A function that plans with the raw text of some languages only, and the regime's ``missing`` set."""

    def function(languages: list[str], missing: str = "source") -> Path:
        data = Path(shutil.copytree(mini_data, tmp_path / "data"))
        for path in (data / "raw").iterdir():
            if path.stem not in languages:
                path.unlink()
        regime = mini_configs / "regimes" / "madx.yaml"
        settings = yaml.safe_load(regime.read_text())
        settings["tuning"]["missing"] = missing
        regime.write_text(yaml.safe_dump(settings))
        shown = ["--show", "madx", "--encoder", str(mini_encoder)]
        make_plan(mini_configs, data, tmp_path / "root", mini_encoder, *shown)
        return tmp_path / "root"

    return function


def run_of(root: Path, recipe: str) -> RunConfig:
    return read_run(root / "runs" / "madx" / recipe / "seed-1")


def test_a_job_per_language_with_text(planned: Path) -> None:
    assert sorted(path.name for path in (planned / "language-adapters").iterdir()) == ["en", "qaa", "qag"]
    run = run_of(planned, "udpos")
    assert run.language_adapters == {code: f"language-adapters/{code}" for code in ("en", "qaa", "qag")}
    assert run.fallbacks() == {} and set(run.needs()) == set(run.language_adapters.values())
    assert "en" in run_of(planned, "lareqa").language_adapters
    assert read_run(planned / "runs" / "adapter" / "udpos" / "seed-1").language_adapters == {}
    rules = (planned / "plan.mk").read_text()
    made = [f"{planned}/language-adapters/{code}/adapter.json" for code in ("en", "qaa", "qag")]
    assert f"language-adapters: {' '.join(made)}\n" in rules
    rule = next(
        line for line in rules.splitlines() if line.startswith(f"{planned}/runs/madx/udpos/seed-1/scores.json:")
    )
    assert all(path in rule for path in made)
    assert f"reproduce/job.py {planned}/language-adapters/qag" in rules


@pytest.mark.parametrize(("missing", "served"), [("source", "en"), ("none", "none")])
def test_what_serves_a_language_without_text_is_told(plan: Plan, missing: str, served: str) -> None:
    root = plan(["en", "qaa"], missing)
    run = run_of(root, "udpos")
    assert set(run.language_adapters) == {"en", "qaa"} and run.fallbacks() == {"qag": served}


def test_a_missing_adapter_can_be_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="expected a language adapter for every language, none for qag"):
        plan(["en", "qaa"], "refuse")


@pytest.mark.parametrize(
    ("languages", "reason"),
    [
        ([], "no language adapters: no raw text"),
        (["qaa"], "no language adapter of en, the language of the training"),
    ],
)
def test_without_adapters_there_are_no_runs_and_the_plan_says_why(
    plan: Plan, capsys: pytest.CaptureFixture[str], languages: list[str], reason: str
) -> None:
    root = plan(languages)
    assert not (root / "runs" / "madx").exists() and (root / "runs" / "adapter").exists()
    assert f"no runs: madx: {reason}" in capsys.readouterr().out


def test_from_plan_to_scores(open_run: Callable[[str], Any]) -> None:
    context = open_run("madx/udpos/seed-1")
    for folder in context.language_adapters.values():
        make_language_adapter(make_job(folder, context.data, context.encoder))
    key = training_key(context)
    model = train_step(context)
    assert model is not None and train_step(context) is None
    predict_step(context, model)
    scores = score_step(context)
    assert set(scores["tasks"]["udpos"]["n"]) == {"en", "qaa", "qag"}
    assert read_json(context.folder / "provenance.json")["language_fallbacks"] == {}
    before = (context.folder / "predicted.json").stat().st_mtime_ns
    predict_step(context, None)
    assert (context.folder / "predicted.json").stat().st_mtime_ns == before

    # another adapter of a test language: predicted again, not trained again; of the source language: trained again
    change(context, "qag")
    assert training_key(context) == key and train_step(context) is None
    predict_step(context, None)
    assert (context.folder / "predicted.json").stat().st_mtime_ns != before
    change(context, "en")
    assert training_key(context) != key


def change(context: Any, language: str) -> None:
    """Make a language's adapter again with another seed."""
    folder = context.language_adapters[language]
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    job = make_job(folder, context.data, context.encoder)
    assert not is_made(job)
    make_language_adapter(job)


def test_each_text_of_a_pool_is_read_with_its_own_language_s_adapter(open_run: Callable[[str], Any]) -> None:
    context = open_run("madx/lareqa/seed-1")
    for folder in context.language_adapters.values():
        make_language_adapter(make_job(folder, context.data, context.encoder))
    train_step(context)
    model = load_trained(context)
    embed = embedder(model, load_tokenizer(context.encoder), context, RETRIEVAL["lareqa"])
    texts = ["the cat sat", "a blue dog", "the old house", "the cat sat"]
    mixed = embed(texts, 40, "test", ["en", "qag", "qaa", "qag"])
    for number, language in enumerate(["en", "qag", "qaa", "qag"]):
        alone = embed([texts[number]], 40, "test", [language])[0]
        assert abs(mixed[number] - alone).max() < 1e-6
    assert abs(mixed[0] - mixed[3]).max() > 1e-4  # the same text, another language
    assert model.encoder.active_adapters == model.composition.active("en")  # training can go on
