"""docs/extending.md, carried out block by block on a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.conftest import ROOT, write_mini_configs

from xlt.config.benchmark import Model, Task, load
from xlt.files import read_json
from xlt.results.formatting import header
from xlt.results.run_folders import load_plan, load_regime

BLOCK = re.compile(r"(?:^`([\w./-]+)`\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIFFERENT, SAME = "a bird in the hand,the big house,different", "the cat sat on the mat,a cat sat on a mat,same"

SENTENCES = [
    "Rais O\nUhuru B-PER\nKenyatta I-PER\nJumatatu B-DATE\niliyopita I-DATE\n. O\n",
    "Mkutano O\nNairobiB-LOC\n. O\n",
    *["Shule O\nza O\nKenya B-LOC\n. O\n"] * 118,
]
MASAKHANER = "\n".join(SENTENCES)
"""As MasakhaNER is released: a word, a space and a tag a line, a blank line after a sentence, and one bad line."""


def blocks() -> Iterator[tuple[str, str, str]]:
    """(file, kind of block, text) of every code block of the page; a block without a file goes on with the last one."""
    path = ""
    for named, kind, text in BLOCK.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")):
        path = named or path
        yield path, kind, text


def change(path: Path, text: str) -> None:
    """Put the ``+`` lines in the place of the ``-`` lines."""
    lines = text.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line.startswith("-"))
    new = "".join(line[1:] for line in lines if line.startswith("+"))
    assert len(lines) == old.count("\n") + new.count("\n"), "a line with neither sign"
    before = path.read_text(encoding="utf-8")
    assert before.count(old) == 1, f"{path}: the page changes lines that are not there once: {old!r}"
    path.write_text(before.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, mini_data: Path) -> Path:
    """A copy of the project with everything on the page in it, a data folder with the new task, and the profile mini."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("src", "reproduce"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    write_mini_configs(folder / "configs")
    kinds = set()
    for path, kind, text in blocks():
        kinds.add(kind)
        if kind == "diff":
            change(folder / path, text)
        else:
            assert not (folder / path).exists(), path
            (folder / path).write_text(text, encoding="utf-8")
    assert kinds == {"yaml", "python", "diff"}
    shutil.copytree(mini_data, folder / "data")
    (folder / "data" / "proverbs").mkdir()
    for name, count in (("train", 6), ("dev", 2), ("en", 3), ("qaa", 2)):
        rows = ["first,second,meaning", *([DIFFERENT, SAME] * count)]
        (folder / "data" / "proverbs" / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "data" / "my-nli").mkdir()
    for name, labels in (("en", ("neutral", "entailment")), ("qaa", ("contradiction",))):
        rows = [f"the cat sat\ta cat sat\t{label}\n" for label in labels]
        (folder / "data" / "my-nli" / f"{name}.tsv").write_text("".join(rows), encoding="utf-8")
    (folder / "data" / "masakhaner2" / "swa").mkdir(parents=True)
    (folder / "data" / "masakhaner2" / "swa" / "test.txt").write_text(MASAKHANER, encoding="utf-8")
    return folder


