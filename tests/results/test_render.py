"""Escaping, marking of best and second best, and that the LaTeX compiles."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt.results import formatting
from xlt.results.aggregate import MeanStd
from xlt.results.render import (
    Document,
    Section,
    Text,
    TextGrid,
    escape_latex,
    escape_markdown,
    rank_column,
    standalone,
    to_latex,
    to_markdown,
)

NASTY = "50 % & #1_a {b} $c$ ~ ^ \\ <d> | −1 ± 2 × 3 – é 中"


def emphasis(values: list[float | None]) -> list[str]:
    return [cell.emphasis for cell in rank_column([Text("") for _ in values], values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 3.0, 2.0], ["none", "best", "second"]),
        ([3.0, 3.0, 2.0, 2.0, 1.0], ["best", "best", "second", "second", "none"]),
        ([3.04, 3.01, 2.9], ["best", "best", "second"]),  # both print as 3.0
        ([None, 2.0, 1.0], ["none", "best", "second"]),
        ([2.0, 2.0], ["none", "none"]),
        ([2.0, None], ["none", "none"]),
        ([], []),
    ],
)
def test_best_and_second(values: list[float | None], expected: list[str]) -> None:
    assert emphasis(values) == expected


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=8))
def test_no_unmarked_value_prints_above_a_marked_one(values: list[float | None]) -> None:
    marks = emphasis(values)
    marked = [round(v, 1) for v, m in zip(values, marks, strict=True) if v is not None and m != "none"]
    others = [round(v, 1) for v, m in zip(values, marks, strict=True) if v is not None and m == "none"]
    assert not marked or not others or max(others) < min(marked)


def test_latex_escaping() -> None:
    assert escape_latex("50 % & a_b #1") == r"50 \% \& a\_b \#1"
    assert escape_latex("{x} $y$ ~ ^ \\") == r"\{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    assert escape_latex("−1 ± 2") == r"$-$1 $\pm$ 2"
    assert escape_latex("é 中") == "é [U+4E2D]"


def test_markdown_escaping() -> None:
    assert escape_markdown("a|b *c* _d_ <e> `f`") == r"a\|b \*c\* \_d\_ &lt;e&gt; \`f\`"


def document() -> Document:
    rows = [
        [Text("A & B"), Text("54.2 ± 0.3", "best", ("a", "b"))],
        [Text(NASTY), Text("53.0", "second")],
    ]
    grid = TextGrid(["Regime", "XNLI_%"], rows, "lr")
    return Document("Title & more", [("Caps", NASTY)], [Section("Scores (%)", grid, [NASTY])], [NASTY])


def test_markdown() -> None:
    text = to_markdown(document())
    assert "# Title & more\n" in text
    assert "| **54.2 ± 0.3** <sup>a,b</sup> |" in text
    assert "<u>53.0</u> |" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {3}


def test_latex() -> None:
    text = to_latex(document())
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert r"A \& B & \textbf{54.2 $\pm$ 0.3}\textsuperscript{a,b} \\" in text
    assert r"\underline{53.0}" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles(tmp_path: Path) -> None:
    page = document()
    (tmp_path / "t.tex").write_text(to_latex(page), encoding="utf-8")
    (tmp_path / "t-standalone.tex").write_text(standalone(page, "t.tex"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t-standalone.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "t-standalone.pdf").stat().st_size > 1000


def test_figures() -> None:
    assert formatting.score(MeanStd(54.25, None, (1,))) == "54.2"
    assert formatting.score(MeanStd(54.26, 0.34, (1, 2))) == "54.3 ± 0.3"
    assert [formatting.difference(value) for value in (1.24, -1.26, -0.04, 0.04)] == ["+1.2", "−1.3", "0.0", "0.0"]
    assert [formatting.duration(seconds) for seconds in (41.4, 90, 5400, None)] == ["41 s", "1.5 min", "1.5 h", "none"]
    assert [formatting.parameters(n) for n in (0, 999, 894_528, 117_500_000)] == ["0", "999", "894.5 k", "117.5 M"]
    assert formatting.memory(2**31) == "2.0 GiB"
    assert formatting.count(2490) == "2,490"
    assert formatting.language("sw") == "Swahili (sw)"
    assert formatting.language("en-de") == "en-de"


def test_footnotes_share_letters() -> None:
    notes = formatting.Footnotes()
    assert [notes.mark(text) for text in ("x", "y", "x")] == ["a", "b", "a"]
    assert notes.lines() == ["a: x", "b: y"]
    assert [notes.mark(str(number)) for number in range(25)][-2:] == ["z", "aa"]
