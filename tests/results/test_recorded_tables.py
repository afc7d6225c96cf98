"""Tables and sentences from a hand-made recording whose figures are known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import docs
import pytest
from tests.conftest import ROOT
from tests.results import pages

from xlt.errors import InputError
from xlt.results import recorded_tables as tables
from xlt.results.recorded_tables import language_groups
from xlt.results.recording import Recording
from xlt.results.statistics import Interval

# By language; XNLI's average is 60, 61, 62 with full fine-tuning and 63, 65, 67 with adapters
XNLI = {"en": [80, 82, 84], "qaa": [60, 60, 60], "qaf": [40, 41, 42]}
HIGHER = {"en": [85, 90, 95], "qaa": [64, 64, 64], "qaf": [40, 41, 42]}
MIXED = {"en": [83, 79, 84], "qaa": [60, 60, 60], "qaf": [40, 41, 42]}  # average: 61, 60, 62
F1, EXACT = {"en": [90] * 3, "qaa": [60] * 3}, {"en": [70] * 3, "qaa": [40] * 3}  # average of the two: 80 and 50
HIGHER_EXACT = {"en": [72] * 3, "qaa": [42] * 3}  # score: 81 and 51
GROUPS = {"English": ["en"], "near": ["qaa", "qab"], "far": ["qaf"]}


def recording(scores: dict[str, tuple[Any, Any, Any]]) -> Recording:
    """Rows of XNLI accuracy and XQuAD F1 and exact match for each regime; AVX2 twice, then DEFAULT."""
    rows = [
        {"regime": name, "method": name.title(), "task": task, "metric": metric, "scores": values}
        for name, three in scores.items()
        for (task, metric), values in zip(
            [("xnli", "accuracy"), ("xquad", "f1"), ("xquad", "exact_match")], three, strict=True
        )
    ]
    runs = [{"seed": 2, "kernel": "AVX2"}, {"seed": 3, "kernel": "AVX2"}, {"seed": 5, "kernel": "DEFAULT"}]
    content = {
        "paper": "tiny",
        "citation": "ours",
        "rank": 1,
        "model": "babel",
        "table": "table2",
        "source": "make expectations",
        "recorded": {"world": "w", "runs": runs, "encoders": [], "commits": [], "platforms": []},
        "examples": {"xnli": dict.fromkeys(XNLI, 150), "xquad": dict.fromkeys(F1, 120)},
        "rows": rows,
    }
    return Recording.model_validate(content)


TWO = recording({"full": (XNLI, F1, EXACT), "adapter": (HIGHER, F1, HIGHER_EXACT)})
THREE = recording(
    {"full": (XNLI, F1, EXACT), "adapter": (HIGHER, F1, HIGHER_EXACT), "lora": (MIXED, F1, EXACT)},
)


def test_the_short_table_and_what_it_says() -> None:
    # means over tasks: 62.5, 63, 63.5 and 64.5, 65.5, 66.5; differences 2, 2.5, 3: 2.5 +- t(0.975, 2) * 0.5 / sqrt(3) = 1.242
    lines = tables.overview(TWO, pages.TASKS).splitlines()
    assert lines[:4] == [
        "| regime | XNLI | XQuAD | mean of two tasks | difference to full |",
        "| --- | --- | --- | --- | --- |",
        "| Full | 61.0 | 65.0 | 63.0 |  |",
        "| Adapter | 65.0 | 66.0 | 65.5 | +2.5 [1.3, 3.7] |",
    ]
    assert lines[-1].startswith("Means over three runs (seeds 2, 3, 5; two CPU kernels: AVX2, DEFAULT); in brackets")
    assert lines[-1].endswith(
        "difference is +2.5 [1.3, 3.7]: it lies above zero, adapters are ahead of full fine-tuning here."
    )


def test_the_conclusion_follows_the_interval() -> None:
    turned = recording({"adapter": (XNLI, F1, EXACT), "full": (HIGHER, F1, HIGHER_EXACT)})
    text = tables.overview(turned, pages.TASKS)
    assert "is −2.5 [−3.7, −1.3]: it lies below zero, full fine-tuning is ahead of adapters here." in text
    assert "do not tell adapters from full fine-tuning" in tables.conclusion(Interval(1.0, -0.1, 2.1, 0.06))


def test_all_tasks_with_deviations_and_what_is_beyond_chance() -> None:
    lines = tables.all_tasks(TWO, pages.TASKS).splitlines()
    assert "| Full | 61.0 ± 1.0 | 65.0 ± 0.0 | 63.0 ± 0.5 |  |" in lines
    assert "| Adapter | 65.0 ± 2.0 | 66.0 ± 0.0 | 65.5 ± 1.0 | +2.5 [1.3, 3.7] |" in lines
    assert "| chance | 33 |  |  |  |" in lines
    assert lines[-1] == "- Adapter: ahead in XNLI, XQuAD; behind in none."


def test_more_comparisons_ask_for_more() -> None:
    # XNLI gains 3, 4, 5: t = 4 / (1 / sqrt(3)) = 6.93 with two degrees of freedom, p = 0.020: below 5 % doubled, not tripled
    lines = tables.all_tasks(THREE, pages.TASKS).splitlines()
    assert "Holm's correction for all 4 comparisons" in "\n".join(lines)
    assert lines[-2:] == ["- Adapter: ahead in XQuAD; behind in none.", "- Lora: ahead in none; behind in none."]


def test_by_group_of_languages() -> None:
    lines = tables.by_group(TWO, pages.TASKS, GROUPS).splitlines()
    assert lines[-2:] == [
        "| XNLI | accuracy | 82 / 90 | 60 / 64 | 41 / 41 | 33 |",
        "| XQuAD | mean of F1 and exact match | 80 / 81 | 50 / 51 | - |  |",
    ]


def test_groups_are_named_by_the_families() -> None:
    families = {"en": "Source", "qaa": "Near Isles", "qaf": "Far Ranges", "qag": "Far Coast"}
    assert language_groups(families) == {"English": ["en"], "near": ["qaa"], "far": ["qaf", "qag"]}


def test_by_kernel_and_whether_it_has_settled() -> None:
    # XNLI under AVX2: full 60, 61, adapters 63, 65, lora 61, 60; under DEFAULT 62, 67, 62. English: deviations 2, 5 and 2.6
    text = tables.by_kernel(THREE, pages.TASKS)
    assert "| task | AVX2 (2) | DEFAULT (1) | deviation of an average | of English |" in text
    assert "| XNLI | 61.7 | 63.7 | 2.0 (Adapter) | 5.0 (Adapter) |" in text
    assert "2 points for an average and 3 for English, are not kept: 5.00 for XNLI in English, Adapter." in text
    settled = recording({"full": (XNLI, F1, EXACT), "adapter": (XNLI, F1, EXACT)})
    assert tables.by_kernel(settled, pages.TASKS).endswith("3 for English, are kept everywhere.")


def test_pages_are_written_from_a_recording(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in (*docs.PAGES, "configs/templates/REPRODUCE.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "configs" / "reported" / "tiny.yaml"
    path.write_text(pages.text({seed: pages.page(seed) for seed in range(2, 8)}), encoding="utf-8")
    blocks = tables.blocks(tmp_path / "configs")
    assert tuple(blocks) == tables.NAMES
    whole = "".join(text for name, text in docs.pages(tmp_path).items() if name in docs.PAGES)
    assert all(text in whole for text in blocks.values())
    assert "mean of ten tasks" in blocks["table2"] and "six runs (seeds 2, 3, 4, 5, 6, 7; three CPU kernels:" in whole
    path.write_text(pages.text({seed: pages.page(seed, ["full", "lora"]) for seed in (2, 3, 4)}), encoding="utf-8")
    with pytest.raises(InputError, match="expected rows of full and adapter"):
        tables.blocks(tmp_path / "configs")