def call(project: Path, script: str, *given: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the copy; its own package is the one that is imported."""
    command = [sys.executable, str(project / "reproduce" / f"{script}.py"), *given]
    environment = {"PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=project)


@pytest.fixture(scope="module")
def root(project: Path, mini_encoder: Path) -> Path:
    """The plan of the extended project."""
    folders = ["--configs", str(project / "configs"), "--data", str(project / "data"), "--root", str(project / "out")]
    done = call(project, "plan", "--profile", "mini", *folders, "--model", str(mini_encoder))
    assert done.returncode == 0, done.stderr
    return project / "out"


def test_the_new_regimes_recipe_and_task_are_planned(root: Path) -> None:
    regimes = read_json(root / "plan.json")["regimes"]
    assert {"adapter-wide", "bitfit"} <= set(regimes)
    tasks = {run["recipe"]: run["tasks"] for run in regimes["bitfit"]["runs"]}
    assert "xnli" in tasks["mnli"]
    assert "tatoeba" in tasks["lareqa"]
    assert {run["dir"] for run in regimes["adapter-wide"]["runs"]} >= {"runs/adapter-wide/udpos/seed-1"}


def test_a_task_is_one_file(project: Path, root: Path, mini_encoder: Path) -> None:
    assert [path for path, _, text in blocks() if "my-nli" in path + text] == ["configs/tasks/my-nli.yaml"]
    folder = root / "runs" / "bitfit" / "mnli" / "seed-1"
    given = [str(folder), "--data", str(project / "data"), "--encoder", str(mini_encoder), "--threads", "1"]
    done = call(project, "run", *given)
    assert done.returncode == 0, done.stderr
    task = read_json(folder / "scores.json")["tasks"]["my-nli"]
    assert task["n"] == {"en": 2, "qaa": 1}
    lines = (folder / "labels" / "my-nli" / "test-en.tsv").read_text(encoding="utf-8")
    assert lines == "neutral\nentailment\n"
    right = (folder / "predictions" / "my-nli" / "test-en.tsv").read_text(encoding="utf-8").split()
    hits = sum(given == gold for given, gold in zip(right, lines.split(), strict=True))
    assert task["metrics"] == {"accuracy": {"en": hits * 50, "qaa": task["metrics"]["accuracy"]["qaa"]}}


def test_a_set_with_other_labels_is_one_file(project: Path, root: Path, mini_encoder: Path) -> None:
    assert [path for path, _, text in blocks() if "masakhaner" in path + text] == ["configs/tasks/masakhaner.yaml"]
    folder = root / "runs" / "bitfit" / "panx" / "seed-1"
    given = [str(folder), "--data", str(project / "data"), "--encoder", str(mini_encoder), "--threads", "1"]
    done = call(project, "run", *given)
    assert done.returncode == 0, done.stderr
    assert read_json(folder / "scores.json")["tasks"]["masakhaner"]["n"]["qaa"] == 4  # the cap of the profile
    gold = (folder / "labels" / "masakhaner" / "test-qaa.tsv").read_text(encoding="utf-8").split("\n\n")
    assert gold[0].split() == ["O", "B-PER", "I-PER", "O", "O", "O"]  # the two of the date are O
    assert gold[1].split() == ["O", "B-LOC", "O"]
    repaired = "missing labels, repaired: 1 (test.txt line 9)"
    assert read_json(folder / "provenance.json")["faults"] == {"masakhaner": [repaired]}
    plan = load_plan(root)
    tasks = {"masakhaner": load(Task, project / "configs" / "tasks" / "masakhaner.yaml")}
    said = dict(header(plan, [load_regime(root, plan, "bitfit")], [], tasks))["Data"]
    mapped = "labels of its files that are read as others: B-DATE as O, I-DATE as O"
    assert all(f"MasakhaNER, Swahili: {note}" in said for note in (mapped, repaired))


def test_the_new_task_trains_and_is_scored_with_the_new_axis_value(
    project: Path, root: Path, mini_encoder: Path
) -> None:
    folder = root / "runs" / "bitfit" / "proverbs" / "seed-1"
    given = [str(folder), "--data", str(project / "data"), "--encoder", str(mini_encoder), "--threads", "1"]
    done = call(project, "run", *given)
    assert done.returncode == 0, done.stderr
    task = read_json(folder / "scores.json")["tasks"]["proverbs"]
    assert task["n"] == {"en": 4, "qaa": 4}  # the cap of the profile
    assert set(task["metrics"]) == {"accuracy"}
    trained = load_file(folder / "weights.safetensors")
    encoder = [name for name in trained if name.startswith("encoder.")]
    assert encoder
    assert all(name.endswith("bias") for name in encoder)
    assert len(read_json(folder / "trained.json")["stages"]["proverbs"]["unfrozen"]) == 2


def test_the_new_reader_refuses_what_it_does_not_know(project: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(f"first,second,meaning\n{SAME}\n{DIFFERENT}ly\n", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from xlt.data.readers import READERS; from xlt.errors import exit_status\n"
        f"sys.exit(exit_status(lambda: READERS['proverbs-csv'](Path({str(path)!r}), 'en', ['different', 'same'])))"
    )
    environment = {"PYTHONPATH": str(project / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}:3: expected ")
    assert "differently" in done.stderr


def test_the_new_model_loads(project: Path) -> None:
    assert load(Model, project / "configs" / "models" / "my-encoder.yaml").pooling == "mean"
