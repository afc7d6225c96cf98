"""A sentencepiece normaliser rebuilt from its table of single characters.

sentencepiece compiles its normalisation rules (for XLM-R: ``nmt_nfkc``) into a double-array trie, and the
``tokenizers`` library runs that compiled form (``tokenizers.normalizers.Precompiled``). A file that keeps only the
rules for single characters has lost the rules that compose a letter and its combining marks; these follow from
Unicode and are put back here.
"""

from __future__ import annotations

import itertools
import struct
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping

# tokenizers looks a whole grapheme up only when it is shorter than this many bytes of UTF-8, so longer rules never
# apply.
_GRAPHEME_BYTES = 5


def compositions(rules: Mapping[str, str]) -> dict[str, str]:
    """The rules that compose a letter and its marks, for a normaliser whose single-character ``rules`` are NFKC-like.

    Each character that Unicode composes canonically gives one rule per spelling: its canonical decomposition, with
    each mark also in the variants that ``rules`` map to it (U+0341 for U+0301, say).
    """
    variants: dict[str, list[str]] = defaultdict(list)
    for source, target in rules.items():
        variants[target].append(source)
    found: dict[str, str] = {}
    for composed in map(chr, range(sys.maxunicode + 1)):
        parts = unicodedata.normalize("NFD", composed)
        if len(parts) < 2 or unicodedata.normalize("NFC", parts) != composed or composed in rules or parts[0] in rules:
            continue
        for marks in itertools.product(*([mark, *variants[mark]] for mark in parts[1:])):
            spelling = parts[0] + "".join(marks)
            if len(spelling.encode()) <= _GRAPHEME_BYTES:
                found[spelling] = composed
    return found


def compile_charsmap(rules: Mapping[str, str]) -> bytes:
    """Compile ``rules`` (text to replacement) into sentencepiece's binary form.

    The form, little endian: uint32 size of the trie in bytes, the trie's uint32 units, then the replacements, each
    ended by a NUL. The trie is Darts-clone's (https://github.com/s-yata/darts-clone): a key's value is its
    replacement's byte offset.
    """
    offsets: dict[bytes, int] = {}
    table = bytearray()
    for source, target in sorted(rules.items()):
        offsets[source.encode()] = len(table)
        table += target.encode() + b"\0"
    units = _double_array(offsets)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(table)


def _double_array(values: Mapping[bytes, int]) -> list[int]:
    """Lay a byte trie out as Darts-clone units: a child with label c of a node with base b is unit ``b ^ c``.

    Bits of a unit: 0-7 label, 8 whether a value hangs below, 10-30 the node's index xor its base; a value is bit 31
    and 0-30.
    """
    units: list[int] = []
    free: set[int] = set()
    bases: set[int] = set()

    def grow() -> None:
        free.update(range(len(units), len(units) + 256))
        units.extend([0] * 256)

    def place(labels: list[int]) -> int:
        while True:
            for slot in sorted(free):
                base = slot ^ labels[0]
                if base not in bases and all(base ^ label in free for label in labels):
                    return base
            grow()

    grow()
    free.discard(0)
    for index, prefix, labels in _nodes(values, units):
        base = place(labels)
        bases.add(base)
        free.difference_update(base ^ label for label in labels)
        units[index] |= (index ^ base) << 10
        for label in labels:
            units[base ^ label] = label
        if labels[0] == 0:
            units[index] |= 1 << 8
            units[base] = values[prefix] | 1 << 31
    return units


def _nodes(values: Mapping[bytes, int], units: list[int]) -> Iterator[tuple[int, bytes, list[int]]]:
    """Each node of the trie from the root on: its unit's index, its prefix, its children's labels (0 for a value)."""
    children: dict[bytes, set[int]] = defaultdict(set)
    for key in values:
        for length, byte in enumerate(key):
            children[key[:length]].add(byte)
        children[key].add(0)
    waiting = [(0, b"")]
    while waiting:
        index, prefix = waiting.pop()
        yield index, prefix, sorted(children[prefix])
        base = index ^ units[index] >> 10  # the caller has placed the node by now
        waiting.extend((base ^ label, prefix + bytes([label])) for label in children[prefix] if label)
