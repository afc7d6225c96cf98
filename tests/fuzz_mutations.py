"""Damage to files: what disks, editors, half downloads and people do to them, drawn from a random generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

PIECES = [
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b" ",
        b'"',
    ),
    *(b"\\", b"\\ud800", b"\\u0000", b"null", b"NaN", b"-1", b"1e999", b"9" * 5000, b"0x1", b"{}", b"[]", b"[" * 3000),
    *(b"{", b"}", b"]", b",", b":", b"&a", b"*a", b"!!python/object/apply:os.system [echo]", b"%s", b"\xed\xa0\x80"),
    "\u202e\u0661\u00b2\u0dc6\u200b".encode(),
]
"""What is put into a file, or in place of a part of it."""
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    " ",
    "\ud800",
    "x\ny",
    [],
    {},
    [[]],
    [None],
    {"": 0},
    "9" * 5000,
    1e308,
]
"""What is put in place of a value of a JSON document."""


def truncate(data: bytes, draw: Random) -> bytes:
    """The first part of a file."""
    return data[: draw.randrange(len(data) + 1)]


def flip(data: bytes, draw: Random) -> bytes:
    """A few bytes changed."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def put(data: bytes, draw: Random) -> bytes:
    """A piece put in, in place of up to a few bytes."""
    start = draw.randrange(len(data) + 1)
    return data[:start] + draw.choice(PIECES) + data[start + draw.choice([0, 0, 1, 5]) :]


def cut(data: bytes, draw: Random) -> bytes:
    """A part left out."""
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.randint(1, 40) :]


def repeat(data: bytes, draw: Random) -> bytes:
    """A part twice."""
    start = draw.randrange(len(data) + 1)
    end = min(len(data), start + draw.randint(1, 200))
    return data[:end] + data[start:end] + data[end:]


def lines(data: bytes, draw: Random) -> bytes:
    """A line left out, twice, elsewhere, or empty."""
    rows = data.split(b"\n")
    at = draw.randrange(len(rows))
    match draw.randrange(4):
        case 0:
            del rows[at]
        case 1:
            rows.insert(at, rows[at])
        case 2:
            rows.insert(draw.randrange(len(rows)), rows.pop(at))
        case _:
            rows[at] = b""
    return b"\n".join(rows)


def cells(data: bytes, draw: Random) -> bytes:
    """A tab, space or comma too many or too few."""
    mark = draw.choice([b"\t", b" ", b","])
    parts = data.split(mark)
    if len(parts) < 2:
        return put(data, draw)
    at = draw.randrange(len(parts) - 1)
    joined = draw.choice([b"", mark + mark, b"\n"])
    return mark.join(parts[: at + 1]) + joined + mark.join(parts[at + 1 :])


def value(data: bytes, draw: Random) -> bytes:
    """A value of a JSON document (or of one JSON line) that is missing, of another type, or twice."""
    rows = data.split(b"\n")
    whole = data.lstrip()[:1] == b"{" and len(rows) > 1 and not rows[0].rstrip().endswith(b"}")
    at = draw.randrange(len(rows))
    try:
        document = json.loads(data if whole else rows[at])
    except (ValueError, RecursionError):
        return put(data, draw)
    change(document, draw)
    text = json.dumps(document, ensure_ascii=draw.random() < 0.7, indent=1 if whole else None)
    changed = text.encode("utf-8", "surrogatepass")
    return changed if whole else b"\n".join([*rows[:at], changed, *rows[at + 1 :]])


def change(document: Any, draw: Random) -> None:
    """Change one value somewhere in a document, in place."""
    node = document
    for _ in range(draw.randint(0, 8)):
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        deeper = [each for each in inner if isinstance(each, (dict, list)) and each]
        if not deeper:
            break
        node = draw.choice(deeper)
    if not isinstance(node, (dict, list)) or not node:
        return
    key: Any = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
    match draw.randrange(4):
        case 0:
            del node[key]
        case 1 if isinstance(node, list):
            node.append(node[key])
        case 1:
            node[str(key) + "x"] = node[key]
        case _:
            node[key] = draw.choice(VALUES)


OPERATIONS: list[Callable[[bytes, Random], bytes]] = [
    truncate,
    flip,
    put,
    put,
    cut,
    repeat,
    lines,
    lines,
    cells,
    value,
    value,
]


def mutate(data: bytes, draw: Random) -> bytes:
    """One to three operations."""
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        data = draw.choice(OPERATIONS)(data, draw)
    return data
