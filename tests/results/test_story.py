"""The sentences of the report's answer."""

from __future__ import annotations

from typing import Any

import pytest

from xlt.results.claims import Claim, Finding
from xlt.results.report import summary
from xlt.results.statistics import Interval


@pytest.mark.parametrize(
    ("status", "effect", "seeds", "sentence"),
    [
        (
            "supported",
            (2.0, 1.0, 3.0),
            3,
            "Adapter scores 2.0 points above Full over 1 task (95 % interval 1.0 to 3.0)",
        ),
        ("contradicted", (-2.0, -3.0, -1.0), 3, "Adapter scores 2.0 points below Full over 1 task"),
        ("not shown", (2.0, -1.0, 5.0), 3, "Adapter cannot be told apart from Full: the difference is +2.0 points"),
        (
            "too few seeds",
            (2.0, 1.0, 3.0),
            2,
            "too few seeds to tell Adapter from Full (2 seeds, 3 decide): the difference is +2.0",
        ),
    ],
)
def test_the_answer_never_concludes_from_too_few_seeds(
    status: Any, effect: tuple[float, float, float], seeds: int, sentence: str
) -> None:
    claim = Claim.model_validate(
        {
            "name": "c",
            "claim": "A helps.",
            "source": {"paper": "p", "place": "", "confidence": "seen"},
            "contrasts": [{"first": "adapter", "second": "full"}],
            "cells": {"tasks": ["xnli"], "languages": "all"},
            "command": "make table2",
        }
    )
    reason = "2 seeds, 3 decide" if seeds < 3 else ""
    found = Finding(claim, status, Interval(*effect, p=0.01), tuple(range(1, seeds + 1)), seeds, reason)
    text = summary.clause(found, {"adapter": "Adapter", "full": "Full"})
    assert text.startswith(sentence)
    assert ("scores" in text) == (status in ("supported", "contradicted"))
