"""docs/regimes.md is what the configs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlt.config.benchmark import load_all
from xlt.config.regimes import CONTRADICTIONS, Regime
from xlt.results.regime_page import page

ROOT = Path(__file__).resolve().parents[2]
REGIMES = ROOT / "configs" / "regimes"
PLAIN = "name: {name}\ntitle: A title\ndescription: d\ntuning:\n  kind: {kind}\n"


def test_the_page_in_the_tree_is_current() -> None:
    written = (ROOT / "docs" / "regimes.md").read_text(encoding="utf-8")
    assert written == page(REGIMES), "run `make docs`"


def test_every_regime_of_the_project_is_listed_with_its_title() -> None:
    lines = page(REGIMES).splitlines()
    for name, regime in load_all(Regime, REGIMES).items():
        assert [line for line in lines if line.startswith(f"| `{name}` ") and f" {regime.title} " in line], name


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_axes_and_sources_come_from_the_file(tmp_path: Path) -> None:
    text = PLAIN.format(name="one", kind="lora") + "  rank: 4   # Somebody 2022, section 3\n  targets: [q]\n"
    (tmp_path / "one.yaml").write_text(
        text + "unfreezing: {kind: gradual, interval: 9}\nlexical: tli\n", encoding="utf-8"
    )
    lines = page(tmp_path).splitlines()
    assert cells(next(line for line in lines if line.startswith("| `one`"))) == [
        "`one`",
        "A title",
        "lora (rank 4, alpha 8.0, targets q, dropout 0.0)",
        "unfreezing: gradual (interval 9, share 0.2); lexical: tli",
    ]
    sources = [cells(line) for line in lines if line.startswith("| `one`")][1:]
    assert sources == [["`one`", "rank", "4", "Somebody 2022, section 3"]]


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("full", {"stack", "fuse"}),
        ("head", {"continue", "stack", "fuse", "gradual", "fisher"}),
        ("lora", {"stack", "fuse"}),
        ("bottleneck", set()),
    ],
)
def test_combinations_are_those_that_load(tmp_path: Path, kind: str, refused: set[str]) -> None:
    (tmp_path / "one.yaml").write_text(PLAIN.format(name="one", kind=kind), encoding="utf-8")
    lines = page(tmp_path).splitlines()
    header = next(cells(line) for line in lines if "intermediate: continue" in line)
    row = next(cells(line) for line in lines if line.startswith(f"| `{kind}` "))
    verdicts = dict(zip(header[1:], row[1:], strict=True))
    assert {name.split(": ")[1] for name, verdict in verdicts.items() if verdict != "yes"} == refused
    reasons = {cells(line)[0]: cells(line)[2] for line in lines if line.startswith("|") and cells(line)[0].isdigit()}
    assert [reasons[str(number)] for number in range(1, 1 + len(CONTRADICTIONS))] == [c.why for c in CONTRADICTIONS]
    assert all(verdict == "yes" or verdict in reasons for verdict in verdicts.values())
