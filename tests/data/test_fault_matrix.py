"""docs/data.md: each row of the fault matrix names a test that exists, and each fault test has its row."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_rows_and_tests_belong_together() -> None:
    table = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("## Faults, each with its test")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    named = [re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2]) for row in rows]
    assert len(rows) > 30 and all(named)
    defined = {
        name: path.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert [name for row in named for name in row if name not in defined] == []
    faults = {name for name, file in defined.items() if file.startswith("test_download_faults")}
    assert faults == {name for row in named for name in row} & faults
