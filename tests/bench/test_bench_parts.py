"""Every part of a quick bench runs, is complete, and computes what its peer computes. Nothing is asked of its speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CONFIGS, ROOT

from xlt.bench import starting
from xlt.bench.measure import Measurement
from xlt.bench.settings import Bench, BenchConfig, Part
from xlt.bench.whole import MODULES, measure
from xlt.config.benchmark import load_yaml, parse
from xlt.errors import InputError

WAYS = {
    "fine_tuning": {f"{f} {way}" for f in ("nli", "squad") for way in ("pad_to_max", "dynamic", "ours", "limit")},
    "prediction": {f"{f} {way}" for f in ("nli", "squad") for way in ("pad_to_max", "dynamic", "ours", "limit")},
    "adapter": {"full", "pad_to_max", "dynamic", "ours"},
    "protocol": set(),
    "answers": {"example", "ours"},
    "retrieval": {"product", "search"},
    "tokenisation": {"each", "ours"},
    "start_up": {"python alone", "run.py"},
}
PROMISES = {
    "fine_tuning": 6,
    "prediction": 6,
    "adapter": 3,
    "protocol": 1,
    "answers": 1,
    "retrieval": 2,
    "tokenisation": 1,
    "start_up": 2,
}
EQUAL = {"share of equal answers", "share of equal ids"}


def quick(**more: Any) -> Bench:
    config = parse(BenchConfig, load_yaml(CONFIGS / "bench.yaml"), CONFIGS / "bench.yaml")
    return Bench(config, config.sizes["quick"], quick=True, **more)


@pytest.mark.parametrize("name", MODULES)
def test_a_part_is_complete_and_agrees_with_its_peer(name: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    if MODULES[name] == "tuning":
        pytest.importorskip("accelerate")
    monkeypatch.setattr(starting, "scripts", lambda: [ROOT / "reproduce" / "run.py"])
    bench = quick()
    report = measure(name, bench)
    assert isinstance(report, Measurement)
    found = report.as_json()
    assert json.loads(json.dumps(found)) == found
    assert set(found["times"]) == WAYS[name]
    rounds = bench.sizes[name].rounds
    assert all(0 < len(times["clock"]) <= rounds and min(times["clock"]) > 0 for times in found["times"].values())
    assert len(found["promises"]) == PROMISES[name]
    assert all(promise["low"] <= promise["value"] <= promise["high"] for promise in found["promises"])
    assert all(promise["kept"] is not False for promise in found["promises"])
    for what, value in found["agreement"].items():
        assert value == 1 if what in EQUAL else value < 2e-5, what
    assert bool(found["agreement"]) == (name not in ("protocol", "start_up"))


def test_steps_of_the_adapter_part_tell_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    from xlt.bench import tuning

    bench = quick()
    alone, step = (tuning.peak_of_step(bench, name) for name in ("start-up", "ours"))
    table = bench.shape["vocab_size"] * bench.shape["hidden_size"] * 4
    assert step >= alone + table


def test_lengths_are_counted_in_real_files_where_given(mini_encoder: Path, write: Any, tmp_path: Path) -> None:
    from xlt.bench.inputs import counts_of

    write(tmp_path / "xtreme" / "xnli" / "test-en.tsv", "cat\tdog\nbird\tdog\n")
    bench = quick(data=tmp_path, encoder=mini_encoder)
    # <s> cat </s></s> dog </s>
    assert counts_of(bench, "nli_test") == {6: 2}
    with pytest.raises(InputError, match=r"expected files xquad/xquad.en.json; leave --data out"):
        counts_of(bench, "squad_windows")
    assert counts_of(quick(), "nli_test") == bench.config.lengths["nli_test"].counts


def test_recorded_lengths_are_those_of_the_sets_they_name() -> None:
    recorded = {name: lengths.counts for name, lengths in quick().config.lengths.items()}
    assert sum(recorded["nli_test"].values()) == 15 * 750
    assert sum(recorded["nli_train"].values()) == 4000
    assert sum(recorded["squad_windows"].values()) >= 1190
    assert max(recorded["nli_train"]) == 128 and max(recorded["squad_windows"]) == 384


def test_the_protocol_is_counted_as_its_scripts_do() -> None:
    # 392,702 pairs in batches of 32: 12,272 steps an epoch, 61,360 in all, so test data are scored 613 times and at the end
    figures = measure("protocol", quick()).figures
    assert (figures["steps"], figures["evaluations_of_the_script"]) == (61360, 613)
    assert figures["pairs"]["xtreme"] == {"train": 1963510, "dev": 613 * 2490, "test": 614 * 75150}
    assert figures["pairs"]["ours"] == {"train": 1963510, "dev": 5 * 2490, "test": 75150}
    tokens = figures["tokens"]["xtreme"]
    assert tokens["test"] == 614 * 75150 * 128
    assert figures["token_layers"]["xtreme"] == 12 * (3 * tokens["train"] + tokens["dev"] + tokens["test"])
