"""YAML files as plain values: nothing in them runs, no key stands twice, and a short file cannot unfold into a huge value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from xlt.errors import InputError
from xlt.names import one_of, visible

LARGEST_TEXT, LARGEST_VALUE = 2**24, 2**20
"""Characters of a config file, and values in it with its aliases written out: far more than any has."""

DEEPEST = 100
"""Brackets inside brackets; the parser's time grows with the square of it."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which gives up on brackets inside brackets inside brackets."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


def load_yaml(path: Path) -> Any:
    """Read one YAML file with the safe loader, which builds plain values and runs nothing.

    Raises:
        InputError: the file is absent, empty or not YAML (with the line), has a key twice, or is larger than any config:
            aliases may make a short file a huge value.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        value = _plain(text, path)
    except FileNotFoundError:
        names = [other.stem for other in visible(path.parent, "*.yaml")]
        raise InputError(f"no such config; {one_of(names, path.stem)}", path) from None
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark, text) if error.problem_mark else None
        raise InputError(f"expected YAML: {error.problem}", path, line) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8; a date or number that does not exist
        raise InputError(f"expected YAML in UTF-8: {(str(error).splitlines() or ['?'])[0]}", path) from None
    except RecursionError:
        raise InputError("expected YAML without deep nesting", path) from None
    if value is None:
        raise InputError("expected a mapping, got an empty file", path)
    return value


def _plain(text: str, path: Path) -> Any:
    """The value of a YAML text, once it is known that it is not too large."""
    if len(text) > LARGEST_TEXT:
        raise InputError(f"expected a config, got {len(text)} characters", path)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, text, path) > LARGEST_VALUE:
            raise InputError("expected a config, got aliases that unfold to millions of values", path)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int | None], text: str, path: Path) -> int:
    """How many values a node is with its aliases written out."""
    if id(node) not in known:
        known[id(node)] = None
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
            _refuse_twice([key for key, _ in node.value if isinstance(key, yaml.ScalarNode)], text, path)
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_size(each, known, text, path) for each in inner)
    size = known[id(node)]
    if size is None:
        raise InputError("expected YAML without an alias inside itself", path)
    return size


def _refuse_twice(keys: Sequence[yaml.ScalarNode], text: str, path: Path) -> None:
    seen: set[str] = set()
    for key in keys:
        if key.value in seen:
            raise InputError(f"expected each key once, got {key.value} twice", path, _line(key.start_mark, text))
        seen.add(key.value)


def line_of(path: Path, location: tuple[int | str, ...]) -> int | None:
    """The line of the key at ``location`` in a YAML or JSON file, found in the parsed node tree."""
    text = path.read_bytes().decode("utf-8")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:  # JSON that is no YAML
        return None
    line = _line(node.start_mark, text) if node is not None else None
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
            if not found:  # union tags of the validator are no keys of the file
                continue
            line = _line(found[0][0].start_mark, text)
            node = found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = _line(node.start_mark, text)
    return line


def _line(mark: yaml.Mark, text: str) -> int:
    """The line of a place in a text, as editors count; YAML also ends lines at other characters."""
    return text.count("\n", 0, mark.index) + 1


def location_of(error: ErrorDetails) -> tuple[int | str, ...]:
    """The keys that lead to an error. A validator of several keys names the one at fault before a colon."""
    if error["type"] != "value_error":
        return error["loc"]
    return (*error["loc"], *error["msg"].removeprefix("Value error, ").partition(":")[0].split("."))


def message_of(error: ErrorDetails) -> str:
    """What the validator found wrong, in the words of this project."""
    where = ".".join(str(part) for part in error["loc"])
    given = repr(error["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {where}; remove it or correct its name"
        case "missing":
            return f"expected the key {where}; add it"
        case "union_tag_invalid":
            name = str(error["ctx"]["discriminator"]).strip("'")
            return f"{where}.{name}: expected one of {error['ctx']['expected_tags']}, got {error['ctx']['tag']!r}"
        case "union_tag_not_found":
            return f"{where}: expected the key {str(error['ctx']['discriminator']).strip(chr(39))} in it"
        case "literal_error":
            return f"{where}: expected one of {error['ctx']['expected'].replace(' or ', ', ')}, got {given}"
        case "value_error":
            return (f"{where}: " if where else "") + error["msg"].removeprefix("Value error, ")
        case "float_type":
            return f"{where}: expected a number (in YAML 1.0e-4, not 1e-4), got {given}"
    return f"{where}: {error['msg'].replace('Input should be', 'expected').replace('should', 'is expected to')}, got {given}"
