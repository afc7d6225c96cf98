"""Figures, and what the report's page makes of them."""

from __future__ import annotations

import re

from matplotlib.figure import Figure

from xlt.results import plots

POINTS = [("a", 1e6, 60.0), ("b <i>", 1e7, 60.1), ("c", 1e8, 50.0)]
SERIES = [plots.Series(name, [(name, x, y)], plots.Style(number)) for number, (name, x, y) in enumerate(POINTS)]
CHART = plots.Chart("score", "Score & parameters", "told", "parameters", "score", SERIES, log_x=True)


def test_an_inlined_figure_follows_the_page() -> None:
    drawn = plots.inlined(plots.panels([CHART])[".svg"], [CHART], "here")
    assert '<title id="here-t">Score &amp; parameters</title><desc id="here-d">told</desc>' in drawn
    assert re.findall(r"<g><title>(.*?)</title>", drawn) == ["a: 60.0", "b &lt;i&gt;: 60.1", "c: 50.0"]
    assert {f"var(--k{kind})" for kind in range(3)} <= set(re.findall(r"var\(--\w+\)", drawn))
    assert not re.search(r"#[0-9a-f]{6}|<!--|url\(|http", drawn)
    identifiers = re.findall(r' id="([^"]+)"', drawn)
    assert len(identifiers) == len(set(identifiers)) and all(each.startswith("here-") for each in identifiers)
    assert set(re.findall(r'href="#([^"]+)"', drawn)) <= set(identifiers)


def test_names_beside_a_chart_do_not_touch() -> None:
    axes = Figure().add_subplot()
    axes.set_ylim(50, 60)
    plots._names_beside(axes, [("top", 0.0, 60.0), ("near", 0.0, 59.9), ("low", 0.0, 50.0)])
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}
    # three names keep 0.055 of the height from each other: what lies nearer than that to the top is moved down
    assert heights == {"low": 0.0, "near": 1 - 0.055, "top": 1.0}
