"""Recorded runs: tables without training or data, scores anew from predictions, and rows that need not be trained again."""

from __future__ import annotations

import io
import json
import lzma
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests import scripts
from tests.conftest import ROOT, make_plan, write_mini_configs

from xlt.errors import InputError
from xlt.files import read_json, to_json
from xlt.pipeline.rescoring import rescore
from xlt.records import SUFFIX, contents, record_of, restore
from xlt.results.effects import Effect
from xlt.results.rechecking import recheck
from xlt.results.run_folders import load_plan
from xlt.results.study_blocks import Study, chosen, in_words

RUNS = ("full/mnli", "full/panx", "full/squad", "full/lareqa", "full/copa")
"""A run of every family, Tatoeba's among them."""


@pytest.fixture(scope="module")
def trained(planned: Path, mini_data: Path, mini_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a plan with some finished runs."""
    root = shutil.copytree(planned, tmp_path_factory.mktemp("trained") / "root")
    for name in RUNS:
        done = scripts.call("run", root / "runs" / name / "seed-1", "--data", mini_data, "--encoder", mini_encoder)
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def kept(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of these runs."""
    records = tmp_path_factory.mktemp("records") / "mini"
    assert scripts.call("records", "keep", "--root", trained, "--records", records).returncode == 0
    return records


@pytest.fixture
def records(kept: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(kept, tmp_path / "records")


def repack(path: Path, **changed: bytes) -> None:
    """Write a record with the content of some files replaced."""
    files = {**dict(contents(path)), **{name.replace("__", "/"): content for name, content in changed.items()}}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(lzma.compress(plain.getvalue()))


def table(root: Path) -> dict[str, bytes]:
    assert scripts.call("table", "--table", "table2", "--root", root).returncode == 0
    return {path.name: path.read_bytes() for path in (root / "tables").iterdir() if path.is_file()}


def test_tables_of_the_records_are_those_of_the_runs(trained: Path, kept: Path, tmp_path: Path) -> None:
    assert restore(kept, tmp_path / "root") >= len(RUNS)
    tables = table(tmp_path / "root")
    assert tables == table(trained)
    assert b"not run" in tables["table2.md"]


def test_the_pages_say_what_the_records_say(trained: Path) -> None:
    text = Study(trained, ROOT / "configs").text()
    scores = read_json(trained / "runs" / "full" / "mnli" / "seed-1" / "scores.json")["tasks"]["xnli"]["metrics"][
        "accuracy"
    ]
    row = next(line for line in text.splitlines() if line.startswith("| Full fine-tuning "))
    assert f"XNLI ({len(scores)} languages)" in text
    assert f"{sum(scores.values()) / len(scores):.1f}" in [cell.strip() for cell in row.split("|")]
    assert f"{len(RUNS)} of the " in text
    assert "An adapter instead" not in text  # no run of an adapter has finished


@pytest.mark.parametrize(
    ("low", "high", "seeds", "words"),
    [
        (0.1, 2.0, 3, "an interval above zero"),
        (-2.0, -0.1, 3, "an interval below zero"),
        (-0.1, 2.0, 5, "an interval that contains zero"),
        (0.1, 2.0, 2, "with 2 seeds, too few to conclude from"),
    ],
)
def test_an_interval_is_put_into_words(low: float, high: float, seeds: int, words: str) -> None:
    assert in_words(Effect((low + high) / 2, low, high, 0.5, seeds)) == words


def test_a_record_has_neither_weights_nor_gold_and_its_bytes_are_always_the_same(trained: Path, kept: Path) -> None:
    for run in RUNS:
        names = [name.split("/")[0] for name, _ in contents(record_of(kept, f"runs/{run}/seed-1"))]
        assert names[0] == "config.json"
        assert set(names) == {
            "config.json", "trained.json", "predicted.json", "scores.json", "provenance.json", "examples.npz", "predictions",
        }  # fmt: skip
    again = scripts.call("records", "keep", "--root", trained, "--records", kept)
    assert "0 records are new or differ" in again.stdout


def kept_by(root: Path, records: Path) -> str:
    """What ``keep`` says; nothing where it succeeds."""
    done = scripts.call("records", "keep", "--root", root, "--records", records)
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_record_that_is_not_of_the_plan_is_refused_and_nothing_is_lost(trained: Path, records: Path) -> None:
    shutil.copy(record_of(records, "runs/full/panx/seed-1"), record_of(records, "runs/full/panx/seed-9"))
    before = bytes_below(records)
    assert "seed-9.tar.xz: expected a record of a planned run" in kept_by(trained, records)
    assert bytes_below(records) == before


def test_a_record_of_another_config_is_refused_until_the_run_is_made_again(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    record = record_of(records, "runs/full/panx/seed-1")
    config = json.loads(dict(contents(record))["config.json"])
    repack(record, **{"config.json": to_json({**config, "seed": 2}).encode()})
    root = shutil.copytree(trained, tmp_path / "root")
    scores = root / "runs" / "full" / "panx" / "seed-1" / "scores.json"
    scores.rename(scores.with_suffix(".away"))
    assert "expected a record of the config now planned" in kept_by(root, records)
    scores.with_suffix(".away").rename(scores)
    assert kept_by(root, records) == ""
    assert json.loads(dict(contents(record))["config.json"])["seed"] == config["seed"]


def test_scores_of_an_earlier_config_are_not_recorded(trained: Path, records: Path, tmp_path: Path) -> None:
    root = shutil.copytree(trained, tmp_path / "root")
    config = root / "runs" / "full" / "panx" / "seed-1" / "config.json"
    config.write_text(to_json({**read_json(config), "seed": 2}))
    assert "expected scores of the config beside them" in kept_by(root, records)


def test_a_run_that_was_only_trained_keeps_its_history(trained: Path, kept: Path, tmp_path: Path) -> None:
    root, records = shutil.copytree(trained, tmp_path / "root"), tmp_path / "records"
    folder = root / "runs" / "full" / "panx" / "seed-1"
    (folder / "scores.json").unlink()
    assert kept_by(root, records) == ""
    assert [name for name, _ in contents(record_of(records, "runs/full/panx/seed-1"))] == [
        "config.json",
        "trained.json",
    ]
    assert restore(records, tmp_path / "again") == len(RUNS) - 1
    assert (tmp_path / "again" / "runs" / "full" / "panx" / "seed-1" / "trained.json").exists()
    before = record_of(kept, "runs/full/panx/seed-1").read_bytes()
    both = shutil.copytree(kept, tmp_path / "both")
    assert kept_by(root, both) == ""  # what was recorded of the finished run stays
    assert record_of(both, "runs/full/panx/seed-1").read_bytes() == before


@pytest.mark.parametrize(
    ("scores", "settled"),
    [([70.0, 75.0, 74.0], True), ([76.0, 75.0, 74.0], False), ([70.0, 75.0, 76.0], False), ([70.0, 75.0, None], False)],
)
def test_a_rate_is_chosen_when_it_is_best_between_a_lower_and_a_higher_one(
    trained: Path, tmp_path: Path, scores: list[float | None], settled: bool
) -> None:
    root = shutil.copytree(trained, tmp_path / "root")
    for regime, score in zip(("full-third-rate", "full", "full-triple-rate"), scores, strict=True):
        if score is not None:
            history = {"stages": {"panx": {"dev_scores": [60.0, score]}}}
            (root / "runs" / regime / "panx" / "seed-1" / "trained.json").write_text(to_json(history))
    assert (("full", "panx") in chosen(root, load_plan(root))) == settled


def test_every_family_scores_anew_what_was_recorded(kept: Path, mini_data: Path) -> None:
    done = scripts.call("records", "rescore", "--records", kept, "--data", mini_data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{len(RUNS)} runs scored anew, 0 scores differ"


def test_a_changed_prediction_shows(records: Path, mini_data: Path) -> None:
    record = record_of(records, "runs/full/mnli/seed-1")
    file = next(name for name, _ in contents(record) if name.endswith("test-en.tsv"))
    lines = dict(contents(record))[file].decode().splitlines()
    labels = ["contradiction", "entailment", "neutral"]
    turned = [labels[(labels.index(line) + 1) % 3] for line in lines]
    repack(record, **{file: ("\n".join(turned) + "\n").encode()})
    found = rescore(record, mini_data)
    recorded = json.loads(dict(contents(record))["scores.json"])["tasks"]["xnli"]["metrics"]["accuracy"]["en"]
    assert len(found) == 1
    assert found[0].startswith(f"xnli en accuracy: recorded {recorded:.4f}, from the predictions ")


def test_gold_labels_of_another_file_are_refused(kept: Path, mini_data: Path, tmp_path: Path) -> None:
    data = shutil.copytree(mini_data, tmp_path / "data")
    record = record_of(kept, "runs/full/panx/seed-1")
    name = read_first_file(record)
    (data / name).write_bytes((data / name).read_bytes() + b"\n")
    with pytest.raises(InputError, match=r"expected the file that was scored, of SHA-256"):
        rescore(record, data)


def read_first_file(record: Path) -> str:
    config = json.loads(dict(contents(record))["config.json"])
    return str(next(iter(config["evaluations"][0]["files"].values()))["files"][0])


def test_a_damaged_or_missing_record_is_refused(records: Path, tmp_path: Path) -> None:
    path = record_of(records, "runs/full/panx/seed-1")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="expected the SHA-256") as caught:
        restore(records, tmp_path / "root")
    assert caught.value.path == path
    with pytest.raises(InputError, match="expected the record of a run"):
        list(contents(path))
    path.unlink()
    with pytest.raises(InputError, match="expected the SHA-256"):
        restore(records, tmp_path / "root")


def test_a_record_cannot_write_outside_its_folder(records: Path) -> None:
    path = record_of(records, "runs/full/panx/seed-1")
    repack(path, **{"..__..__elsewhere": b""})
    with pytest.raises(InputError, match="expected plain files"):
        list(contents(path))


def test_a_finished_run_of_another_config_is_not_overwritten(trained: Path, kept: Path, tmp_path: Path) -> None:
    root = shutil.copytree(trained, tmp_path / "root")
    config = root / "runs" / "full" / "panx" / "seed-1" / "config.json"
    config.write_text(to_json({**read_json(config), "seed": 7}))
    with pytest.raises(InputError, match="found a finished one of another config"):
        restore(kept, root)


def plan_with(kept: Path, root: Path, mini_data: Path, mini_encoder: Path, *goals: str) -> None:
    configs = root.parent / "configs"
    if not configs.exists():
        write_mini_configs(configs)
    make_plan(configs, mini_data, root, mini_encoder, "--records", str(kept), "--goals", *goals)


def finished(root: Path) -> set[str]:
    return {path.parent.relative_to(root / "runs").as_posix() for path in root.glob("runs/*/*/*/scores.json")}


def test_recorded_runs_count_as_done(kept: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path) -> None:
    root = tmp_path / "root"
    plan_with(kept, root, mini_data, mini_encoder, "full")
    assert finished(root) == {f"{run}/seed-1" for run in RUNS}


def test_a_run_that_others_go_on_from_is_trained_again(
    kept: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path
) -> None:
    root = tmp_path / "root"
    plan_with(kept, root, mini_data, mini_encoder, "full")
    plan_with(kept, root, mini_data, mini_encoder, "full-itt")  # its runs are not recorded and start from full/mnli
    assert finished(root) == {f"{run}/seed-1" for run in RUNS if run != "full/mnli"}


def test_a_record_of_other_settings_does_not_count(
    records: Path, tmp_path: Path, mini_data: Path, mini_encoder: Path
) -> None:
    record = record_of(records, "runs/full/panx/seed-1")
    config = json.loads(dict(contents(record))["config.json"])
    repack(record, **{"config.json": to_json({**config, "seed": 2}).encode()})
    plan_with(records, tmp_path / "root", mini_data, mini_encoder, "full")
    assert finished(tmp_path / "root") == {f"{run}/seed-1" for run in RUNS if run != "full/panx"}


def recorded_with(records: Path, folder: str, scores: list[float]) -> None:
    """Records of one run, a seed for each accuracy of XNLI, which has two languages."""
    first = record_of(records, f"{folder}/seed-1")
    content = first.read_bytes()
    for seed, score in enumerate(scores, 1):
        path = first.with_name(f"seed-{seed}{SUFFIX}")
        path.write_bytes(content)
        repack(path, **{"scores.json": to_json(xnli(score)).encode()})


def xnli(score: float) -> dict[str, Any]:
    return {
        "tasks": {"xnli": {"metrics": {"accuracy": {"en": score + 5, "qaa": score - 5}}, "n": {"en": 400, "qaa": 400}}}
    }


@pytest.mark.parametrize(("score", "p", "status"), [(51.0, 1.0, 0), (57.0, 0.0351, 0), (70.0, 0.0037, 1)])
def test_a_run_trained_again_is_held_against_the_spread_of_the_recorded_seeds(
    records: Path, tmp_path: Path, score: float, p: float, status: int
) -> None:
    """Recorded 50, 51, 52: mean 51, standard deviation 1, error of one more run sqrt(1 + 1/3) with 2 degrees of freedom."""
    recorded_with(records, "runs/full/mnli", [50.0, 51.0, 52.0])
    run = tmp_path / "root" / "runs" / "full" / "mnli" / "seed-1"
    run.mkdir(parents=True)
    (run / "scores.json").write_text(to_json(xnli(score)))
    (line,) = recheck(run, records)
    assert (line.recorded, line.anew, line.seeds) == (51.0, score, 3)
    assert line.p == pytest.approx(p, abs=5e-5)
    assert line.tolerance == pytest.approx(4.3027 * (4 / 3) ** 0.5, abs=1e-3)
    done = scripts.call(
        "records", "recheck", "--root", tmp_path / "root", "--records", records, "--run", "full/mnli/seed-1"
    )
    assert done.returncode == status
    assert ("agrees" in done.stdout) == (status == 0)


def test_a_run_that_was_never_recorded_is_refused(records: Path, tmp_path: Path) -> None:
    run = tmp_path / "root" / "runs" / "lora" / "mnli" / "seed-1"
    run.mkdir(parents=True)
    (run / "scores.json").write_text(to_json(xnli(50.0)))
    with pytest.raises(InputError, match="expected recorded runs"):
        recheck(run, records)
