"""Every table of the project is written from a plan with all its rows, before any run: each cell says why it is empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scripts import call

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted(path.stem for path in (ROOT / "configs" / "tables").glob("*.yaml"))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_the_project_is_written_before_any_run(
    planned: Path, mini_data: Path, tmp_path: Path, table: str
) -> None:
    where = ["--configs", ROOT / "configs", "--output", tmp_path, "--data", mini_data]
    where += ["--languages", mini_data / "languages.yaml"]
    done = call("table", "--table", table, "--root", planned, *where)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / f"{table}.md").read_text(encoding="utf-8")
    assert text.startswith("# Table")
    assert table == "table1" or "not run" in text
