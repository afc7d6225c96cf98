"""Rounds, ratios, the limit's batches, and what becomes of a part that fails."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.bench.inputs import draw_lengths, random_features
from xlt.bench.limit import equal_batches
from xlt.bench.measure import Elapsed, Measurement, Promise, in_turn, peak_resident_bytes, ratio
from xlt.bench.page import page
from xlt.bench.settings import PartSize
from xlt.bench.whole import add_hours, missed, run_part


def test_ways_take_turns() -> None:
    turns: list[tuple[str, int]] = []
    ways: Any = {name: lambda turn, name=name: turns.append((name, turn)) for name in "ab"}
    times = in_turn(ways, PartSize(rounds=3, seconds=60))
    assert turns == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert [len(times[name]) for name in "ab"] == [3, 3]


def test_no_round_begins_that_would_end_too_late() -> None:
    assert len(in_turn({"a": lambda turn: None}, PartSize(rounds=9, seconds=-1))["a"]) == 1


def test_a_way_may_take_its_own_time() -> None:
    own = Elapsed(7.0, 8.0)
    assert in_turn({"a": lambda turn: own}, PartSize(rounds=2, seconds=60))["a"] == [own, own]


def test_a_ratio_by_hand() -> None:
    over, under = [Elapsed(6, 4), Elapsed(2, 4), Elapsed(9, 4)], [Elapsed(2, 1), Elapsed(2, 2), Elapsed(3, 4)]
    # on the clock 3, 1, 3; of the processor 4, 2, 1
    found = ratio("a / b", over, under, "at least", 3.0)
    assert (found.value, found.low, found.high, found.processor, found.kept) == (3, 1, 3, 2, True)


@pytest.mark.parametrize(
    ("bound", "target", "kept"),
    [("at least", 2.0, True), ("at least", 2.1, False), ("at most", 2.0, True), ("at most", 1.9, False)],
)
def test_a_promise_is_kept_or_not(bound: Any, target: float, kept: bool) -> None:
    assert Promise("p", 2.0, 1.0, 3.0, bound, target).kept is kept


def test_what_is_missed_is_named() -> None:
    report = Measurement(
        "t", promises=[Promise("p", 2.0, 1.0, 3.0, "at least", 4.0), Promise("q", 1, 1, 1, "at most", None)]
    )
    parts = {"part": report.as_json(), "broken": {"failed": "why"}}
    assert missed(parts) == ["part, p: expected at least 4, got 2 x"]
    text = page(
        {
            "when": "now",
            "quick": False,
            "threads": 2,
            "lengths": "as recorded",
            "machine": {"cores": 2, "processor": "P", "load_before": 0, "load_after": 9, "busy": True},
            "parts": parts,
        }
    )
    (row,) = [line for line in text.splitlines() if line.startswith("| p ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["p", "2.00", "1.00", "3.00", "", "at least 4.00", "**missed**"]
    assert "Failed: why" in text and "Other programs used the processor" in text


WRITES = "import sys; open(sys.argv[1], 'w').write('{\"title\": \"t\"}')"


@pytest.mark.parametrize(
    ("code", "seconds", "found"),
    [
        (WRITES, 60, {"title": "t"}),
        ("import sys; print('no', file=sys.stderr); sys.exit('error: it broke')", 60, {"failed": "error: it broke"}),
        ("import time; time.sleep(60)", 0.5, {"failed": "given up after 0 seconds"}),
        ("import sys; sys.exit(3)", 60, {"failed": "exit status 3"}),
    ],
)
def test_a_part_that_fails_or_takes_too_long_says_so(code: str, seconds: float, found: dict[str, str]) -> None:
    assert run_part([sys.executable, "-c", code], seconds) == found


def test_hours_of_the_whole_protocol_by_hand() -> None:
    median = {"median": 2.0}
    parts: Any = {
        "protocol": {
            "figures": {
                "pairs": {
                    "ours": {"train": 3600, "dev": 900, "test": 900},
                    "xtreme": {"train": 3600, "dev": 0, "test": 7200},
                }
            }
        },
        "fine_tuning": {
            "figures": {"nli": {"examples": 2}},
            "times": {"nli ours": median, "nli pad_to_max": {"median": 4.0}},
        },
        "prediction": {"figures": {"nli": {"examples": 4}}, "times": {"nli ours": median, "nli pad_to_max": median}},
    }
    add_hours(parts)
    # ours: 3600 x 1 s + 1800 x 0.5 s = 1.25 h; the script: 3600 x 2 s + 7200 x 0.5 s = 3 h
    assert parts["protocol"]["figures"]["hours"] == {"ours": 1.25, "xtreme": 3.0}
    del parts["prediction"]
    add_hours(parts)
    assert parts["protocol"]["figures"]["hours"] == {
        "ours": 1.25,
        "xtreme": 3.0,
    }  # without all three, nothing is changed


@given(st.lists(st.integers(1, 384), min_size=1, max_size=60), st.integers(50, 2000))
def test_the_limit_has_the_real_tokens_and_no_padding(lengths: list[int], budget: int) -> None:
    features = random_features([max(3, length) for length in lengths], 50, "s")
    batches = equal_batches(features, budget, 50)
    assert sum(len(batch) for batch in batches) == len(features)
    real = sum(feature.length for feature in features)
    assert abs(sum(batch.numel() for batch in batches) - real) <= max(len(batch) for batch in batches)
    assert all(int(batch.min()) >= 4 and int(batch.max()) < 50 for batch in batches)


def test_drawn_inputs_are_as_long_as_wanted_and_repeatable() -> None:
    lengths = draw_lengths({10: 3, 20: 1}, 400, "seed")
    assert lengths == draw_lengths({10: 3, 20: 1}, 400, "seed")
    assert 60 < lengths.count(20) < 140
    for spans in (False, True):
        features = random_features(lengths, 30, "seed", spans=spans)
        assert [feature.length for feature in features] == lengths
        assert features == random_features(lengths, 30, "seed", spans=spans)
        assert all(row[0] == 0 and row[-1] == 2 and min(row[1:-1]) >= 4 for f in features for row in f.rows)


def test_the_peak_is_this_process_s_own() -> None:
    before = peak_resident_bytes()
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_resident_bytes() - before > 100_000_000
