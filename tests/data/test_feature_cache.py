"""Features from the cache are those that are made, whatever happens to its files; anything else has another key."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlt.data import batching, feature_cache
from xlt.data.feature_cache import FOLDER, LEAST, cached
from xlt.data.features import Feature
from xlt.data.records import AnswerSpan, Choice, Pair, Question, Tagged
from xlt.families.choice import choice_features
from xlt.families.classification import pair_features
from xlt.families.qa import span_features
from xlt.families.retrieval import contrastive_features
from xlt.families.tagging import tagging_features

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [Pair("1", "the cat sat", "the dog never ran", "yes"), Pair("2", "Anna loves Bob", "it is old", None)]
CHOICES = [Choice("1", "the cat sat because", ("it", "she ran", "they"), 2), Choice("2", "who?", ("Bob", "it"), None)]
TAGGED = [Tagged("1", ("the", "cat", "sat") * 12, ("D", "N", "V") * 12), Tagged("2", ("Bob", "", "ran"), None)]
CONTEXT = "Anna sat on the mat under the old tree. " * 3 + "Bob ran."
QUESTIONS = [Question("1", "who ran", CONTEXT, (AnswerSpan("Bob", 120),)), Question("2", "where", CONTEXT, ())]
TEXTS = [("who ran", ("Bob ran.", CONTEXT)), ("where", ("on the mat", CONTEXT))]
Make = Callable[..., list[Feature]]
FAMILIES: dict[str, tuple[Make, list[Any], tuple[Any, ...], dict[str, Any]]] = {
    "classification": (pair_features, PAIRS, (["no", "yes"], 32), {}),
    "choice": (choice_features, CHOICES, (32,), {}),
    "tagging": (tagging_features, TAGGED, (["D", "N", "V"], 24), {}),
    "span training": (span_features, QUESTIONS, (40, 8), {"training": True}),
    "span prediction": (span_features, QUESTIONS, (40, 8), {"training": False}),
    "contrastive": (contrastive_features, TEXTS, (), {"query_length": 12, "answer_length": 20, "prefix": "it "}),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that keeps few records too."""
    monkeypatch.setattr(feature_cache, "LEAST", 1)
    monkeypatch.setenv(FOLDER, str(tmp_path / "features"))
    return tmp_path / "features"


def counting(make: Make) -> tuple[Make, list[int]]:
    """A function and, for each of its calls, how many records it was given."""
    calls: list[int] = []

    @functools.wraps(make)
    def counted(records: Any, *rest: Any, **named: Any) -> list[Feature]:
        calls.append(len(records))
        return make(records, *rest, **named)

    return counted, calls


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_comes_back_as_it_was_made(family: str, folder: Path, tokenizer: Any) -> None:
    make, records, rest, named = FAMILIES[family]
    counted, calls = counting(make)
    expected = make(records, tokenizer, *rest, **named)
    assert len(expected) >= 2 and all(feature.rows for feature in expected)
    assert cached(counted, records, tokenizer, *rest, **named) == expected
    assert cached(counted, list(records), tokenizer, *rest, **named) == expected
    assert calls == [2]
    assert len(list(folder.glob("*.arrow"))) == 1


