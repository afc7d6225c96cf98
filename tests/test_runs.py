from __future__ import annotations

import os
from pathlib import Path

import pytest

from xlt.config.benchmark import Model, ModelSource
from xlt.config.regimes import Full, Regime
from xlt.config.run_config import Named, ProfileSummary, RunConfig, read_run, run_dir, write_config
from xlt.errors import InputError


def config(seed: int = 1) -> RunConfig:
    return RunConfig(
        regime=Regime(name="full", title="Full", description="all", tuning=Full(kind="full")),
        recipe=Named(name="none", title="ohne Übung"),
        seed=seed,
        model=Model(
            name="m",
            title="M",
            sources=[ModelSource(packaged="babel/encoder")],
            pooling="mean",
            licence="MIT",
            citation="-",
            parameters="-",
        ),
        profile=ProfileSummary(name="p", title="P", benchmark="xtreme-r", splits={}, split_notes={}, caps={}),
        stages=[],
        tasks=["tatoeba"],
        languages={"tatoeba": ["de"]},
        evaluations=[],
    )


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / run_dir("full", "none", 1)
    assert folder == tmp_path / "runs" / "full" / "none" / "seed-1"
    assert write_config(config(), folder)
    assert read_run(folder) == config()
    assert "ohne Übung" in (folder / "config.json").read_text(encoding="utf-8")


def test_a_config_is_rewritten_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_config(config(), tmp_path)
    os.utime(path, ns=(1, 1))
    assert not write_config(config(), tmp_path)
    assert path.stat().st_mtime_ns == 1
    assert write_config(config(seed=2), tmp_path)
    assert path.stat().st_mtime_ns != 1
    assert read_run(tmp_path).seed == 2


def test_a_damaged_config_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_config(config(), tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 1', '"sead": 1'), encoding="utf-8")
    with pytest.raises(InputError, match="unknown key sead") as caught:
        read_run(tmp_path)
    assert path.read_text(encoding="utf-8").splitlines()[caught.value.line - 1] == '  "sead": 1,'  # type: ignore[operator]
