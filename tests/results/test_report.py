"""The report: its structure, what stands behind each cell, escaping, what it says is missing, and equal bytes."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import run_configs
from tests.scripts import call

from xlt.files import read_json
from xlt.results.report.cells import MARKS
from xlt.results.report.evidence import Anchors, Register
from xlt.results.report.page import TEMPLATES

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert('x')</script> & \"$a_b$\" </title>{{ 7 * 7 }}"
XNLI = {"en": 80.0, "de": 70.5, "sw": 60.25}
VOID = {"meta", "br", "img", "link", "input", "hr", "circle", "rect", "path", "line", "polyline"}
TASKS = ["xnli", "xquad", "tatoeba"]


class Page(HTMLParser):
    """Every start tag with its attributes, the text of the page, and the open elements around a piece of text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[tuple[str, str]] = []
        self.by_id: dict[str, list[str]] = {}
        self.inside: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.inside.append(dict(attrs).get("id"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        self.text.append((self.open[-1] if self.open else "", data))
        for name in filter(None, self.inside):
            self.by_id.setdefault(name, []).append(data.strip())


def table(name: str, **values: Any) -> dict[str, Any]:
    regimes = ["full", "adapter", "adapter-itt"]
    return {"name": name, "title": f"Title of {name}", "regimes": regimes, "tasks": TASKS, "reference": "full"} | values


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """Configs with a headline table, one by groups, one of pairs that has not run, one of sizes, and one claim."""
    folder = tmp_path / "configs"
    for name in ("tables", "claims", "reported", "regimes", "models"):
        (folder / name).mkdir(parents=True)
    for name in ("tasks", "recipes"):
        (folder / name).symlink_to(ROOT / "configs" / name)
    for name in ("languages.yaml", "sizes.yaml"):
        (folder / name).symlink_to(ROOT / "configs" / name)
    for name in ("full", "adapter"):
        (folder / "regimes" / f"{name}.yaml").write_text("see the project's\n", encoding="utf-8")
    tables = [table("table2"), table("table7", kind="groups")]
    tables.append(table("table4", kind="pairs", regimes=["full"], tasks=["xnli-pairs"]))
    tables.append(table("table1", kind="sizes", regimes=[]))
    for each in tables:
        (folder / "tables" / f"{each['name']}.yaml").write_text(yaml.safe_dump(each), encoding="utf-8")
    claim = {"name": "adapter-ten-tasks", "claim": f"Adapters help. {HOSTILE}", "command": "make table2"}
    claim |= {"source": {"paper": "somebody2024", "place": "Table 1", "confidence": "seen"}}
    claim |= {"contrasts": [{"first": "adapter", "second": "full"}], "cells": {"tasks": ["xnli"]}}
    (folder / "claims" / "adapter-ten-tasks.yaml").write_text(yaml.safe_dump(claim), encoding="utf-8")
    row = {
        "model": "e5-small",
        "regime": "full",
        "method": "their row",
        "task": "xnli",
        "metric": "accuracy",
        "seeds": 5,
    }
    row |= {"values": {"en": 80.1, "de": 40.0}, "std": {"en": 1.0, "de": 0.5}}
    group = {"table": "Table 9", "source": "the appendix", "confidence": "seen", "scale": "percent", "profile": "pilot"}
    group |= {"split": "test", "rows": [row]}
    paper = {
        "paper": "somebody2024",
        "citation": f"Somebody 2024, {HOSTILE}",
        "url": ["arXiv:1"],
        "rank": 1,
        "protocol": {"trained_on": ["mnli"], "epochs": "unstated", "checkpoint": "unstated"},
        "tables": [group],
    }
    (folder / "reported" / "somebody2024.yaml").write_text(yaml.safe_dump(paper), encoding="utf-8")
    return folder


def fill(folder: Any) -> None:
    """Two seeds of full fine-tuning and of adapters with a hostile title; intermediate training has not run."""
    folder.plan["tables"] = {
        "table2": {"regimes": ["full", "adapter", "adapter-itt"], "left_out": ["lora"]},
        "table7": {"regimes": ["full", "adapter"]},
        "table4": {"regimes": ["full"]},
    }
    folder.plan["recipes"] = {"mnli": {"title": HOSTILE, "family": "classification"}}
    for name, title in (("full", "Full fine-tuning"), ("adapter", HOSTILE), ("adapter-itt", "Adapter + MNLI")):
        folder.regime(name, title)
    for seed in (1, 2):
        for name, plus in (("full", 0.0), ("adapter", 2.0)):
            xnli = {code: value + plus + seed for code, value in XNLI.items()}
            path = folder.run(name, "mnli", seed, {"xnli": {"accuracy": xnli}}, no_data={"xnli": ["fr"]})
            stages = {"mnli": {"losses": [0.9, 0.4], "dev_scores": [55.0, 60.0 + seed], "best_epoch": 1, "steps": 10}}
            (path / "trained.json").write_text(json.dumps({"stages": stages}), encoding="utf-8")
            config = read_json(path / "config.json")
            config["regime"]["description"] = HOSTILE
            config["stages"][0]["train"] = run_configs.files(**{"mnli/train.jsonl": "a" * 64})
            config["evaluations"] = [
                run_configs.evaluation("xnli", {"en": run_configs.files(**{"xnli/en.tsv": "b" * 64})})
            ]
            (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
            qa = {"xquad": {"f1": {"en": 70.0 + seed, "de": 60.0}, "exact_match": {"en": 50.0, "de": 40.0}}}
            folder.run(name, "squad", seed, qa)
        folder.run("adapter-itt", "mnli", seed, None, tasks=["xnli"])
    failed = folder.root / "runs" / "adapter-itt" / "mnli" / "seed-1" / "failed.json"
    failed.write_text(json.dumps({"message": f"out of memory {HOSTILE}"}), encoding="utf-8")


def report(root: Path, configs: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return call("report", "--root", root, "--configs", configs, "--output", output, *more)


@pytest.fixture
def written(folders: Callable[..., Any], configs: Path, tmp_path: Path) -> tuple[str, Path]:
    """The page and its folder."""
    folder = folders()
    fill(folder)
    done = report(folder.root, configs, tmp_path / "report")
    assert done.returncode == 0, done.stderr
    return (tmp_path / "report" / "index.html").read_text(encoding="utf-8"), tmp_path / "report"


def within(page: Page, anchor: str) -> str:
    """All text below an element."""
    return " ".join(page.by_id[anchor])


def test_the_report(written: tuple[str, Path], folders: Callable[..., Any], configs: Path, tmp_path: Path) -> None:
    """One page, many looks: making it takes seconds."""
    text, folder = written
    page = Page(text)
    assert page.open == []
    structure(page, text)
    evidence(page)
    escaping(page, text)
    missing(page)
    verdicts(page)
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".svg", ".pdf"}
    assert (folder / "figures" / "learning-curves.pdf").exists()
    again = report(tmp_path / "root", configs, tmp_path / "again")
    assert again.returncode == 0, again.stderr
    files = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()}
    assert files == {
        p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*.*") if p.is_file()
    }


def structure(page: Page, text: str) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in ids
        if tag == "a":
            assert (attributes["href"] or "").startswith("#")
            assert (attributes["href"] or "")[1:] in ids
        assert tag not in {"img", "link", "iframe", "object", "embed"}
        assert not {"src", "srcset", "onclick"} & set(attributes)
        assert attributes.get("scope") in ("col", "row") if tag == "th" else True
    assert "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text
    count = {
        tag: sum(each == tag for each, _ in page.tags)
        for tag in ("table", "caption", "main", "h1", "nav", "header", "footer")
    }
    assert count["table"] == count["caption"]
    assert [count[tag] for tag in ("main", "h1", "nav", "header", "footer")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("class") == "chart"]
    assert len(charts) >= 4 and all(each["role"] == "img" and each["aria-labelledby"] for each in charts)


def evidence(page: Page) -> None:
    """What stands behind a cell is what the runs left: scores by language and seed, files, machine, command."""
    full = within(page, "cell-full-xnli")
    for code, name in (("en", "English"), ("de", "German"), ("sw", "Swahili")):
        seeds = " ".join(f"{XNLI[code] + seed:.1f}" for seed in (1, 2))
        assert f"{name} ({code}) 100 {seeds}" in full
    assert "make full PROFILE=pilot MODEL=e5-small 'SEEDS=1 2'" in full
    assert "runs/full/mnli/seed-2" in full and "1,000" in full and "1.0 GiB" in full
    assert "0.900 → 0.400" in full and "55.0 → 61.0" in full
    assert "French (fr)" in full
    f1 = within(page, "cell-adapter-xquad")
    assert "English (en) 100 71.0 72.0 71.5 ± 0.7" in f1 and "English (en) 100 50.0 50.0 50.0 ± 0.0" in f1
    assert "0123456789abcdef" in within(page, "E1")
    assert "mnli/train.jsonl " + "a" * 64 in within(page, "D1") and "b" * 64 in within(page, "D2")
    assert "runs/adapter/mnli/seed-1" in within(page, "regime-adapter")


def escaping(page: Page, text: str) -> None:
    """Titles, descriptions, messages and citations with markup stay text, and templates do not run in them."""
    assert "<script>alert" not in text
    shown = {data for _, data in page.text}
    assert HOSTILE in shown
    assert sum(tag == "script" for tag, _ in page.tags) == 1 and sum(tag == "title" for tag, _ in page.tags) >= 1
    assert "49" not in within(page, "regime-adapter")


def missing(page: Page) -> None:
    found = within(page, "missing")
    assert "2 of 2 runs have not finished" in found and f"out of memory {HOSTILE}" in found
    assert "make table2 PROFILE=pilot MODEL=e5-small 'SEEDS=1 2'" in found  # no goal of its own
    assert "Title of table4 no run behind it has finished make table4" in found
    assert "Title of table1 it counts data files" in found
    assert "no data: French (fr)" in found and "Rows of table2: lora" in found
    assert "Tatoeba no data" in found
    assert "Open:" in within(page, "answer")
    assert "decide nothing between rows of which one has fewer than 3 seeds (fewest: 2)" in within(page, "answer")


def verdicts(page: Page) -> None:
    """81.5 against a reported 80.1 ± 1.0 is within two samples' spread, 72.0 against 40.0 ± 0.5 is not."""
    full = within(page, "cell-full-xnli")
    assert re.search(r"English \(en\) 100 81\.0 82\.0 81\.5 ± 0\.7 80\.1 S1 ✓ reproduced", full)
    assert re.search(r"German \(de\) 100 71\.5 72\.5 72\.0 ± 0\.7 40\.0 S1 ▲ higher", full)
    assert "Table 9" in within(page, "S1") and "the appendix (seen)" in within(page, "S1")


def test_unusable_input_gives_one_line_and_status_2(tmp_path: Path, configs: Path, folders: Callable[..., Any]) -> None:
    done = report(tmp_path / "nothing", configs, tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "run make plan first" in done.stderr
    folder = folders()
    fill(folder)
    (folder.root / "runs" / "full" / "mnli" / "seed-1" / "trained.json").write_text("{", encoding="utf-8")
    done = report(folder.root, configs, tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "trained.json" in done.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_finished_is_a_report_too(tmp_path: Path, configs: Path, folders: Callable[..., Any]) -> None:
    folder = folders()
    folder.plan["tables"] = {"table2": {"regimes": ["full"]}}
    folder.regime("full", "Full fine-tuning")
    folder.run("full", "mnli", 1, None, tasks=["xnli"])
    done = report(folder.root, configs, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    page = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    assert "1 of 1 runs have not finished" in within(page, "missing")
    assert "not run" in within(page, "cell-full-xnli")
    assert not (tmp_path / "out" / "figures").exists()


def test_anchors_differ_and_are_safe() -> None:
    anchors = Anchors()
    made = [anchors.new("cell", name) for name in ("a b", "a-b", '"><x', "a-b")]
    assert made == ["cell-a-b", "cell-a-b-2", "cell-x", "cell-a-b-3"]
    assert anchors.new("中") == "part"


def test_equal_contents_share_a_label() -> None:
    register = Register("E")
    assert [register.label([("a", value)]) for value in ("1", "2", "1")] == ["E1", "E2", "E1"]
    assert register.listed() == [("E1", [("a", "1")]), ("E2", [("a", "2")])]


def themes() -> Iterator[tuple[str, dict[str, str]]]:
    """The colours of the light and of the dark theme of the style sheet."""
    blocks = re.findall(r":root[^{]*\{([^}]*--d0[^}]*)\}", (TEMPLATES / "style.css").read_text(encoding="utf-8"))
    assert len(blocks) == 3 and blocks[1].split() == blocks[2].split()  # as the system says, and as chosen
    for name, block in zip(("light", "dark"), blocks, strict=False):
        yield name, dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "colours"), list(themes()), ids=lambda value: value if isinstance(value, str) else "")
def test_text_can_be_read(name: str, colours: dict[str, str]) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for the marks of charts."""
    dark = "#0c1115"
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert f".q6, .d1, .d7 {{ color: {dark}; }}" in style
    low = ["q0", "q1", "q2", "q3", "q4", "q5", "d2", "d3", "d4", "d5", "d6"]
    pairs = [(colours[each], colours["low-ink"]) for each in low]
    pairs += [(colours[each], colours["high-ink"]) for each in ("q7", "q8", "d0", "d8")]
    pairs += [(colours[each], dark) for each in ("q6", "d1", "d7")]
    pairs += [(colours[f"{each}-bg"], colours[each]) for each in ("good", "bad", "warn", "dim")]
    pairs += [
        (colours[ground], colours[ink]) for ground in ("paper", "surface", "soft") for ink in ("ink", "muted", "accent")
    ]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []
    assert [key for key in (f"k{n}" for n in range(7)) if contrast(colours[key], colours["surface"]) < 3] == []


def test_every_verdict_has_a_sign_and_a_colour() -> None:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert all(f".badge.v-{status.replace(' ', '-')}" in style for status in MARKS)
