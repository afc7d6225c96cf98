"""Robust training from plan to scores on the miniature world: what is planned, what a run depends on, every method."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.conftest import make_plan

from xlt.config.run_config import read_run
from xlt.data.dataset import load_split, sample
from xlt.data.records import CandidateEntity
from xlt.files import read_json
from xlt.layout import WEIGHTS
from xlt.pipeline.context import Context
from xlt.pipeline.steps import make_context, predict_step, score_step, train_step
from xlt.pipeline.train_run import training_key, training_records

FILE = "robust/counterfitted_neighbors.json"
METHODS = [
    f"{tuning}-{method}" for tuning in ("full", "adapter") for method in ("adv", "rs-rp", "rs-da", "longer", "switched")
]
FAMILIES = ["pawsx", "copa", "udpos", "squad", "lareqa", "mewslix"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, mini_data: Path) -> Path:
    """The miniature data folder with a file of neighbours in which every English word of PAWS-X has two."""
    folder = shutil.copytree(mini_data, tmp_path_factory.mktemp("robust") / "data")
    words = (folder / "x-final/en/train.tsv").read_text(encoding="utf-8").replace("\t", " ").split()
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text(json.dumps({word: [f"{word}o", f"{word}a"] for word in words}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def first_plan(tmp_path_factory: pytest.TempPathFactory, data: Path, mini_encoder: Path, module_configs: Path) -> Path:
    """The plan of all regimes on that folder; nothing has run."""
    root = tmp_path_factory.mktemp("robust-plan") / "root"
    make_plan(module_configs, data, root, mini_encoder)
    return root


@pytest.fixture(scope="module")
def module_configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's configs with the profile ``mini``."""
    from tests.conftest import write_mini_configs

    return write_mini_configs(tmp_path_factory.mktemp("robust-configs") / "configs")


@pytest.fixture
def root(first_plan: Path, tmp_path: Path) -> Path:
    """A copy of the plan of this test's own."""
    return shutil.copytree(first_plan, tmp_path / "root")


def open_run(root: Path, name: str, data: Path, encoder: Path) -> Context:
    return make_context(root / "runs" / name, data, encoder, 1)


def finish(context: Context) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Train, predict and score a run; its tasks' scores."""
    predict_step(context, train_step(context))
    return dict(score_step(context)["tasks"])


@pytest.mark.parametrize("regime", METHODS)
def test_every_method_runs_from_training_to_scores(root: Path, data: Path, mini_encoder: Path, regime: str) -> None:
    context = open_run(root, f"{regime}/pawsx/seed-1", data, mini_encoder)
    scores = finish(context)
    assert set(scores["pawsx"]["metrics"]["accuracy"]) == {"en", "qaa"}
    trained = read_json(context.folder / "trained.json")["stages"]["pawsx"]
    assert trained["examples"] == 8 * (10 if regime.endswith(("rs-da", "longer", "switched")) else 1)  # 8 is the cap


def test_code_switching_reads_the_word_lists_of_all_languages(first_plan: Path, data: Path, mini_encoder: Path) -> None:
    context = open_run(first_plan, "full-switched/pawsx/seed-1", data, mini_encoder)
    noise = context.config.stages[0].augmentation
    assert noise is not None
    assert noise.neighbours is not None
    lists = sorted(path.name for path in (data / "lexicon").glob("en-*.tsv"))
    assert [Path(name).name for name in noise.neighbours.files] == lists
    foreign = {line.split("\t")[1] for name in lists for line in (data / "lexicon" / name).read_text().splitlines()}
    english = {
        word for pair in load_split(data, context.config.stages[0].train, "en", None) for word in pair.text_a.split()
    }
    words = {word for pair in training_records(context.config.stages[0], data) for word in pair.text_a.split()}
    assert words - english
    assert words - english <= foreign


def test_translated_training_sets_are_a_recipe_of_their_own(first_plan: Path, data: Path, mini_encoder: Path) -> None:
    stage = open_run(first_plan, "adapter-translated/pawsx-translated/seed-1", data, mini_encoder).config.stages[0]
    assert stage.train.files == sorted(
        str(path.relative_to(data)) for path in data.glob("x-final/*/translated_train.tsv")
    )
    assert stage.dev is not None
    assert stage.dev.files == ["x-final/en/dev_2k.tsv"]
    assert not (first_plan / "runs" / "adapter-translated" / "pawsx").exists()


@pytest.mark.parametrize("recipe", FAMILIES[1:])
@pytest.mark.parametrize("regime", ["full-adv", "adapter-rs-rp", "full-rs-da"])
def test_every_family_trains(root: Path, data: Path, mini_encoder: Path, regime: str, recipe: str) -> None:
    context = open_run(root, f"{regime}/{recipe}/seed-1", data, mini_encoder)
    assert train_step(context) is not None
    history = read_json(context.folder / "trained.json")["stages"][recipe]
    assert history["steps"] > 0 and all(loss > 0 for loss in history["losses"])


def test_the_control_trains_on_the_examples_as_they_stand_for_as_many_updates(
    root: Path, data: Path, mini_encoder: Path
) -> None:
    contexts = [
        open_run(root, f"{name}/pawsx/seed-1", data, mini_encoder) for name in ("full", "full-rs-da", "full-longer")
    ]
    plain, noisy, longer = (training_records(context.config.stages[0], context.data) for context in contexts)
    assert longer == [record for record in plain for _ in range(10)]
    assert len(noisy) == len(longer) and noisy != longer


