"""The Makefile refuses what it cannot carry in one line, and removes only what this project made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xlt.folders import OWN, make_own

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str, folder: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "XLT_"))}
    command = ["make", "-f", str(ROOT / "Makefile"), *arguments, f"XLT_PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=folder, env={**kept, **more}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("OUT=/content/drive/My Drive/xlt", "OUT: expected no spaces in it, got '/content/drive/My Drive/xlt'"),
        ("OUT=out é", "OUT: expected no spaces in it, got 'out é'"),
        ("DATA=it's", "DATA: expected no ' in it"),
        ('CACHE=a"b', 'CACHE: expected no " in it'),
        ("MODEL=a$(shell touch broken)b", "MODEL: expected no $ in it"),
        ("OUT=a;b", "OUT: expected no ; in it"),
        ("OUT=a#b", "OUT: expected no # in it"),
        ("OUT=a\\b", "OUT: expected no \\ in it"),
        ("OUT=a%b", "OUT: expected no % in it"),
        ("BASE_PYTHON=/opt/my python", "BASE_PYTHON: expected no spaces in it"),
        ("GPU=a 100", "GPU: expected no spaces in it"),
        ("SEED=1 2", "SEED: expected no spaces in it"),
        ("COUNT=$(shell touch broken)", "COUNT: expected no $ in it"),
        ("OUT=-rf", "OUT: expected no - before it"),
        ("OUT=", "OUT: expected a name, got ''"),
        ("PROFILE=../..", "PROFILE: expected one of paper pilot study tiny"),
        ("PRECISION=half", "PRECISION: expected one of auto float32 bfloat16, got 'half'"),
        ("THREADS=0", "THREADS: expected a whole number above 0"),
        ("THREADS=", "THREADS: expected a whole number above 0"),
        ("JOBS=-1", "JOBS: expected a whole number above 0"),
        ("JOBS=1000", "JOBS: expected a whole number above 0 of fewer than 4 digits, got '1000'"),
        ("PROCESSES=two", "PROCESSES: expected a whole number above 0"),
        ("PER_GPU=1.5", "PER_GPU: expected a whole number above 0"),
        ("CHECKPOINT=00", "CHECKPOINT: expected a whole number above 0"),
        ("SEEDS=one", "SEEDS: expected whole numbers such as 1 2 3"),
        ("ROWS=some", "ROWS: expected all or nothing, got 'some'"),
    ],
)
def test_what_cannot_be_carried_is_one_line(given: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = make("clean-all", given, folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert expected in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


def test_the_environment_is_no_way_round(tmp_path: Path) -> None:
    done = make("help", XLT_CACHE="$(shell touch broken)", PER_GPU="")
    assert done.returncode == 2 and "XLT_CACHE: expected no $ in it" in done.stderr and not (ROOT / "broken").exists()


def test_what_can_be_carried_is(tmp_path: Path) -> None:
    done = make("help", f"OUT={tmp_path}/été+1,2@x", "SEEDS=1, 2", "THREADS=999", "ROWS=all", "JOBS=10")
    assert done.returncode == 0 and f"OUT={tmp_path}/été+1,2@x JOBS=10 THREADS=999" in done.stdout


def test_help_begins_with_five_lines_and_has_every_target_once_under_a_heading(tmp_path: Path) -> None:
    text = make("help").stdout
    first, *others = text.partition("\n\n")[2].split("\n\n")
    assert first.splitlines()[0] == "start here"
    assert [line.split()[0] for line in first.splitlines()[1:]] == ["smoke", "test", "plan", "table2", "report"]
    headings = [block.splitlines()[0] for block in others[:-1]]
    assert headings == ["results", "data and encoders", "records", "packing and cleaning", "developers"]
    shown = [line.split()[0] for block in (first, *others[:-1]) for line in block.splitlines()[1:]]
    targets = set(re.search(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split())
    assert sorted(shown) == sorted((targets - {"help", "carry", "FORCE"}) | {"table2", "TABLE", "REGIME"})


def test_a_wrong_goal_is_told_the_nearest(tmp_path: Path) -> None:
    for given, nearest in (("verify-dta", "verify-data, verify,"), ("fulll", "full, full-longer,"), ("xyz", "table1,")):
        done = make(given)
        assert (
            done.returncode == 2 and f"goal: expected one of {nearest}" in done.stderr and done.stderr.count("\n") == 1
        )
    assert "expected no ; in it" in make("a;b").stderr


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("regimes/test.yaml", "'test' is a target of make"),
        ("tables/verify-data.yaml", "'verify-data' is a target of make"),
        ("regimes/table2.yaml", "'table2' is a table and a regime"),
        ("regimes/my own.yaml", "expected names without spaces"),
        ("regimes/a%b.yaml", "expected names of letters, digits, . _ and -, got 'a%b'"),
    ],
)
def test_a_name_that_is_taken_is_one_line(tmp_path: Path, file: str, expected: str) -> None:
    for folder in ("profiles", "tables", "regimes"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
    for name in ("profiles/tiny.yaml", "tables/table2.yaml", "regimes/.#full.yaml", file):
        (tmp_path / "configs" / name).write_text("model: babel\n", encoding="utf-8")
    done = make("-n", "test", folder=tmp_path)
    assert done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1


def test_clean_removes_what_make_made_and_nothing_else(tmp_path: Path) -> None:
    root, neighbour = tmp_path / "out" / "tiny" / "babel", tmp_path / "out" / "tiny" / "data"
    make_own(root)
    neighbour.mkdir()
    assert make("clean", f"OUT={tmp_path}/out").returncode == 0
    assert not root.exists() and neighbour.exists()
    assert make("clean", f"OUT={tmp_path}/out").returncode == 0  # nothing there: no error
    done = make("clean-all", f"OUT={tmp_path}/out")
    assert done.returncode == 2 and neighbour.exists()
    assert f"error: {tmp_path}/out: expected a folder that xlt made (it has no {OWN})" in done.stderr


def test_a_folder_of_the_users_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    make_own(tmp_path)
    assert not (tmp_path / OWN).exists()


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    make_own(tmp_path / "elsewhere")
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    (tmp_path / "out" / "tiny" / "babel").symlink_to(tmp_path / "elsewhere")
    done = make("clean", f"OUT={tmp_path}/out")
    assert done.returncode == 2 and "expected a folder below" in done.stderr and (tmp_path / "elsewhere").exists()


def test_the_encoder_is_asked_for_at_every_call(tmp_path: Path) -> None:
    """That its folder is there says nothing: the folder that MODEL names may hold another encoder by now."""
    for name in (OWN, "cache/mbert/prepared.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    done = make("-n", "encoder", "MODEL=mbert", f"OUT={tmp_path}")
    assert f"reproduce/prepare_model.py --model mbert --cache {tmp_path}/cache" in done.stdout
