"""The committed expectations pass the honest page of the verified seed, and the docs say what of each faulty page is seen."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests import verification_page as page
from tests.faults import FAULTS, PAGES
from tests.honest_pages import FIGURES
from tests.results.pages import Outcome

from xlt.files import sha256_file

recorded = pytest.mark.skipif(
    not (page.RECORDING.exists() and PAGES.exists() and FIGURES.exists()), reason="no runs are recorded yet"
)


@pytest.fixture(scope="module")
def found() -> dict[str, Outcome]:
    return page.outcomes()


@pytest.fixture(scope="module")
def figures() -> Any:
    return yaml.safe_load(FIGURES.read_text(encoding="utf-8"))


@recorded
def test_the_honest_page_is_green_and_every_fault_was_made(found: dict[str, Outcome]) -> None:
    assert list(found) == ["", *FAULTS]
    assert found[""] == Outcome(0, {})


@recorded
def test_the_docs_say_what_is_seen(found: dict[str, Outcome], figures: Any) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_block(text, page.block(found, figures)) == text, "docs/verification.md is stale: run make docs"


@recorded
def test_fewer_than_one_honest_page_in_a_thousand_is_flagged(figures: Any) -> None:
    assert figures["recording"] == sha256_file(page.RECORDING), "counted for other expectations: run make faults"
    assert not any(run["flagged"] for run in figures["left_out"])
    lighter = [row for row in figures["simulated"] if row["tails"] is None or row["tails"] >= 10]
    assert all(row["pages"] >= 10_000 for row in lighter)
    assert all(row["any"] / row["pages"] < 0.001 for row in lighter)


def test_the_docs_have_a_place_for_it() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_block(page.with_block(text, "x"), page.measured()) == text or page.RECORDING.exists()
