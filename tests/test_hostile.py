"""Hostile files: bombs, tags, keys twice, half characters, markup; each is refused in one line, or stays text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from xlt.config.yaml_files import load_yaml
from xlt.data.readers import READERS
from xlt.data.readers.files import json_document, json_lines
from xlt.errors import LONGEST, InputError
from xlt.results.render import Document, Section, Text, TextGrid, escape_latex, escape_markdown, to_latex, to_markdown

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "expected a config, got aliases that unfold to millions of values"),
        ("a: &a [*a]\n", "expected YAML without an alias inside itself"),
        ("a: 1\nb: 2\na: 3\n", ":3: expected each key once, got a twice"),
        ("a: " + "[" * 5000 + "]" * 5000, ":1: expected YAML: nested too deeply"),
        ("".join(" " * depth + "a:\n" for depth in range(1500)), "expected YAML without deep nesting"),
        ("a: 2026-13-45\n", "expected YAML in UTF-8: month must be in 1..12"),
        ("a: " + "9" * 5000, "expected YAML in UTF-8: Exceeds the limit"),
        ("a: [1\nb: 2\n", ":2: expected YAML"),
        ("x" * (2**24 + 1), "expected a config, got 16777217 characters"),
        ("", "expected a mapping, got an empty file"),
    ],
    ids=["laughs", "cycle", "twice", "brackets", "indents", "date", "digits", "open", "long", "empty"],
)
def test_yaml_that_no_config_is_made_of_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load_yaml(path)
    assert message in str(caught.value)
    assert time.process_time() - started < 3


def test_aliases_that_configs_use_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2\n", encoding="utf-8")
    assert load_yaml(tmp_path / "c.yaml") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


TAGS = ["!!python/object/apply:os.system [touch x]", "!!python/name:os.system", "!!python/module:os"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_yaml_tag_runs_nothing(tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(f"a: {tag}\n", encoding="utf-8")
    with pytest.raises(InputError, match="could not determine a constructor"):
        load_yaml(tmp_path / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "expected each key once in an object, got 'a' twice"),
        (r'{"a": "\ud800"}', "expected text, got half a character"),
        ("[" * 100_000, "expected JSON without deep nesting"),
        ('{"a": ' + "9" * 5000 + "}", "expected JSON: Exceeds the limit"),
    ],
    ids=["twice", "surrogate", "deep", "digits"],
)
def test_json_that_nobody_means_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        json_document(path)
    path.write_text('{"b": 1}\n' + text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        list(json_lines(path))
    assert caught.value.line == 2


def test_whole_characters_may_be_escaped(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(r'{"a": "\ud83d\ude00", "b": "\\ud800"}', encoding="utf-8")
    assert json_document(tmp_path / "d.json")[0] == {"a": "😀", "b": r"\ud800"}


QUESTION = '{"data": [{"paragraphs": [{"context": "the sun", "qas": [{"id": "1", "question": "q", "answers": %s}]}]}]}'
FORMS: list[tuple[str, str, str]] = [
    ("squad", QUESTION % "5", "expected a list of answers, got 5"),
    ("squad", QUESTION % '["x"]', "expected an object with the key 'text', got 'x'"),
    ("squad", QUESTION % '{"text": ["sun"], "answer_start": []}', "expected as many texts as answer_starts"),
    ("conllu", "1-999999999\tx\t_\t_\t_\t_\t_\t_\t_\t_\n1\tx\t_\tX\t_\t_\t0\t_\t_\t_\n\n", "expected word number 1"),
    ("conllu", "2\tx\t_\tX\t_\t_\t0\t_\t_\t_\n\n", "expected word number 1, got '2'"),
    (
        "commonsenseqa-jsonl",
        '{"id": "1", "question": "q", "choices": {"label": ["A"], "text": [null]}}',
        "expected letters",
    ),
    ("mewslix-pairs", '{"contextual_mention": 3, "entity": {}}', "expected 'contextual_mention' to be dict, got int"),
]


@pytest.mark.parametrize(("form", "text", "message"), FORMS)
def test_values_of_other_types_are_refused(tmp_path: Path, form: str, text: str, message: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        READERS[form](path, "en")
    assert message in str(caught.value)


def test_an_error_is_one_line_of_readable_length() -> None:
    error = InputError("expected a label, got 'a\nb\r\x1b[31m\u2028\u202e" + "x" * 10_000 + "'; correct it", "file", 3)
    assert str(error).startswith("file:3: expected a label, got 'a\\nb\\r\\x1b[31m\\u2028\\u202ex")
    assert str(error).endswith("; correct it")
    assert len(str(error)) < LONGEST + 50 and str(error).isprintable()


# Tables

MARKUP = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "&lt;b&gt;",
    "a | b",
    "\\input{/etc/passwd}",
    "x\r\\input{y}",
    "$\\write18{ls}$",
    "%\n\\def\\x{}",
    "`code` *bold* _it_",
]


@pytest.mark.parametrize("text", MARKUP)
def test_markup_stays_text(text: str) -> None:
    grid = TextGrid([text, "b"], [[Text(text), Text("1.0")]], "lr")
    page = Document(text, [("Label", text)], [Section(text, grid, [text])], [text])
    markdown = to_markdown(page)
    assert "<script" not in markdown and "](" not in markdown.replace("\\(", "") and "&lt;b" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {3}
    latex = to_latex(page)
    plain = [line for line in latex.replace("\r", "\n").split("\n") if not line.startswith("%")]
    assert not any("\\input" in line or "\\write" in line or "\\def" in line for line in plain)


def test_escapes_by_hand() -> None:
    assert escape_markdown("[a](b) &lt; & \r<") == "[a]\\(b) &amp;lt; & &lt;".replace("& &", "&  &")
    assert escape_latex("a\rb\\\xa0{") == "a b\\textbackslash{}\xa0\\{"


def test_scores_of_an_earlier_config_are_refused(tmp_path: Path) -> None:
    from tests.fuzz_targets import FOLDER, RUN

    from xlt.files import sha256_file, to_json
    from xlt.results.run_folders import FinishedRun, PlannedRun, load_run

    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for name, content in RUN.items():
        (folder / name).write_text(content if isinstance(content, str) else to_json(content), encoding="utf-8")
    planned = PlannedRun(dir=FOLDER, recipe="mnli", seed=1, tasks=["xnli"])
    record: dict[str, Any] = {**RUN["provenance.json"], "config_sha256": sha256_file(folder / "config.json")}
    (folder / "provenance.json").write_text(to_json(record), encoding="utf-8")
    assert isinstance(load_run(tmp_path, planned), FinishedRun)
    (folder / "config.json").write_text(to_json({**RUN["config.json"], "tasks": []}), encoding="utf-8")
    with pytest.raises(
        InputError, match=r"expected scores of this folder's config.json; delete the file and run again"
    ):
        load_run(tmp_path, planned)
