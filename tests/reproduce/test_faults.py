"""The faulty pages are made by the steps themselves, here of miniature runs: a fault changes what it touches, and no more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from tests import faults
from tests.conftest import make_plan, write_mini_configs
from tests.reproduce.test_seeded_faults import script

from xlt.config.run_config import read_run

REGIMES = ["full", "adapter", "lora", "full-itt"]
TASKS = ["xnli", "xcopa", "xquad", "mlqa", "lareqa"]


def test_a_fault_changes_what_it_touches(
    tmp_path: Path, mini_data: Path, mini_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, root = write_mini_configs(tmp_path / "configs"), tmp_path / "root"
    path = configs / "tables" / "table2.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8")) | {"regimes": REGIMES, "tasks": TASKS}
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    make_plan(configs, mini_data, root, mini_encoder)
    own = faults.Runs(root, mini_data, mini_encoder, dict.fromkeys(TASKS), jobs=1)  # type: ignore[arg-type]
    for run in own.of(REGIMES):
        assert script("run", root / run.dir, "--data", mini_data, "--encoder", mini_encoder, "--threads", "1") == 0
    before = {run.dir: (root / run.dir / "scores.json").read_bytes() for run in own.of(REGIMES)}
    output = tmp_path / "pages.yaml"
    given = ["--root", root, "--data", mini_data, "--encoder", mini_encoder, "--configs", configs, "--output", output]
    only = ["another-checkpoint", "dropped-language", "half-lora", "layer", "truncation"]
    monkeypatch.setattr(sys, "argv", ["faults", *map(str, given), "--jobs", "1", "--only", *only])
    faults.main()
    content = yaml.safe_load(output.read_text(encoding="utf-8"))
    made = {name: faults.flat(page) for name, page in content["faults"].items()}
    honest = faults.flat(content["honest"])
    assert list(made) == [name for name in faults.FAULTS if name in only]  # in the order of the table
    lost = {("full", "xquad", metric, "qag"): None for metric in ("f1", "exact_match")}
    assert made["dropped-language"] == lost
    assert all(value == honest["lora", *key[1:]] != honest[key] for key, value in made["another-checkpoint"].items())
    assert {key[0] for key in made["half-lora"]} <= {"lora"}
    assert {key[1] for key in made["layer"]} == {"lareqa"}
    assert {key[0] for key in made["layer"]} <= set(REGIMES)
    assert made["truncation"]
    # the runs themselves are as they were
    assert before == {run.dir: (root / run.dir / "scores.json").read_bytes() for run in own.of(REGIMES)}
    # one step of training and an encoder that knows one label hardly show: what is changed is in the files
    copy = own.copied(tmp_path / "copy")
    name = "predictions/xnli/test-en.tsv"
    (copy.folder("adapter", "xnli") / name).write_text("entailment\nneutral\ncontradiction\n", encoding="utf-8")
    assert [run.dir for run in faults.flip(copy)] == ["runs/adapter/mnli/seed-1"]
    assert (copy.folder("adapter", "xnli") / name).read_text().split() == ["contradiction", "neutral", "entailment"]
    honest_run = read_run(copy.folder("lora", "xnli")).stages[0]
    faults.half(copy, ["lora"])
    faults.faster(copy, "lora")
    faulty_run = read_run(copy.folder("lora", "xnli")).stages[0]
    assert (honest_run.caps.train, faulty_run.caps.train) == (8, 4)
    assert faulty_run.learning_rate == pytest.approx(10 * honest_run.learning_rate)
    assert read_run(copy.folder("full", "xnli")).stages[0] == read_run(own.folder("full", "xnli")).stages[0]
