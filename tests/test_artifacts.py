from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt import files
from xlt.errors import InputError, exit_status
from xlt.files import atomic_folder, digest, provenance, read_json, sha256_file, to_json, write_atomic


def test_write_atomic_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_atomic_leaves_the_old_content_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left


def test_atomic_folder_replaces_the_old_folder_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with atomic_folder(path) as new:
        (new / "weights").write_text("1")
        assert not path.exists()
    with pytest.raises(RuntimeError, match="interrupted"), atomic_folder(path) as new:
        (new / "weights").write_text("2")
        raise RuntimeError("interrupted")
    assert (path / "weights").read_text() == "1"
    with atomic_folder(path) as new:
        (new / "other").write_text("3")
    assert [file.name for file in path.iterdir()] == ["other"]
    assert list(tmp_path.iterdir()) == [path]


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.integers()), min_size=2))
def test_digest_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert digest(value) == digest(turned) == digest({"outer": value}.pop("outer"))
    assert digest({"a": value}) == digest({"a": turned})


def test_digest_depends_on_values_and_the_order_of_lists() -> None:
    values: list[object] = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": "1"}]
    assert len({digest(value) for value in values}) == len(values)
    # the definition: SHA-256 of the JSON with sorted keys
    assert digest({"b": 1, "a": "ü"}) == hashlib.sha256('{"a": "ü", "b": 1}'.encode()).hexdigest()[:16]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-4's example
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_read_json_reads_what_to_json_wrote(tmp_path: Path) -> None:
    value = {"z": [1.5, None, "ü"], "a": {"b": True}}
    write_atomic(tmp_path / "x.json", to_json(value))
    assert read_json(tmp_path / "x.json") == value
    assert list(read_json(tmp_path / "x.json")) == ["z", "a"]


def test_read_json_errors_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected this file; run the step that makes it"):
        read_json(tmp_path / "absent.json")
    path = tmp_path / "cut.json"
    path.write_text('{"a": 1,\n "b": [1, 2')
    with pytest.raises(InputError, match=r"expected JSON.*delete the file and run again") as caught:
        read_json(path)
    assert (caught.value.path, caught.value.line) == (path, 2)
    path.write_bytes(b'"\xff"')
    with pytest.raises(InputError, match="expected JSON"):
        read_json(path)


def test_provenance_names_the_code_and_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    record = provenance()
    assert record["threads"] == "3"
    assert record["code_hash"] == files.code_hash()
    assert set(record["versions"]) == {"torch", "transformers", "adapters", "tokenizers", "numpy"}
    assert None not in record["versions"].values()


def test_provenance_without_git_takes_the_revision_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "SOURCE_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("XLT_REVISION", "abc123")
    record = provenance()
    assert (record["git_commit"], record["git_dirty"]) == ("abc123", None)


def test_exit_status_is_two_and_one_line_for_an_input_error(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> None:
        raise InputError("expected a number, got x", "data.tsv", 7)

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_status(wrong) == 2
    assert capsys.readouterr().err == "error: data.tsv:7: expected a number, got x\n"
    assert exit_status(interrupted) == 130
    assert "finished runs are kept" in capsys.readouterr().err
    assert exit_status(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):  # a fault of the program keeps its traceback
        exit_status(lambda: print(1 / 0))
