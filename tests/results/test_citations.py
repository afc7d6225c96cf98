"""What a table's reader is asked to cite, and its BibTeX."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CONFIGS, ROOT
from tests.results.test_tables import configs, fill, tabulate, written  # noqa: F401

from xlt.config.yaml_files import load_yaml
from xlt.names import visible
from xlt.results.citations import OWN, Citation, parsed


@pytest.fixture
def whole(configs: Path) -> Path:  # noqa: F811
    """The configs of the tables' tests, with the data sets and encoders that this project knows."""
    for name in ("recipes", "data", "models"):
        shutil.copytree(ROOT / "configs" / name, configs / name)
    return configs


@pytest.mark.parametrize("path", [p for kind in ("data", "models") for p in visible(CONFIGS / kind, "*.yaml")], ids=str)
def test_every_config_names_papers_that_can_be_cited(path: Path) -> None:
    citation = load_yaml(path)["citation"]
    assert citation in (OWN, "see docs/methods.md") or len(parsed(citation)) == citation.count("; ") + 1


def test_a_paper_becomes_an_entry() -> None:
    (one,) = parsed("Clark et al. 2020, TyDi QA: 100%, A & B, TACL")
    assert one == Citation("Clark et al.", "2020", "TyDi QA: 100%, A & B", "TACL")
    assert one.bibtex() == (
        "@article{clark2020tydi,\n  author = {Clark and others},\n  title = {{TyDi QA: 100\\%, A \\& B}},\n"
        "  year = {2020},\n  journal = {TACL},\n}\n"
    )
    (other,) = parsed("de Vries and Müller 2024, E5, arXiv 2402.05672")
    assert other.key == "vries2024e5" and "  eprint = {2402.05672},\n  archiveprefix = {arXiv},\n" in other.bibtex()
    assert parsed("see docs/methods.md") == parsed(OWN) == []


def test_a_table_says_whom_to_cite_for_what_it_shows(folders: Callable[..., Any], whole: Path) -> None:
    """Tatoeba has no scores here, and nothing was trained on it; SQuAD's two papers are both named."""
    folder = folders()
    fill(folder)
    squad = "Rajpurkar et al. 2016 (SQuAD); Rajpurkar et al. 2018 (SQuAD)"
    expected = (
        f"To cite: this artifact; Williams et al. 2018 (MultiNLI); {squad}; Conneau et al. 2018 (XNLI); "
        "Artetxe et al. 2020 (XQuAD); Wang et al. 2024 (the encoder). BibTeX: make cite TABLE=table2."
    )
    files = written(folder, whole, "--table", "table2")
    assert files[".md"].rstrip().endswith(expected)
    done = tabulate(folder, whole, "--table", "table2", "--cite")
    keys = [line.partition("{")[2].rstrip(",") for line in done.stdout.splitlines() if line.startswith("@")]
    assert keys == [
        "xlt",
        "williams2018a",
        "rajpurkar2016squad",
        "rajpurkar2018know",
        "conneau2018xnli",
        "artetxe2020on",
        "wang2024multilingual",
    ]
    assert tabulate(folder, whole, "--regime", "lora").returncode == 0  # no XQuAD
    lora = (folder.root / "tables" / "regime-lora.md").read_text(encoding="utf-8")
    assert "SQuAD" not in lora.partition("To cite: ")[2] and lora.rstrip().endswith("BibTeX: make cite TABLE=lora.")