IDS = st.lists(st.integers(0, 2**31 - 1), max_size=6)
SPAN = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
FEATURES = st.builds(
    Feature,
    record=st.integers(0, 2**31 - 1),
    rows=st.lists(IDS, max_size=4),
    types=st.lists(st.lists(st.integers(0, 1), max_size=6), max_size=4),
    target=st.one_of(st.none(), st.integers(0, 100), st.lists(st.integers(-100, 100), max_size=6), SPAN),
    positions=IDS,
    first_word=st.integers(0, 10**6),
    offsets=st.lists(st.none() | SPAN, max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(features=st.lists(FEATURES, max_size=5))
def test_any_features_come_back_equal(features: list[Feature]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "k.arrow"
        feature_cache._keep(features, path, "k")
        assert feature_cache._read(path, "k") == features


def test_the_file_is_an_arrow_stream(folder: Path, tokenizer: Any) -> None:
    made = cached(pair_features, PAIRS, tokenizer, ["no", "yes"], 32)
    (path,) = folder.glob("*.arrow")
    with pyarrow.OSFile(str(path)) as file:
        table = pyarrow.ipc.open_stream(file).read_all()
    assert table["rows"].to_pylist() == [feature.rows for feature in made]
    assert table["class"].to_pylist() == [1, None]


class TestKeys:
    def test_what_features_depend_on_is_in_the_key(
        self, folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def files() -> int:
            return len(list(folder.glob("*.arrow")))

        def call(records: Any = QUESTIONS, length: int = 40, stride: int = 8, **named: Any) -> None:
            cached(span_features, records, tokenizer, length, stride, **{"training": True, **named})

        call()
        call(max_query_length=64)  # the default, said aloud
        assert files() == 1
        changed = [QUESTIONS[0], Question("2", "where", CONTEXT, (AnswerSpan("mat", 16),))]
        variants: list[dict[str, Any]] = [
            {"length": 48},
            {"stride": 4},
            {"training": False},
            {"max_query_length": 2},
            {"records": changed},
            {"records": QUESTIONS[:1]},
            {"records": QUESTIONS[::-1]},
        ]
        for count, variant in enumerate(variants, start=2):
            call(**variant)
            assert files() == count, variant
        monkeypatch.setattr(tokenizer, "model_max_length", 30)
        call()
        assert files() == 9
        monkeypatch.setattr(feature_cache, "_software", lambda: ["another code", "0.22.2", "4.57.6"])
        call()
        assert files() == 10

    def test_labels_function_and_prefix_too(self, folder: Path, tokenizer: Any) -> None:
        def other(*arguments: Any) -> list[Feature]:
            return pair_features(*arguments)

        first = cached(pair_features, PAIRS, tokenizer, ["no", "yes"], 32)
        turned = cached(pair_features, PAIRS, tokenizer, ["yes", "no"], 32)
        assert (first[0].target, turned[0].target) == (1, 0)
        cached(other, PAIRS, tokenizer, ["no", "yes"], 32)
        for prefix in ("", "query: "):
            cached(contrastive_features, TEXTS, tokenizer, query_length=9, answer_length=9, prefix=prefix)
        assert len(list(folder.glob("*.arrow"))) == 5

    def test_texts_that_join_to_the_same_differ(self, folder: Path, tokenizer: Any) -> None:
        one = cached(pair_features, [Pair("1", "a cat", "sat", None)], tokenizer, [], 32)
        two = cached(pair_features, [Pair("1", "a", "cat sat", None)], tokenizer, [], 32)
        assert one != two and len(list(folder.glob("*.arrow"))) == 2

    def test_the_tokenizer_counts_by_its_content(self, folder: Path, mini_encoder: Path, tmp_path: Path) -> None:
        from xlt.modeling.pretrained import load_tokenizer

        copy = shutil.copytree(mini_encoder, tmp_path / "copy")
        for encoder in (mini_encoder, copy):
            cached(pair_features, PAIRS, load_tokenizer(encoder), ["no", "yes"], 32)
        assert len(list(folder.glob("*.arrow"))) == 1  # another folder, the same tokenizer
        file = copy / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        ids = content["model"]["vocab"]
        ids["s"], ids["t"] = ids["t"], ids["s"]
        file.write_text(json.dumps(content), encoding="utf-8")
        cached(pair_features, PAIRS, load_tokenizer(copy), ["no", "yes"], 32)
        assert len(list(folder.glob("*.arrow"))) == 2
        file = copy / "tokenizer_config.json"
        file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        cached(pair_features, PAIRS, load_tokenizer(copy), ["no", "yes"], 32)
        assert len(list(folder.glob("*.arrow"))) == 3


class TestDamage:
    def test_a_changed_bit_or_a_cut_is_never_read_as_right(self, tmp_path: Path, tokenizer: Any) -> None:
        path = tmp_path / "k.arrow"
        features = pair_features(PAIRS[:1], tokenizer, ["no", "yes"], 32)
        feature_cache._keep(features, path, "k")
        content = path.read_bytes()
        for place in [*range(0, len(content), 13), *range(len(content) - feature_cache.SEAL, len(content))]:
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
            assert feature_cache._read(path, "k") is None
        for size in [*range(0, len(content), 97), len(content) - 1]:
            path.write_bytes(content[:size])
            assert feature_cache._read(path, "k") is None
        path.write_bytes(content)
        assert feature_cache._read(path, "k") == features

    @pytest.mark.parametrize("content", [b"", b"half", b"\0" * 5000])
    def test_it_is_made_again_with_one_line(
        self, content: bytes, folder: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        counted, calls = counting(choice_features)
        expected = cached(counted, CHOICES, tokenizer, 32)
        (path,) = folder.glob("*.arrow")
        right = path.read_bytes()
        path.write_bytes(content)
        assert cached(counted, CHOICES, tokenizer, 32) == expected
        (line,) = caplog.messages
        assert line == f"{path}: tokenised data that cannot be used (its SHA-256 is another); made again"
        assert path.read_bytes() == right and len(calls) == 2
        assert cached(counted, CHOICES, tokenizer, 32) == expected
        assert len(calls) == 2 and len(caplog.messages) == 1

    def test_another_keys_file_under_this_name_is_not_read(
        self, folder: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        expected = cached(choice_features, CHOICES, tokenizer, 32)
        (path,) = folder.glob("*.arrow")
        cached(choice_features, CHOICES, tokenizer, 5)
        (other,) = set(folder.glob("*.arrow")) - {path}
        shutil.copyfile(other, path)
        assert cached(choice_features, CHOICES, tokenizer, 32) == expected
        assert [message.partition("used ")[2] for message in caplog.messages] == [
            "(it was written for something else); made again"
        ]

    def test_a_folder_that_cannot_be_written_stops_nothing(
        self, folder: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.write_text("a file where the folder should be", encoding="utf-8")
        made = cached(choice_features, CHOICES, tokenizer, 32)
        assert made == choice_features(CHOICES, tokenizer, 32)
        (line,) = caplog.messages
        assert "tokenised data could not be kept" in line

    def test_a_full_disk_leaves_nothing(
        self, folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("xlt.files.os.fsync", full)
        made = cached(choice_features, CHOICES, tokenizer, 32)
        assert made == choice_features(CHOICES, tokenizer, 32)
        assert list(folder.glob("*.arrow")) == []
        (line,) = caplog.messages
        assert line.endswith("tokenised data could not be kept ([Errno 28] No space left on device); the run goes on")


@pytest.mark.parametrize("why", ["no folder", "empty name", "reference path", "few records"])
def test_nothing_is_kept(why: str, folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    records = PAIRS * (LEAST // 2)
    monkeypatch.setattr(feature_cache, "LEAST", LEAST)
    if why == "no folder":
        monkeypatch.delenv(FOLDER)
    elif why == "empty name":
        monkeypatch.setenv(FOLDER, "")
    elif why == "reference path":
        monkeypatch.setattr(batching, "FAST", False)
    else:
        records = records[:-1]
    counted, calls = counting(pair_features)
    for _ in range(2):
        cached(counted, records, tokenizer, ["no", "yes"], 32)
    assert calls == [len(records)] * 2 and not folder.exists()


PROCESS = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from xlt.data.feature_cache import cached
from xlt.data.features import Feature

def make(records, tokenizer, factor):
    return [Feature(n, [[factor * n % 1000] * 40], [[0] * 40], n % 3) for n, _ in enumerate(records)]

place = Path(sys.argv[1])
(place / f"ready-{sys.argv[2]}").touch()
while len(list(place.glob("ready-*"))) < 2:
    time.sleep(0.001)
tokenizer = SimpleNamespace(name_or_path=str(place), model_max_length=512)
records = [str(n) for n in range(600)]
for turn in range(40):
    features = cached(make, records, tokenizer, turn % 8)
    assert features == make(records, tokenizer, turn % 8)
print("right")
"""


def test_two_processes_write_and_read_the_same_keys_at_once(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    environment = {"PYTHONPATH": str(ROOT / "src"), FOLDER: str(tmp_path / "features")}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), name],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in "ab"
    ]
    assert [process.communicate(timeout=200)[0] for process in both] == ["right\n", "right\n"]
    names = [path.name for path in (tmp_path / "features").glob("*.arrow")]
    assert len(names) == 8 and all(name.endswith(".arrow") and not name.startswith(".") for name in names)