def test_methods_and_seeds_give_different_weights_and_repeat_themselves(
    root: Path, data: Path, mini_encoder: Path
) -> None:
    def weights(name: str) -> torch.Tensor:
        context = open_run(root, name, data, mini_encoder)
        (context.folder / WEIGHTS).unlink(missing_ok=True)
        train_step(context)
        return torch.cat([tensor.flatten() for tensor in load_file(context.folder / WEIGHTS).values()])

    names = ["adapter", "adapter-adv", "adapter-rs-rp"]
    found = [weights(f"{name}/pawsx/seed-1") for name in names]
    assert torch.equal(found[1], weights("adapter-adv/pawsx/seed-1"))
    assert torch.equal(found[2], weights("adapter-rs-rp/pawsx/seed-1"))
    assert not any(torch.equal(found[i], found[j]) for i in range(3) for j in range(i))


@pytest.mark.parametrize("recipe", FAMILIES)
def test_training_records_are_noisy_copies_and_development_stays_clean(
    root: Path, data: Path, mini_encoder: Path, recipe: str
) -> None:
    noisy = open_run(root, f"full-rs-da/{recipe}/seed-1", data, mini_encoder).config.stages[-1]
    clean = open_run(root, f"full/{recipe}/seed-1", data, mini_encoder).config.stages[-1]
    assert noisy.augmentation is not None and clean.augmentation is None
    assert noisy.augmentation.copies == (10 if recipe == "pawsx" else 3) and noisy.augmentation.seed == 1
    copies, originals = training_records(noisy, data), training_records(clean, data)
    entities = [record for record in originals if isinstance(record, CandidateEntity)]
    assert len(copies) - len(entities) == noisy.augmentation.copies * (len(originals) - len(entities))
    assert copies != originals and training_records(noisy, data) == copies
    assert noisy.dev == clean.dev and noisy.caps == clean.caps
    if recipe == "pawsx":  # the cap is on examples before they are copied
        loaded = sample(load_split(data, noisy.train, "en", noisy.recipe.labels), 8)
        assert originals == loaded and [record.id for record in copies[::10]] == [record.id for record in loaded]


def test_the_smoothed_regime_votes_with_the_weights_of_its_twin(root: Path, data: Path, mini_encoder: Path) -> None:
    twin = open_run(root, "full-rs-rp/pawsx/seed-1", data, mini_encoder)
    train_step(twin)
    context = open_run(root, "full-rs-rp-smoothed/pawsx/seed-1", data, mini_encoder)
    assert context.config.weights_of == "runs/full-rs-rp/pawsx/seed-1"
    finish(context)
    assert (context.folder / WEIGHTS).read_bytes() == (twin.folder / WEIGHTS).read_bytes()
    kept = read_json(context.folder / "smoothing.json")
    assert set(kept["tasks"]["pawsx"]) == {"en", "qaa"}
    assert kept["tasks"]["pawsx"]["en"]["examples"] == 4
    assert not (twin.folder / "smoothing.json").exists()


def test_a_smoothed_regime_is_evaluated_where_there_are_labels_to_vote_on(first_plan: Path) -> None:
    planned = read_json(first_plan / "plan.json")["regimes"]
    tasks = {task for run in planned["full-rs-rp-smoothed"]["runs"] for task in run["tasks"]}
    assert tasks == {"pawsx", "xnli", "xcopa", "udpos", "panx"}
    assert {"xquad", "lareqa"} < {task for run in planned["full-rs-rp"]["runs"] for task in run["tasks"]}


def test_a_smoothed_regime_without_a_planned_twin_trains_one(
    module_configs: Path, data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    configs = shutil.copytree(module_configs, tmp_path / "configs")
    source = configs / "regimes" / "full-rs-rp-smoothed.yaml"
    regime = yaml.safe_load(source.read_text(encoding="utf-8")) | {"name": "voted", "tuning": {"kind": "head"}}
    (configs / "regimes" / "voted.yaml").write_text(yaml.safe_dump(regime), encoding="utf-8")
    make_plan(configs, data, tmp_path / "root", mini_encoder)
    run = read_run(tmp_path / "root/runs/voted/mnli/seed-1")
    assert run.weights_of == "runs/voted-plain/mnli/seed-1"
    plain = read_run(tmp_path / "root" / run.weights_of)
    assert plain.regime.smoothing is None and plain.weights_of is None and plain.stages


def test_without_the_file_nothing_is_planned_for_synonyms_and_everything_else_is(
    module_configs: Path, data: Path, mini_encoder: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("robust"))
    make_plan(module_configs, bare, tmp_path / "root", mini_encoder)
    planned = read_json(tmp_path / "root" / "plan.json")["regimes"]
    assert planned["full-rs-da"]["runs"] == [] == planned["adapter-rs-da"]["runs"]
    runs = {name: [r for r in planned[name]["runs"] if "-pairs" not in r["tasks"][0]] for name in ("full-adv", "full")}
    assert len(runs["full-adv"]) == len(runs["full"]) > 5


def test_another_file_makes_the_runs_with_synonyms_due_and_no_others(
    module_configs: Path, data: Path, mini_encoder: Path, root: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    names = ["full-rs-da/mnli/seed-1", "full/mnli/seed-1", "full-adv/mnli/seed-1"]
    before = {name: training_key(open_run(root, name, data, mini_encoder)) for name in names}
    (other / FILE).write_text('{"the": ["this"]}', encoding="utf-8")
    make_plan(module_configs, other, root, mini_encoder)
    after = {name: training_key(open_run(root, name, other, mini_encoder)) for name in names}
    assert {name for name in names if before[name] != after[name]} == {"full-rs-da/mnli/seed-1"}
