"""docs/running.md keeps its word: every test it names exists; what is promised of all code is looked for in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT, write_mini_encoder
from tests.fuzz import complaint, fuzz, judge
from tests.fuzz_targets import Target
from tests.soak import evaluation, grows

from xlt.errors import InputError

DOCUMENT = ROOT / "docs" / "running.md"
SOURCES = sorted(path for folder in ("src", "reproduce") for path in (ROOT / folder).rglob("*.py"))


def test_every_test_that_the_document_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    there = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 30
    assert named - there == set()


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Dotted names that are called anywhere in a file, with the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_a_file_contains_can_run(path: Path) -> None:
    for name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
        given = keywords(call)
        assert name not in ("eval", "exec", "compile", "os.system", "os.popen", "__import__"), name
        assert not name.startswith(("pickle.load", "joblib.", "dill.", "marshal.", "shelve.", "cloudpickle.")), name
        assert name not in ("yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.Loader"), name
        if name == "yaml.load":  # libyaml's safe loader where it is built in
            assert ast.unparse(call.args[1]) == "LOADER"
            assert 'LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)' in path.read_text(encoding="utf-8")
        assert not name.endswith((".extractall", ".unpack_archive")), name
        assert given.get("trust_remote_code", "False") == "False", name
        assert given.get("allow_pickle", "False") == "False", name
        assert given.get("shell", "False") == "False", name
        if name == "torch.load":
            assert given.get("weights_only") == "True"


def test_no_duration_is_taken_from_the_wall_clock() -> None:
    wall = {"time.time", "time.time_ns"}
    found = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for name, _ in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name in wall
    }
    # a file has the time of its last change: only the wall clock compares
    assert found <= {"src/xlt/digests.py", "src/xlt/planning/goal.py"}


# The fuzzer, and that it would find something


def test_damaged_files_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLT_REALDATA", raising=False)
    outcomes, wrong = fuzz(1500, seed=7)
    assert wrong == {}
    assert all(counts["refused"] or name == "checkpoint" for name, counts in outcomes.items())
    assert sum(counts["read"] for counts in outcomes.values()) > 150


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("fine", "f", 2), None),
        (InputError("no file"), "a message without a file"),
        (InputError("beyond", "f", 9), "line 9 of a file with 3"),
    ],
)
def test_the_fuzzer_looks_at_errors(tmp_path: Path, error: InputError, expected: str | None) -> None:
    (tmp_path / "f").write_text("1\n2\n")
    if error.path is not None:
        error.path = tmp_path / str(error.path)
    assert complaint(error, tmp_path) == expected


def test_the_fuzzer_finds_faults(tmp_path: Path) -> None:
    from tests.fuzz import Dropped

    def crash(folder: Path) -> object:
        raise IndexError("x")

    def found(read: object, expected: object = None) -> str | None:
        return judge(Target("t", {}, read, expected), tmp_path, Dropped())[1]  # type: ignore[arg-type]

    assert "IndexError in test_reliability.py, crash" in str(found(crash))
    assert "UnicodeEncodeError" in str(found(lambda folder: ["\ud800"]))
    assert found(lambda folder: ["a"], lambda folder: 2) == "a wrong number of examples"
    assert found(lambda folder: ["a"], lambda folder: 1) is None


# Long runs


def test_memory_is_steady_over_evaluation_batches(tmp_path: Path) -> None:
    write_mini_encoder(tmp_path / "mini")
    assert not grows(evaluation(tmp_path, 120))


def test_growth_is_found() -> None:
    mib = 2**20
    assert grows([100 * mib + number * mib // 10 for number in range(1000)])  # 0.1 MiB a batch
    assert not grows([100 * mib] * 100 + [120 * mib] * 900)  # a warm-up is no growth
    assert not grows([100 * mib + number % 7 * mib for number in range(1000)])
