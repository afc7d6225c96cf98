"""REPRODUCE.md and README.md: up to date, and nothing in them that is not there (test_commands.py runs their commands)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import docs
import pytest
import yaml
from tests.commands import PAGES, commands
from tests.conftest import ROOT

from xlt.config.benchmark import Task, load, load_all
from xlt.config.run_config import FileSet
from xlt.errors import InputError
from xlt.planning import paper_plan as published
from xlt.planning import reproduce_page as guide
from xlt.planning import throughput as speed
from xlt.planning.recorded import Recorded, asked, key
from xlt.results.claims import Claim

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)\)")
NO_PATHS = re.compile(r"[<>{}*… ]|^out/|^tables/|^\.venv")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


MAKE = sorted({command for page in PAGES for command in commands(page) if command.startswith("make ")})


def test_the_pages_are_what_the_configs_and_recorded_runs_say() -> None:
    for page, text in docs.pages(ROOT).items():
        assert text_of(page) == text, f"{page} is stale: run make docs"


def test_every_claim_is_in_it() -> None:
    text = text_of("REPRODUCE.md")
    for claim in load_all(Claim, ROOT / "configs" / "claims").values():
        assert claim.claim in text
        assert (claim.not_covered or f"`{claim.command}`") in text


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_link_exists(page: str) -> None:
    text = text_of(page)
    named = {name for name in CODE.findall(text) if "/" in name and not NO_PATHS.search(name)}
    named |= {name for name in LINK.findall(text) if "://" not in name}
    assert len(named) >= 10
    assert [name for name in sorted(named) if not (ROOT / name.rstrip("/")).exists()] == []


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return kept | {"XLT_PYTHON": sys.executable}


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """Every target that the Makefile has, as make itself lists them."""
    done = subprocess.run(
        ["make", "-pRrq", "help"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    return {line.split(":")[0] for line in done.stdout.splitlines() if re.match(r"[a-z][\w-]*:", line)}


@pytest.mark.parametrize("command", MAKE)
def test_every_make_command_names_targets_and_variables_that_exist(command: str, targets: set[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = [word for word in command.split()[1:] if word not in ("-n", "-s")]
    goals = [word for word in words if "=" not in word]
    assert goals and set(goals) <= targets
    for name, value in (word.split("=", 1) for word in words if "=" in word):
        assert re.search(rf"\$\((if \$\()?{name}\b|^{name} ", makefile, re.MULTILINE), name
        if name in ("PROFILE", "MODEL"):
            folder = ROOT / "configs" / f"{name.lower()}s"
            assert value == "path/to/it" or (folder / f"{value}.yaml").exists()
        if name == "TABLE":
            assert (ROOT / "configs" / "tables" / f"{value}.yaml").exists()
        if name == "GPU":
            assert speed.load_gpu(value, ROOT / "configs" / "gpus.yaml").peak > 0


def test_every_other_command_names_a_script_and_options_that_exist() -> None:
    others = sorted({c for page in PAGES for c in commands(page) if not c.startswith("make ")})
    docker = [command for command in others if command.startswith("docker ")]
    assert {"docker build -t xlt .", "docker run xlt make smoke", "docker run --gpus all xlt make table2"} <= set(
        docker
    )
    assert (ROOT / "Dockerfile").exists()
    scripts = [command.split() for command in others if command not in docker]
    assert scripts
    for python, script, *options in scripts:
        assert python == ".venv/bin/python"
        done = subprocess.run(
            [sys.executable, script, "--help"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
        )
        assert [o for o in options if o.startswith("--") and o not in done.stdout] == []


def test_a_template_and_its_fields_must_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "templates" / "REPRODUCE.md").write_text("{{claims}} {{nothing}}\n")
    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match=r"fields claims, other; at odds: nothing, other"),
    ):
        patch.setattr(guide, "fields", lambda configs: {"claims": "c", "other": "o"})
        guide.page(tmp_path)
    path = tmp_path / "configs" / "claims" / "robust-da.yaml"
    path.write_text(path.read_text().replace("make table3", "make everything"))
    with pytest.raises(InputError, match="expected make <table>, or the same with ROWS=all, got make everything"):
        guide.page(tmp_path)


def test_published_sizes_stand_in_for_files() -> None:
    configs = ROOT / "configs"
    gpu = speed.load_gpu("a100", configs / "gpus.yaml")
    found = published.gpu_hours(configs, "xlmr-base", gpu, [("table3", False)])["table3", False]
    assert len(found.runs) == 15 * 2 * 5  # regimes x recipes (MNLI, PAWS-X) x seeds
    # Full fine-tuning on PAWS-X alone: 49,401 pairs of 63.1 sub-words, three epochs at least, three passes, five seeds.
    least = 5 * 3 * 3 * 49401 * 63.1 * 2 * 12 * 12 * 768**2 / (speed.SHARE_OF_PEAK * gpu.peak) / 3600
    assert least < found.left / 3600 < 1000 * least
    assert found.disk == pytest.approx(
        4 * 278e6 * 14 * 5, rel=0.05
    )  # full, longer, ADV, RS-RP, RS-DA, switched and translated on two recipes each


def test_recorded_claims_are_claims() -> None:
    recorded = load(Recorded, ROOT / "configs" / "recorded.yaml")
    claims = load_all(Claim, ROOT / "configs" / "claims")
    assert set(recorded.claims) <= {name for name, claim in claims.items() if claim.not_covered is None}
    effects = [found.effect for found in recorded.claims.values() if found.effect is not None]
    assert all(effect.low <= effect.found <= effect.high for effect in effects)
    assert set(recorded.tiny) <= {key(table, every) for table, every in asked(claims)}


def test_citation_has_what_cff_asks_for() -> None:
    # Required by the Citation File Format 1.2.0; cffconvert --validate checks the same against its schema.
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"authors", "cff-version", "message", "title"} <= set(cff)
    assert cff["cff-version"] == "1.2.0"
    listed = [cff["preferred-citation"], *cff["references"]]
    for work in listed:
        assert {"type", "title", "authors"} <= set(work), work.get("title")
        assert all("name" in author or {"family-names", "given-names"} <= set(author) for author in work["authors"])
        assert set(work.get("conference", {"name": ""})) == {"name"}
        assert re.match(
            r"https://(arxiv\.org/abs/\d{4}\.\d{5}|aclanthology\.org/)", work.get("url", "https://aclanthology.org/")
        )
    assert all(1990 < work["year"] < 2030 for work in cff["references"])
    titles = [work["title"] for work in cff["references"]]
    assert len(set(titles)) == len(titles) >= 12


def test_the_papers_of_every_claim_are_cited() -> None:
    titles = " ".join(work["title"] for work in yaml.safe_load(text_of("CITATION.cff"))["references"])
    for claim in load_all(Claim, ROOT / "configs" / "claims").values():
        paper = yaml.safe_load(
            (ROOT / "configs" / "reported" / f"{claim.source.paper}.yaml").read_text(encoding="utf-8")
        )
        assert re.split(r" \d{4}, |, (Findings|EMNLP|AACL|NAACL|ACL|arXiv)", paper["citation"])[2] in titles


def test_a_family_without_a_length_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    path = tmp_path / "configs" / "planning.yaml"
    rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(row for row in rows if not row.startswith(("  panx: {", "  tagging:"))), encoding="utf-8")
    extents = published.PublishedExtents(tmp_path / "configs")
    files = FileSet(format="wikiann", files=["x"], sha256={})
    with pytest.raises(InputError, match=r"planning.yaml: lengths: expected an entry for panx or its family tagging"):
        extents.test(files, load(Task, ROOT / "configs/tasks/panx.yaml"), "sw", None)
    path.write_text(re.sub("candidates:", "candidate:", path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match="sizes: expected the keys candidates"):
        published.PublishedExtents(tmp_path / "configs")
