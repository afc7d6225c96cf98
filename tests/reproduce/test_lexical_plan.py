"""Lexical injection in a plan: which jobs there are, which runs start from their encoders, and a whole regime."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.conftest import make_plan
from tests.reproduce.test_end_to_end import make, run_here

from xlt.config.lexical_injection import read_job
from xlt.config.run_config import read_run
from xlt.errors import InputError, exit_status
from xlt.files import read_json

LISTS = {
    "qaa": "the\tak\ncat\tbor\ndog\tlim\nbird\tsa\nfish\tdun\ntree\tpel\nriver\tog\nhouse\tmit\nred\tfa\nblue\tri\n",
    "qag": "the\tnu\ncat\tzee\ndog\tfo\nbird\twim\nfish\tjur\ntree\tkep\nriver\tlos\nhouse\tnim\nred\tga\nblue\tte\n",
}
Plan = Callable[..., Path]


@pytest.fixture
def data(mini_data: Path, tmp_path: Path) -> Path:
    """A copy of the data folder, with word lists of this test's own and without parallel sentences."""
    folder = shutil.copytree(mini_data, tmp_path / "data")
    for name in ("lexicon", "bitext"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "lexicon").mkdir()
    for code, text in LISTS.items():
        (folder / "lexicon" / f"en-{code}.tsv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def plan(mini_configs: Path, data: Path, mini_encoder: Path, tmp_path: Path) -> Plan:
    """A function that plans on this test's own configs and data and gives the root folder."""

    def function(*more: str, model: Path = mini_encoder) -> Path:
        make_plan(mini_configs, data, tmp_path / "root", model, *more)
        return tmp_path / "root"

    return function


def change(path: Path, **values: object) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def jobs(root: Path) -> list[str]:
    return sorted(read_json(root / "plan.json")["jobs"])


def lexical_jobs(root: Path) -> list[str]:
    return [folder for folder in jobs(root) if folder.startswith("lexical/")]


def test_a_table_has_as_many_seeds_as_the_method_asks_for(plan: Plan) -> None:
    assert lexical_jobs(plan()) == [f"lexical/tli/all/seed-{seed}" for seed in (1, 2, 3)]  # the profile has seed 1
    assert lexical_jobs(plan("--seeds", "5 7")) == [f"lexical/tli/all/seed-{seed}" for seed in (5, 7, 8)]


def test_a_job_says_everything_it_depends_on(plan: Plan, data: Path) -> None:
    job = read_job(plan() / "lexical/tli/all/seed-1")
    assert list(job.files) == ["qaa", "qag"]
    (files,) = job.files["qag"]
    assert (files.format, files.files) == ("lexicon-tsv", ["lexicon/en-qag.tsv"])
    assert len(files.sha256["lexicon/en-qag.tsv"]) == 64
    before = files.sha256
    with (data / "lexicon" / "en-qag.tsv").open("a", encoding="utf-8") as handle:
        handle.write("old\tves\n")
    assert read_job(plan() / "lexical/tli/all/seed-1").files["qag"][0].sha256 != before


def test_every_run_of_an_injected_regime_starts_from_its_seed_s_encoder(plan: Plan) -> None:
    root = plan("--seeds", "1 2")
    for seed in (1, 2):
        run = read_run(root / f"runs/tli-adapter/udpos/seed-{seed}")
        assert run.encoder_from == f"lexical/tli/all/seed-{seed}"
        assert run.needs() == [run.encoder_from]
        assert read_run(root / f"runs/adapter/udpos/seed-{seed}").encoder_from is None
    rules = (root / "plan.mk").read_text(encoding="utf-8")
    job = f"{root}/lexical/tli/all/seed-1"
    assert (
        f"{job}/lexical.json: {job}/config.json $(ENCODER)\n\t$(LAUNCH) $(PYTHON) reproduce/job.py {job} $(RUN)"
        in rules
    )
    run_folder = f"{root}/runs/tli-full/udpos/seed-1"
    assert f"{run_folder}/scores.json: {run_folder}/config.json $(ENCODER) {job}/lexical.json\n" in rules
    (table,) = re.findall(rf"^{root}/tables/table6.md: (.*)$", rules, flags=re.MULTILINE)
    assert f"{root}/lexical/tli/all/seed-3/lexical.json" in table.split()


def test_injection_comes_before_intermediate_training_too(plan: Plan, mini_configs: Path) -> None:
    path = mini_configs / "regimes" / "tli-full.yaml"
    change(path, intermediate={"recipes": ["mnli"], "transfer": "continue"})
    root = plan()
    run = read_run(root / "runs/tli-full/udpos/seed-1")
    (upstream,) = run.upstream
    assert run.encoder_from == read_run(root / upstream.folder).encoder_from == "lexical/tli/all/seed-1"


def test_without_a_word_list_there_is_no_job_and_no_run(plan: Plan, data: Path) -> None:
    shutil.rmtree(data / "lexicon")
    root = plan()
    assert lexical_jobs(root) == []
    assert read_json(root / "plan.json")["regimes"]["tli-adapter"]["runs"] == []
    assert not (root / "runs" / "tli-adapter").exists()
    assert (root / "runs/adapter/udpos/seed-1/config.json").exists()


def test_realignment_is_planned_like_an_injection_where_there_are_parallel_sentences(plan: Plan, data: Path) -> None:
    (data / "bitext").mkdir()
    (data / "bitext" / "en-qag.tsv").write_text("the cat sat\tnu zee ko\nthe dog ran\tnu fo ra\n", encoding="utf-8")
    root = plan()
    assert [folder for folder in lexical_jobs(root) if "realign" in folder] == [
        f"lexical/realign/all/seed-{seed}" for seed in (1, 2, 3)
    ]
    job = read_job(root / "lexical/realign/all/seed-1")
    assert {code: [files.format for files in found] for code, found in job.files.items()} == {"qag": ["bitext-tsv"]}
    assert read_run(root / "runs/realign-full/udpos/seed-1").encoder_from == "lexical/realign/all/seed-1"


def test_languages_may_be_chosen(plan: Plan, mini_configs: Path, data: Path) -> None:
    path = mini_configs / "lexical" / "tli.yaml"
    change(path, languages=["qag"])
    root = plan()
    assert lexical_jobs(root) == [f"lexical/tli/qag/seed-{seed}" for seed in (1, 2, 3)]
    assert list(read_job(root / "lexical/tli/qag/seed-1").files) == ["qag"]
    assert read_run(root / "runs/tli-full/udpos/seed-1").encoder_from == "lexical/tli/qag/seed-1"
    change(path, languages=["sw"])
    with pytest.raises(InputError, match="lexical tli: languages: expected all or some of en, qaa, qag, got sw"):
        plan()
    change(path, languages=["qaa", "qag"])
    (data / "lexicon" / "en-qag.tsv").unlink()
    assert lexical_jobs(plan()) == []  # a language that was asked for has no list


def test_official_languages_are_looked_for_on_real_data(plan: Plan, mini_configs: Path, data: Path) -> None:
    change(mini_configs / "profiles" / "mini.yaml", languages_from=None)
    for name in ("freedict-eng-swh", "freedict-swh-eng", "en-tr"):
        (data / "lexicon" / f"{name}.tsv").write_text("book\tkitabu\n", encoding="utf-8")
    job = read_job(plan() / "lexical/tli/all/seed-1")
    assert {code: [files.format for files in found] for code, found in job.files.items()} == {
        "sw": ["freedict-from-en", "freedict-to-en"], "tr": ["lexicon-tsv"]
    }  # fmt: skip


def test_a_name_that_is_not_configured_is_refused(plan: Plan, mini_configs: Path) -> None:
    change(mini_configs / "regimes" / "tli-full.yaml", lexical="tlii")
    with pytest.raises(InputError, match=r"regime tli-full: lexical: expected one of .*tli.*, got tlii"):
        plan()


def test_a_decoder_has_jobs_and_no_runs(plan: Plan, mini_configs: Path, mini_decoder: Path) -> None:
    path = mini_configs / "models" / "lugha-llama.yaml"
    change(path, sources=[{"local": str(mini_decoder)}], decoder={"quantisation": None})
    change(mini_configs / "profiles" / "mini.yaml", model="lugha-llama")
    root = plan(model=Path("lugha-llama"))
    assert len(lexical_jobs(root)) == 3
    assert read_job(root / "lexical/tli/all/seed-1").learning_rate == 2e-4  # the published one: the model has none
    assert all(not regime["runs"] for regime in read_json(root / "plan.json")["regimes"].values())


def test_a_regime_is_trained_on_top_of_the_injected_encoder(
    plan: Plan, data: Path, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plan()
    job, run = root / "lexical/tli/all/seed-1", root / "runs/tli-adapter/udpos/seed-1"
    target = f"{run}/scores.json"
    due = make(root, data, mini_encoder, "-n", target).stdout
    assert 0 < due.index(f"job.py {job} ") < due.index(f"run.py {run} ")
    assert run_here(root, "tli-adapter/udpos/seed-1", data, mini_encoder) == 2  # its encoder is not there yet

    command = ["job.py", str(job), "--data", str(data), "--encoder", str(mini_encoder), "--threads", "1"]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.setattr("sys.path", list(sys.path))  # the script changes its first entry
    assert exit_status(importlib.import_module("job").main) == 0
    assert run_here(root, "tli-adapter/udpos/seed-1", data, mini_encoder) == 0
    result = read_json(job / "lexical.json")
    assert set(result["after"]) == {"qaa", "qag"}
    encoder = read_json(run / "provenance.json")["encoder"]
    assert encoder.endswith(f"lexical injection tli (all, {result['layer']} layers), seed 1")
    assert set(read_json(run / "scores.json")["tasks"]["udpos"]["n"]) == {"en", "qaa", "qag"}

    plan()
    assert "reproduce/" not in make(root, data, mini_encoder, "-n", target).stdout  # nothing is due
    due = make(root, data, mini_encoder, "-n", "table6").stdout
    assert due.count("reproduce/job.py") == 2  # the seeds that only the table asks for
