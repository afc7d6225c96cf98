"""The measured tables of docs/verification.md. ``python -m tests.verification_page`` (part of ``make docs``)"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.faults import FAULTS, PAGES, flat
from tests.honest_pages import FIGURES
from tests.results.pages import TASKS, Outcome, outcome

from xlt.errors import exit_status
from xlt.files import SOURCE_ROOT, write_atomic
from xlt.results.blocks import with_blocks
from xlt.results.page_tests import LEVELS

PAGE = SOURCE_ROOT / "docs" / "verification.md"
REPORTED = SOURCE_ROOT / "configs" / "reported"
RECORDING = REPORTED / "tiny.yaml"
NOTHING = "Not measured yet: `make expectations`, `make faults`, `make docs`.\n"
WORDS = {"lower": "cells", "not run": "missing scores", "not reported": "cells without an expectation"}


def outcomes(pages: Path = PAGES, reported: Path = REPORTED) -> dict[str, Outcome]:
    """What the verification says of the honest page of the verified seed (""), and of each faulty one."""
    content = yaml.safe_load(pages.read_text(encoding="utf-8"))
    honest = flat(content["honest"])
    found = {}
    for name, changed in {"": {}, **content["faults"]}.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = outcome(Path(folder) / "root", {**honest, **flat(changed)}, reported, TASKS)
    return found


def fault_table(found: Mapping[str, Outcome]) -> list[str]:
    """A row for each fault: what of the verification sees it by its scores alone."""
    lines = ["| fault | exit | seen by |", "|---|---|---|"]
    for name, result in found.items():
        title = FAULTS[name].title if name else "none: the honest page"
        seen = ", ".join(f"{WORDS.get(what, what)} ({number})" for what, number in result.red.items())
        lines.append(f"| {title} | {result.status} | {seen or ('**not seen**' if name else '')} |")
    return lines


def honest_tables(figures: Mapping[str, Any]) -> list[str]:
    """Each recorded run beside the others; and drawn pages, how many of 10,000 are flagged, and by what."""
    lines = ["| recorded run | cells outside their 95 % interval | flagged by |", "|---|---|---|"]
    for run in figures["left_out"]:
        flagged = ", ".join(run["flagged"]) or "nothing"
        lines.append(f"| seed {run['seed']}, {run['kernel']} | {run['outside']:.1f} % | {flagged} |")
    names = ["any", "cell", *LEVELS]
    lines += ["", "| tails | shared | pages | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for row in figures["simulated"]:
        tails = "normal" if row["tails"] is None else f"t, {row['tails']:.0f} degrees"
        rates = " | ".join(f"{10_000 * row[name] / row['pages']:.1f}" for name in names)
        lines.append(f"| {tails} | {row['shared']} | {row['pages']:,} | {rates} |")
    return lines


def block(found: Mapping[str, Outcome], figures: Mapping[str, Any]) -> str:
    """What stands between the marks."""
    head = ["Honest pages; the second table in flagged pages of 10,000:", ""]
    return "\n".join([*head, *honest_tables(figures), "", "Faulty pages:", "", *fault_table(found), ""])


def with_block(text: str, new: str) -> str:
    """The page with another text between the marks.

    Raises:
        InputError: a mark is not there.
    """
    return with_blocks(text, {"verification": new}, PAGE)


def measured() -> str:
    """The block as the recorded files give it."""
    if not (RECORDING.exists() and PAGES.exists() and FIGURES.exists()):
        return NOTHING
    return block(outcomes(), yaml.safe_load(FIGURES.read_text(encoding="utf-8")))


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    write_atomic(PAGE, with_block(PAGE.read_text(encoding="utf-8"), measured()))


if __name__ == "__main__":
    sys.exit(exit_status(main))
