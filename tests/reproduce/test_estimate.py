"""What a plan costs: sub-words, operations and seconds by hand, the states of runs, and how sure it says it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT, make_plan, write_mini_configs

from xlt.config.benchmark import Model, Recipe, load
from xlt.config.lexical_injection import read_job
from xlt.config.run_config import Augmentation, LanguageAdapterConfig, RunConfig, read_config, read_run
from xlt.data.dataset import load_split, sample
from xlt.data.records import Choice, Passage, Question
from xlt.errors import InputError
from xlt.families.choice import choice_features
from xlt.families.classification import pair_features
from xlt.families.qa import span_features
from xlt.families.tagging import tagging_features
from xlt.planning.flops import (
    EncoderShape,
    Work,
    language_adapter_work,
    lexical_work,
    make_shape,
    run_work,
    shape_of,
    shape_said,
)
from xlt.planning.paper_plan import Planning, PublishedExtents, paper_runs
from xlt.planning.throughput import CORE, CORE_FACTOR, ENOUGH, Speed, cpu_speed, gpu_speed, load_gpu
from xlt.planning.token_counts import Extent, Extents, rows_of, windows

MINI = make_shape(width=16, layers=2, inner=32, vocabulary=200)


@pytest.fixture
def extents(mini_data: Path, mini_encoder: Path, tmp_path: Path) -> Extents:
    return Extents(mini_data, mini_encoder, tmp_path / "extents.json")


@pytest.fixture
def work(planned: Path, extents: Extents) -> Callable[[str], Work]:
    """A function that gives the work of a run of the plan on the miniature data."""
    return lambda name: run_work(read_run(planned / "runs" / name / "seed-1"), extents, MINI)


def test_the_shape_of_an_encoder(mini_encoder: Path, tmp_path: Path) -> None:
    # Per layer four 16 x 16 and two 16 x 32 matrices: 1024 + 1024; two layers, and 200 x 16 embeddings.
    assert EncoderShape(body=4096, total=4096 + 3200, width=16, layers=2, vocabulary=200) == MINI
    found = shape_of(mini_encoder)
    assert found is not None and (found.body, found.layers) == (4096, 2)
    assert shape_of(tmp_path) is None


def test_a_forward_pass_by_hand() -> None:
    # TokenBatch of 3 and 5 sub-words: 8 in all, squares 9 + 25. 2 * 4096 * 8 + 4 * 2 layers * 16 * 34.
    assert MINI.forward(Extent(2, 8, 34)) == 65536 + 4352


@pytest.mark.parametrize(
    ("name", "body", "total"), [("xlmr-base", 85e6, 278e6), ("xlmr-large", 302e6, 560e6), ("e5-small", 21.3e6, 117.5e6)]
)
def test_the_shape_of_a_model_that_is_not_there_yet(name: str, body: float, total: float) -> None:
    shape = shape_said(load(Model, ROOT / "configs" / "models" / f"{name}.yaml"))
    assert (shape.body, shape.total) == (pytest.approx(body, rel=0.01), pytest.approx(total, rel=0.01))


def test_the_shape_of_the_encoder_that_is_pre_trained_here() -> None:
    shape = shape_said(load(Model, ROOT / "configs" / "models" / "babel.yaml"))
    assert (shape.width, shape.layers, shape.vocabulary, shape.body) == (128, 4, 5000, 4 * 8 * 128**2)


def test_a_model_of_unknown_size_is_refused() -> None:
    model = load(Model, ROOT / "configs" / "models" / "xlmr-base.yaml").model_copy(update={"parameters": "many"})
    with pytest.raises(InputError, match="its size is not known before it is prepared; run make encoder"):
        shape_said(model)


FEATURES: dict[str, Callable[..., Any]] = {
    "mnli": lambda r, t, c: pair_features(r, t, c.labels, c.max_length),
    "copa": lambda r, t, c: choice_features(r, t, c.max_length),
    "panx": lambda r, t, c: tagging_features(r, t, c.labels, c.max_length),
    "squad": lambda r, t, c: span_features(r, t, c.max_length, c.doc_stride, training=True),
}


@pytest.mark.parametrize("name", FEATURES)
def test_sub_words_are_those_that_training_reads(
    name: str, planned: Path, mini_data: Path, tokenizer: Any, extents: Extents
) -> None:
    stage = read_run(planned / "runs" / "full" / name / "seed-1").stages[-1]
    recipe = stage.recipe.model_copy(update={"max_length": 100, "doc_stride": stage.recipe.doc_stride and 40})
    records = sample(load_split(mini_data, stage.train, "en", recipe.labels), stage.caps.train)
    read = [len(row) for feature in FEATURES[name](records, tokenizer, recipe) for row in feature.rows]
    found = extents.train(stage.train, recipe, stage.caps.train)
    assert found.examples == len(records)
    assert found.tokens == pytest.approx(
        sum(read), rel=0.15 if name == "panx" else 1e-9
    )  # tagging cuts words one by one


def test_windows_by_hand() -> None:
    recipes = {
        name: load(Recipe, ROOT / "configs" / "recipes" / f"{name}.yaml") for name in ("squad", "mnli", "lareqa")
    }
    assert windows(384, recipes["squad"]) == [384]
    assert windows(600, recipes["squad"]) == [384, 384, 344]  # 216 over: two more windows, 128 further each
    assert windows(600, recipes["mnli"]) == [128]
    assert windows(600, recipes["lareqa"]) == [352 - 96]


def test_rows_of_a_record() -> None:
    assert rows_of(Choice("1", "p", ("a", "b"), 0), training=True) == [("p", "a"), ("p", "b")]
    passage = Passage("1", "A. B.", ("A.", "B."), (("q", "which?", 1),))
    assert rows_of(passage, training=True) == [("which?", None), ("B.", "A. B.")]
    assert rows_of(passage, training=False) == [("which?", None), ("A.", "A. B."), ("B.", "A. B.")]
    assert rows_of(Question("1", "q", "c", ()), training=False) == [("q", "c")]


def test_without_a_tokenizer_characters_are_counted(mini_data: Path, planned: Path, tmp_path: Path) -> None:
    stage = read_run(planned / "runs/full/mnli/seed-1").stages[0]
    pairs = sample(load_split(mini_data, stage.train, "en", stage.recipe.labels), stage.caps.train)
    expected = sum(3 + round((len(p.text_a) + len(p.text_b)) / 4) for p in pairs)
    assert Extents(mini_data, tmp_path, tmp_path / "x").train(stage.train, stage.recipe, 8).tokens == expected


def test_extents_are_remembered(extents: Extents, planned: Path, tmp_path: Path) -> None:
    stage = read_run(planned / "runs/full/mnli/seed-1").stages[0]
    first = extents.train(stage.train, stage.recipe, 8)
    extents.save()
    again = Extents(tmp_path / "no data", tmp_path / "none", tmp_path / "extents.json")
    again.tokenizer_hash = extents.tokenizer_hash
    assert again.train(stage.train, stage.recipe, 8) == first  # without reading a file


def test_what_costs_more(work: Callable[[str], Work]) -> None:
    full, adapter, head = work("full/mnli"), work("adapter/mnli"), work("head/mnli")
    # Three, two and one pass over the same text; development and test are predicted alike.
    assert adapter.training == pytest.approx(full.training * 2 / 3)
    assert head.training == pytest.approx(full.training / 3)
    assert full.prediction == adapter.prediction > 0
    assert full.steps == 1  # eight examples, one batch, one epoch
    assert work("full-adv/mnli").training == pytest.approx(full.training * (3 + 2 * 2) / 3)  # two steps of attack
    assert work("full-rs-da/mnli").training == pytest.approx(full.training * 3)  # three copies
    assert work("full-rs-da/mnli").steps == 1  # 24 examples in batches of 32


def test_what_is_not_trained_and_what_is_voted_on(work: Callable[[str], Work]) -> None:
    plain, pairs, smoothed = work("full/mnli"), work("full/xnli-pairs"), work("full-rs-rp-smoothed/mnli")
    assert (pairs.training, pairs.steps, smoothed.training) == (0, 0, 0)
    # Three languages with four examples each and nine pairs with four each; 40 copies of the former for the votes.
    languages = smoothed.prediction / 40
    assert pairs.prediction == pytest.approx(3 * languages)
    assert plain.prediction > languages  # and the development set


def test_fusion_masked_text_and_mixtures_are_counted(
    work: Callable[[str], Work], planned: Path, extents: Extents
) -> None:
    assert work("adapter-fuse/udpos").training > 1.5 * work("adapter/udpos").training
    folder = planned / "runs/full-itt-mlm/intermediate/seed-1"
    run = read_run(folder)
    assert run.mixture is not None and run.mixture.masked_text is not None
    without = run.model_copy(update={"mixture": run.mixture.model_copy(update={"masked_text": None})})
    mixed, plain = (run_work(each, extents, MINI) for each in (run, without))
    assert (mixed.steps, plain.steps) == (2, 1)  # half of the steps
    length = extents.blocks(run.mixture.text, 128)
    assert 1 < length <= 128
    rows = Extent(32, 32 * length, 32 * length**2)
    added = 3 * (MINI.forward(rows) + 2 * 0.15 * 32 * length * 16 * (200 + 16))
    assert mixed.training - plain.training == pytest.approx(added)


def test_jobs_are_counted(planned: Path, extents: Extents) -> None:
    adapter = read_config(LanguageAdapterConfig, planned / "language-adapters/qaa")
    found = language_adapter_work(adapter, extents, MINI)
    assert found.training > 0 and found.steps == adapter.settings.steps
    assert language_adapter_work(adapter.model_copy(update={"text": None}), extents, MINI) == Work()
    (folder, *_) = sorted(planned.glob("lexical/*/*/seed-1"))
    injected = lexical_work(read_job(folder), extents, MINI)
    assert injected.training > 0 and injected.prediction > 0


def test_a_slow_run_widens_the_range() -> None:
    even = [(Work(training=CORE[0] * n), 2.0 * n) for n in range(1, 21)]  # twice as slow as a core is known to be
    known = cpu_speed(even, threads=1)
    assert (known.seconds(Work(training=CORE[0])), known.factor) == (pytest.approx(2.0), pytest.approx(1.0))
    assert known.basis == "FLOP model scaled by 20 finished runs, within a factor of 1"
    slow = [(work, seconds * (3 if number % 5 == 0 else 1)) for number, (work, seconds) in enumerate(even)]
    # together they take 556 s, and 210 by what a core is known to do; those that are slow take 6 s instead of 1
    assert cpu_speed(slow, threads=1).factor == pytest.approx(6 * 210 / 556)


def test_few_runs_scale_the_model_and_none_leave_it() -> None:
    none = cpu_speed([], threads=2)
    assert (none.training, none.factor) == (2 * CORE[0], CORE_FACTOR)
    assert "FLOP model only" in none.basis
    few = [(Work(training=CORE[0]), 2.0)] * (ENOUGH - 1)  # twice as slow as a core is known to be
    assert cpu_speed(few, threads=1).training == pytest.approx(CORE[0] / 2)


def test_a_gpu_prints_what_it_assumes() -> None:
    gpu = load_gpu("a100", ROOT / "configs" / "gpus.yaml")
    speed = gpu_speed(gpu)
    assert speed.training == pytest.approx(0.3 * 312e12)
    for said in (
        "FLOP model only, within a factor of 3",
        "bfloat16 at 30 % of the NVIDIA A100 (SXM, 80 GB)'s 312 TFLOP/s",
        "19 ms (14 to 25, counted, not measured)",
        "no GPU was measured",
    ):
        assert said in speed.basis
    with pytest.raises(InputError, match=r"GPU: expected one of a100, h100, got tpu; add it to gpus.yaml"):
        load_gpu("tpu", ROOT / "configs" / "gpus.yaml")


def test_a_step_takes_the_host_s_time_or_its_arithmetic() -> None:
    speed = Speed(training=1e12, prediction=2e12, step=0.02, factor=3.0, basis="by hand")
    # 1,000 steps of 20 ms are 20 s, longer than 4e12 operations (4 s); 40e12 take 40 s. Prediction of 6e12: 3 s.
    assert speed.seconds(Work(training=4e12, prediction=6e12, steps=1000)) == pytest.approx(23.0)
    assert speed.seconds(Work(training=40e12, prediction=6e12, steps=1000)) == pytest.approx(43.0)


def test_runs_on_the_gpu_replace_what_was_assumed() -> None:
    gpu = load_gpu("h100", ROOT / "configs" / "gpus.yaml")
    assumed = gpu_speed(gpu)
    works = [Work(training=1e15 * n, prediction=5e14, steps=100.0 * n) for n in range(1, 13)]
    few = gpu_speed(gpu, [(work, 2 * assumed.seconds(work)) for work in works[:3]])
    assert few.seconds(works[7]) == pytest.approx(2 * assumed.seconds(works[7]))
    assert few.basis == "FLOP model scaled by 3 runs that finished on this GPU, within a factor of 3"
    # every second run takes half as long again as the others: 19 of 20 are within the root of 1.5 or so of the scaled model
    uneven = [(work, (2 + n % 2) * assumed.seconds(work)) for n, work in enumerate(works)]
    many = gpu_speed(gpu, uneven)
    assert 1.15 < many.factor < 1.35


def test_the_cost_of_the_paper_profile_follows_its_configs() -> None:
    planning = load(Planning, ROOT / "configs" / "planning.yaml")
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"{planning.sizes['candidates']:,} entities" in protocol
    with_float32 = [name for name in ("REPRODUCE.md", "docs/running.md") if "without TF32" in (ROOT / name).read_text()]
    assert with_float32 == []


def paper_trainings() -> dict[tuple[str, str], RunConfig]:
    """The runs of the paper profile that train, by regime and recipe."""
    runs = paper_runs(ROOT / "configs", "xlmr-base")
    return {(run.regime.name, run.recipe.name): run for run in runs if run.weights_of is None}


def test_passes_of_robust_training_counted_in_steps() -> None:
    # Robust-XLT: one epoch of three copies of MultiNLI's 392,702 pairs, three epochs of ten copies of PAWS-X's 49,401.
    # Without: five epochs (XTREME). The control has as many updates as RS-DA.
    runs = paper_trainings()
    extents = PublishedExtents(ROOT / "configs")
    passes = {"full": (5, 5), "full-rs-da": (3, 30), "full-longer": (3, 30), "adapter-longer": (3, 30)}
    for regime, (mnli, pawsx) in passes.items():
        for recipe, count, pairs in (("mnli", mnli, 392702), ("pawsx", pawsx, 49401)):
            assert run_work(runs[regime, recipe], extents, MINI).steps == pytest.approx(count * pairs / 32)
    assert runs["full-longer", "mnli"].stages[0].augmentation == Augmentation(neighbours=None, copies=3, seed=1)


def test_trainings_of_liu_et_al_in_the_plan() -> None:
    runs = paper_trainings()

    def settings(regime: str, recipe: str) -> tuple[Any, ...]:
        (stage,) = runs[regime, recipe].stages
        return stage.recipe.epochs, stage.recipe.batch_size, stage.learning_rate, stage.recipe.decay

    assert settings("madx-gradual", "squad") == (3, 32, 5e-4, "linear")  # XTREME's epochs, the rate of a schedule
    assert settings("madx", "squad") == (3, 32, 2e-4, "linear")
    assert settings("liu-madx-fisher", "squad") == (15, 32, 5e-4, "linear")
    assert settings("liu-madx", "squad") == (15, 32, 2e-4, "linear")
    assert settings("liu-lora-gradual", "mnli") == (15, 128, 5e-4, "linear")
    assert settings("liu-madx-gradual", "copa-alone") == (5000, 64, 1e-5, "constant")
    assert runs["liu-madx", "copa-alone"].tasks == ["xcopa"] and ("liu-madx", "copa") not in runs
    assert [stage.recipe.name for stage in runs["madx", "copa"].stages] == ["siqa", "copa"]
    # 400 examples in batches of 64, 5,000 times: 6.25 steps an epoch
    alone = run_work(runs["liu-madx", "copa-alone"], PublishedExtents(ROOT / "configs"), MINI)
    assert alone.steps == pytest.approx(5000 * 400 / 64)
    lora = runs["liu-lora", "mnli"].regime.tuning
    assert (lora.kind, lora.rank, lora.alpha) == ("lora", 8, 8) if lora.kind == "lora" else False


def test_the_report_says_what_is_done_failed_and_left(
    planned: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(planned, tmp_path / "root"))
    done, failed = root / "runs/full/mnli/seed-1", root / "runs/full/udpos/seed-1"
    (done / "scores.json").write_text("{}")
    (done / "provenance.json").write_text(json.dumps({"wall_seconds": {"train": 60.0, "predict": 54.0}}))
    (failed / "failed.json").write_text(json.dumps({"message": "loss nan at step 3"}))
    configs = write_mini_configs(tmp_path / "configs")
    arguments = ["--encoder", str(mini_encoder), "--jobs", "2"]
    make_plan(configs, mini_data, root, mini_encoder, "--show", "table6", *arguments)
    shown = capsys.readouterr().out
    assert "  done       2.0 min  runs/full/mnli/seed-1 " in shown  # 114 seconds and six to start
    assert "runs/full/udpos/seed-1                 udpos: loss nan at step 3" in shown
    assert "table6: 12 runs and 6 jobs, 17 to do (1 done, 1 failed)" in shown
    assert "done: 2 minutes of computing" in shown
    assert "within a factor of 2.3" in shown and "memory: " in shown
    provenance = {"wall_seconds": {"train": 60.0, "predict": 54.0}, "device": "NVIDIA H100 80GB HBM3"}
    (done / "provenance.json").write_text(json.dumps(provenance))
    make_plan(configs, mini_data, root, mini_encoder, "--show", "table2", *arguments, "--gpu", "h100")
    assert "FLOP model scaled by 1 runs that finished on this GPU" in capsys.readouterr().out
    make_plan(configs, mini_data, root, mini_encoder, "--show", "table2", *arguments, "--gpu", "a100")
    assert "the NVIDIA A100 (SXM, 80 GB)'s 312 TFLOP/s" in capsys.readouterr().out
