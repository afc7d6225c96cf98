"""The recorded results: what stands in the repository comes out of its records, to the byte, without training or data."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import scripts
from tests.conftest import ROOT

from xlt.records import FIGURES, PAGES, PLANNED, check_sums, restore

RECORDED = sorted(path.parent for path in (ROOT / "results").glob(f"*/*/{PLANNED}"))
LARGEST = 30e6
"""Bytes that all records may take."""


def pages(folder: Path) -> dict[str, bytes]:
    """The pages below a root, but for figures that are not recorded."""
    found = (path for name in PAGES for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.suffix not in FIGURES}


@pytest.mark.parametrize("records", RECORDED, ids=lambda path: path.relative_to(ROOT / "results").as_posix())
def test_every_page_comes_out_of_the_records(records: Path, tmp_path: Path) -> None:
    root = tmp_path / "out" / records.parent.name / records.name
    check_sums(records, PAGES)
    restore(records, root)
    recorded = pages(records)
    tables = {Path(name).stem for name in recorded if Path(name).parent.name == "tables" and name.endswith(".md")} - {
        "claims"
    }
    for table in sorted(tables):
        assert scripts.call("table", "--table", table, "--root", root, at=ROOT).returncode == 0
    for script in ("claims", "report"):
        assert scripts.call(script, "--root", root, at=ROOT).returncode == 0
    made = pages(root)
    assert made.keys() == recorded.keys()
    assert [name for name in made if made[name] != recorded[name]] == []


def test_the_records_are_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "results").rglob("*") if path.is_file()) < LARGEST
