"""Line ends, encodings and broken JSON: what every reader rests on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.data.readers.files import json_document, json_lines, lines, read_text
from xlt.errors import InputError


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: bytes) -> None:
    path = write(tmp_path / "f", b"\xef\xbb\xbf" + end.join([b"one", b"", b"two", b"", b" "]) + end)
    assert list(lines(path)) == [(1, "one"), (2, ""), (3, "two")]


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd\u200ce"
    assert list(lines(write(tmp_path / "f", text.encode()))) == [(1, text)]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
def test_lines_give_back_what_was_written(rows: list[str]) -> None:
    rows = [*rows, "last"]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "f", "\n".join(rows).encode())
        read = [row for _, row in lines(path)]
    rows[0] = rows[0].removeprefix("\ufeff")
    assert read == rows


def test_invalid_utf8_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"good\nalso good\nb\xffd\n")
    for read in (read_text, lambda p: list(lines(p))):
        with pytest.raises(InputError, match=r"f:3: expected UTF-8, got byte 0xff"):
            read(path)


@pytest.mark.parametrize("data", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path / "f", data)
    for read in (read_text, lambda p: list(lines(p))):
        with pytest.raises(InputError, match="empty file"):
            read(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a data file, got none"):
        list(lines(tmp_path / "none"))


def test_truncated_json_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", b'{"data": [\n {"a": 1},\n {"a":\n')
    with pytest.raises(InputError, match=r"f\.json:4: expected JSON: .*cut short") as caught:
        json_document(path)
    assert "\n" not in str(caught.value)


def test_json_lines_name_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", b'{"a": 1}\r\n\r\n{"a": \r\n')
    with pytest.raises(InputError, match=r"f\.jsonl:3: expected one JSON object a line"):
        list(json_lines(path))
    assert list(json_lines(write(path, b'{"a": 1}\r\n\r\n{"a": 2}'))) == [(1, {"a": 1}), (3, {"a": 2})]
    with pytest.raises(InputError, match="expected a JSON object, got list"):
        list(json_lines(write(path, b"[1]\n")))
