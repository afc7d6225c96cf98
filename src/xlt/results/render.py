"""Documents of tables, written as Markdown and as LaTeX (booktabs). What a table says is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tabulate import tabulate


@dataclass(frozen=True, slots=True)
class Text:
    """A cell: plain text, whether it is the best or second best of its column, and its footnote marks."""

    text: str
    emphasis: Literal["none", "best", "second"] = "none"
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextGrid:
    """A table. The first column is aligned to the left, the others as ``align`` says ("l" or "r" for each column)."""

    headers: list[str]
    rows: list[list[Text]]
    align: str


@dataclass(frozen=True)
class Section:
    """A table with its heading and the lines below it."""

    title: str
    grid: TextGrid
    foot: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """A page: title, header lines (label and text), tables, and notes at the end."""

    title: str
    header: list[tuple[str, str]]
    sections: list[Section]
    notes: list[str]


def rank_column(cells: Sequence[Text], values: Sequence[float | None], decimals: int = 1) -> list[Text]:
    """Mark the best and the second best of a column of numbers where higher is better.

    Numbers that print alike are tied and marked alike; nothing is marked when all numbers print alike.
    """
    shown = [None if value is None else round(value, decimals) for value in values]
    distinct = sorted({value for value in shown if value is not None}, reverse=True)
    if len(distinct) < 2:
        return list(cells)
    emphasis: dict[float, Literal["best", "second"]] = {distinct[0]: "best", distinct[1]: "second"}
    return [
        cell if value is None or value not in emphasis else replace(cell, emphasis=emphasis[value])
        for cell, value in zip(cells, shown, strict=True)
    ]


Ranked = tuple[Text, float | None]
"""A cell and the number it is ranked by in its column; None for none."""


def ranked_grid(headers: list[str], labels: Sequence[str], columns: Iterable[Sequence[Ranked]]) -> TextGrid:
    """A table of a column of labels, and columns of numbers in which the best and the second best are marked."""
    filled = [[Text(label) for label in labels]]
    filled += [rank_column([cell for cell, _ in column], [value for _, value in column]) for column in columns]
    return text_grid(headers, [list(row) for row in zip(*filled, strict=True)])


def text_grid(headers: list[str], rows: Iterable[Sequence[Text | str]], align: str | None = None) -> TextGrid:
    """A table of cells, some of them plain text; without ``align``, all columns but the first are to the right."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    return TextGrid(headers, cells, align or "l" + "r" * (len(headers) - 1))


_ENTITY = re.compile(r"&(?=#?\w+;)")
_MARKDOWN_SPECIAL = str.maketrans({"|": "\\|", "*": "\\*", "_": "\\_", "<": "&lt;", ">": "&gt;", "`": "\\`"})


def escape_markdown(text: str) -> str:
    """Text that shows as it is in a Markdown table: no emphasis, no HTML, no link, no column break."""
    plain = _ENTITY.sub("&amp;", one_line(text)).replace("\\", "\\\\").translate(_MARKDOWN_SPECIAL)
    return plain.replace("](", "]\\(")


def one_line(text: str) -> str:
    """Text without characters that end a line, or a comment, in any of the formats that tables are written in."""
    return "".join(c if c.isprintable() or c == "\xa0" else " " for c in text)


def _markdown_cell(cell: Text) -> str:
    text = escape_markdown(cell.text)
    wrapped = {"none": text, "best": f"**{text}**", "second": f"<u>{text}</u>"}[cell.emphasis]
    return wrapped + (f" <sup>{','.join(cell.marks)}</sup>" if cell.marks else "")


def to_markdown(document: Document) -> str:
    """The page as GitHub-flavoured Markdown."""
    parts = [f"# {escape_markdown(document.title)}"]
    parts.append("\n".join(f"- {label}: {escape_markdown(text)}" for label, text in document.header))
    for section in document.sections:
        rows = [[_markdown_cell(cell) for cell in row] for row in section.grid.rows]
        align = ["right" if letter == "r" else "left" for letter in section.grid.align]
        headers = [escape_markdown(header) for header in section.grid.headers]
        table = tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=align)
        parts.extend([f"## {escape_markdown(section.title)}", table])
        parts.extend(escape_markdown(line) for line in section.foot)
    if document.notes:
        parts.append("## Notes")
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in document.notes))
    return "\n\n".join(parts) + "\n"


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "–": "--",
    "’": "'",
    "\n": " ",
}


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is. A character outside Latin-1 without a command here is shown as its code."""
    return "".join(_LATEX_SPECIAL.get(c, c if ord(c) < 256 else f"[U+{ord(c):04X}]") for c in one_line(text))


def _latex_cell(cell: Text) -> str:
    text = escape_latex(cell.text)
    wrapped = {"none": text, "best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}[cell.emphasis]
    return wrapped + (rf"\textsuperscript{{{','.join(cell.marks)}}}" if cell.marks else "")


WIDE = 12
"""Columns beyond which a LaTeX table is scaled down to the width of the line (if it is wider)."""


def _latex_tabular(grid: TextGrid) -> str:
    lines = [rf"\begin{{tabular}}{{@{{}}{grid.align}@{{}}}}", r"\toprule"]
    lines.append(" & ".join(escape_latex(header) for header in grid.headers) + r" \\")
    lines.append(r"\midrule")
    lines.extend(" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in grid.rows)
    tabular = "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
    if len(grid.headers) <= WIDE:
        return tabular
    fitted = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    return f"{fitted}\n{tabular}}}"


def to_latex(document: Document) -> str:
    """The page as a LaTeX fragment to ``\\input``; it needs the packages booktabs and graphicx."""
    parts = [
        "% needs \\usepackage{booktabs,graphicx}; header:",
        *(f"% {one_line(label)}: {one_line(text)}" for label, text in document.header),
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\parindent}{0pt}",
        r"\renewcommand{\arraystretch}{1.12}",
    ]
    for section in document.sections:
        parts.extend(
            ["", rf"\textbf{{{escape_latex(section.title)}}}\par\nopagebreak\smallskip", _latex_tabular(section.grid)]
        )
        parts.append(r"\par\smallskip")
        parts.extend(escape_latex(line) + r"\par" for line in section.foot)
        parts.append(r"\medskip")
    if document.notes:
        parts.extend(["", r"\begin{minipage}{\linewidth}\raggedright"])
        parts.extend(escape_latex(note) + r"\par" for note in document.notes)
        parts.append(r"\end{minipage}\par")
    return "\n".join([*parts, r"\endgroup"]) + "\n"


def rendered(document: Document, name: str) -> dict[str, str]:
    """The text of the page's files by suffix; ``name`` is their name without it."""
    fragment, whole = to_latex(document), standalone(document, f"{name}.tex")
    return {".tex": fragment, "-standalone.tex": whole, ".md": to_markdown(document)}


def standalone(document: Document, fragment: str) -> str:
    """A LaTeX file that compiles by itself and shows the fragment in the file ``fragment`` beside it."""
    landscape = "landscape," if max(len(section.grid.headers) for section in document.sections) > 8 else ""
    header = "\n".join(rf"{escape_latex(label)}: {escape_latex(text)}\par" for label, text in document.header)
    return rf"""\documentclass[a4paper,10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage[utf8]{{inputenc}}
\usepackage[{landscape}margin=12mm]{{geometry}}
\usepackage{{booktabs,graphicx}}
\pagestyle{{empty}}
\begin{{document}}
{{\raggedright\setlength{{\parindent}}{{0pt}}\textbf{{{escape_latex(document.title)}}}\par\footnotesize
{header}
}}\bigskip
\input{{{fragment}}}
\end{{document}}
"""
