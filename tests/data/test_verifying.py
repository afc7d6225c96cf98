"""make verify-data on the generated world and on folders that are wrong in one way each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import call

from xlt.config.benchmark import Profile, Recipe, Task, load, load_all
from xlt.data.download.data_folder import DataFolder
from xlt.data.download.lockfile import Lock
from xlt.data.verify import Split, Verified, verify_files, verify_splits
from xlt.data.verify_report import as_markdown, last_line
from xlt.errors import InputError
from xlt.languages import register

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
WORLD = ("en", "qaa", "qag")


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Verified]:
    """A function that verifies a folder for some tasks and training sets of the paper profile."""

    def function(data: Path, *names: str, sizes: dict[str, Any] | None = None, world: Any = None) -> Verified:
        tasks = {name: task for name, task in load_all(Task, CONFIGS / "tasks").items() if name in names}
        recipes = {name: recipe for name, recipe in load_all(Recipe, CONFIGS / "recipes").items() if name in names}
        profile = load(Profile, CONFIGS / "profiles" / "paper.yaml")
        splits = verify_splits(data, profile, tasks, recipes, sizes or {}, world)
        files, problems = verify_files(data, [], Lock(tmp_path / "data.lock.yaml"))
        return Verified(files, splits, problems)

    return function


def one(result: Verified, name: str, split: str, language: str) -> Any:
    return next(s for s in result.splits if (s.set, s.split, s.language) == (name, split, language))


def test_the_world_is_right(mini_data: Path, check: Callable[..., Verified]) -> None:
    register(mini_data / "languages.yaml")
    sizes = {"xnli": {"dev": 9, "test": {"qaa": 9}}, "training mnli": {"train": 18}}
    result = check(mini_data, "xnli", "mnli", "lareqa", "tatoeba", sizes=sizes, world=WORLD)
    assert result.status == 0 and result.problems == []
    split = one(result, "xnli", "test", "qaa")
    assert (split.examples, split.published, split.verdict) == (9, 9, "as published")
    assert sum(split.labels.values()) == 9 and set(split.labels) <= {"contradiction", "entailment", "neutral"}
    assert one(result, "xnli", "test", "qag").verdict == "present"  # nothing published to compare with
    assert one(result, "xnli", "test", "en").overlap == 0
    assert one(result, "lareqa sentences", "test", "en").examples > 0
    text = as_markdown(result, mini_data)
    assert text.startswith(f"# Data in {mini_data}: everything is there and right") and "| xnli" in text


@pytest.fixture
def nli(tmp_path: Path, write: Callable[[Path, str], Path]) -> Path:
    """XNLI in English and MultiNLI with one pair in common."""
    header = "language\tgold_label\tsentence1\tsentence2\tpairID\n"
    for split in ("dev", "test"):
        rows = "".join(f"{code}\tneutral\tA man sat.\tHe sat.\t1\n" for code in load_languages())
        rows += "en\tentailment\tA dog ran.\tIt ran.\t2\n"
        write(tmp_path / f"data/XNLI-1.0/xnli.{split}.tsv", header + rows)
    pair = {"gold_label": "entailment", "sentence1": "A dog ran.", "sentence2": "It ran.", "pairID": "x"}
    for split in ("train", "dev_matched"):
        write(tmp_path / f"data/multinli_1.0/multinli_1.0_{split}.jsonl", json.dumps(pair) + "\n")
    return tmp_path / "data"


def load_languages() -> list[str]:
    return load(Task, CONFIGS / "tasks" / "xnli.yaml").languages["xtreme-r"]


def test_overlap_sizes_and_labels(nli: Path, check: Callable[..., Verified]) -> None:
    result = check(nli, "xnli", "mnli", sizes={"xnli": {"test": 2}})
    english = one(result, "xnli", "test", "en")
    assert (english.examples, english.overlap, english.labels) == (2, 1, {"entailment": 1, "neutral": 1})
    assert english.notes == ["no example of contradiction"] and english.verdict == "as published"
    german = one(result, "xnli", "test", "de")
    assert german.not_as_published and german.verdict == "wrong" and result.status == 1
    assert (
        f"\n- xnli: {len(load_languages()) - 1} of {len(load_languages())}: test ar 1 for 2, test bg 1 for 2, "
        in as_markdown(result, nli)
    )


def test_what_spells_a_special_token_is_counted(nli: Path, check: Callable[..., Verified]) -> None:
    path = nli / "XNLI-1.0/xnli.test.tsv"
    rows = ["Tags: <mask> </s>\tSo.\t3\n", "So.\t[SEP]\t4\n", "<S> [sep]\tSo.\t5\n"]
    path.write_text(path.read_text() + "".join(f"en\tneutral\t{row}" for row in rows))
    notes = one(check(nli, "xnli"), "xnli", "test", "en").notes
    assert "2 examples spell a special token such as </s> or [SEP], which is read as text" in notes


def test_bad_examples_and_empty_sentences_are_counted(
    nli: Path, check: Callable[..., Verified], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nli / "XNLI-1.0/xnli.test.tsv"
    path.write_text(path.read_text() + "en\tneutral\t \tSo.\t3\n" + "en\tso\tSo.\tSo.\t4\n")
    assert "got 'so'" in one(check(nli, "xnli"), "xnli", "test", "en").unreadable
    task = load(Task, CONFIGS / "tasks" / "xnli.yaml")
    sources = {"test": [task.sources["test"][0].model_copy(update={"on_error": "drop"})]}
    monkeypatch.setattr("xlt.data.readers.faults.MOST", 0.5)
    profile = load(Profile, CONFIGS / "profiles" / "paper.yaml")
    splits = verify_splits(nli, profile, {"xnli": task.model_copy(update={"sources": sources})}, {}, {})
    notes = next(split.notes for split in splits if split.language == "en")
    assert "pairs with an empty sentence, left out: 1 (xnli.test.tsv line 18)" in notes
    assert "unknown labels, dropped: 1 (xnli.test.tsv line 19)" in notes


def test_missing_is_another_status_than_wrong(nli: Path, check: Callable[..., Verified]) -> None:
    assert check(nli, "xnli", "mnli").status == 0
    (nli / "multinli_1.0/multinli_1.0_train.jsonl").unlink()
    result = check(nli, "xnli", "mnli")
    assert result.status == 2 and one(result, "training mnli", "train", "en").verdict == "missing"


def test_ids_twice_and_unknown_labels(nli: Path, check: Callable[..., Verified]) -> None:
    path = nli / "XNLI-1.0/xnli.test.tsv"
    path.write_text(path.read_text() + "en\tneutral\tX.\tY.\t2\n")
    result = check(nli, "xnli")
    assert one(result, "xnli", "test", "en").problems == ["1 ids occur more than once"]
    path.write_text(path.read_text() + "en\tperhaps\tX.\tY.\t9\n")
    problem = one(check(nli, "xnli"), "xnli", "test", "en").unreadable
    assert problem.startswith(f"{path}:19: expected") and "perhaps" in problem


def test_changed_gone_and_unfinished_files(nli: Path, check: Callable[..., Verified], tmp_path: Path) -> None:
    folder = DataFolder(nli)
    with folder.exclusively():
        staged = folder.incoming / "x"
        shutil.copyfile(nli / "XNLI-1.0/xnli.test.tsv", staged)
        folder.place({"XNLI-1.0/xnli.test.tsv": staged}, "the test")
    assert {file.path: file.verdict for file in check(nli).files} == {
        "XNLI-1.0/xnli.dev.tsv": "unknown",
        "XNLI-1.0/xnli.test.tsv": "recorded",
        "multinli_1.0/multinli_1.0_dev_matched.jsonl": "unknown",
        "multinli_1.0/multinli_1.0_train.jsonl": "unknown",
    }
    with (nli / "XNLI-1.0/xnli.test.tsv").open("a") as handle:
        handle.write(" ")
    result = check(nli)
    changed = next(file for file in result.files if file.verdict == "changed")
    assert result.status == 1 and changed.expected != changed.sha256
    assert f"expected sha256 {changed.expected}, got {changed.sha256}" in as_markdown(result, nli)
    with pytest.raises(InputError, match="as recorded when it came"):
        folder.check("XNLI-1.0/xnli.test.tsv")
    (nli / "XNLI-1.0/xnli.test.tsv").unlink()
    assert check(nli).problems == ["XNLI-1.0/xnli.test.tsv: came by make data and is gone; run make data again"]
    record = json.loads((nli / ".xlt/files.json").read_text())
    (nli / ".xlt/files.json").write_text(json.dumps({**record, "files": {}, "unfinished": ["ud/x"]}))
    assert check(nli).problems == ["ud/x: an interrupted download; run make data again"]


def test_mewslix_is_checked_against_its_candidates(
    mini_data: Path, check: Callable[..., Verified], tmp_path: Path
) -> None:
    register(mini_data / "languages.yaml")
    assert check(mini_data, "mewslix", world=WORLD).status == 0
    data = Path(shutil.copytree(mini_data, tmp_path / "copy"))
    path = data / "mewsli_x/candidate_set_entities.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[-1:]))
    problems = [problem for split in check(data, "mewslix", world=WORLD).splits for problem in split.problems]
    assert problems and all("have an entity that is not among the candidates" in problem for problem in problems)
    path.write_text("".join([*rows, rows[0]]))
    tests = [split for split in check(data, "mewslix", world=WORLD).splits if split.split == "test"]
    assert tests and all("expected each entity once" in str(split.unreadable) for split in tests)


def test_what_weighs_most_stands_first(nli: Path, check: Callable[..., Verified]) -> None:
    """A file that cannot be read is not hidden behind sizes, and said once for all languages."""
    result = check(nli, "mnli", sizes={"training mnli": {"train": 3}})
    broken = f"{nli}/z.json:1: expected JSON"
    result.splits += [Split("xquad", "test", code, 0, 1190, unreadable=broken) for code in ("ar", "de", "el", "en")]
    result.splits.append(Split("pawsx", "test", "de", 2, 2, problems=["1 ids occur more than once"]))
    result.problems.append("ud/x: an interrupted download; run make data again")
    unreadable = f"xquad, test, ar de el and 1 more: {broken}"
    lines = [line for line in as_markdown(result, nli).splitlines() if line.startswith(("##", "- "))]
    assert lines[:7] == [
        "## Wrong files",
        f"- {unreadable}",
        "- ud/x: an interrupted download; run make data again",
        "## Wrong labels and ids",
        "- pawsx, test, de: 1 ids occur more than once",
        "## Sizes that are not the published ones",
        "- training mnli: 1 of 1: train en 1 for 3",
    ]
    said = last_line(result)
    assert said.startswith(
        "something is wrong (wrong files: 2, wrong labels and ids: 1, sizes that are not the published ones: 1"
    )
    assert said.endswith(f"; the worst: {unreadable}")


def test_the_last_line_names_what_is_missing(nli: Path, check: Callable[..., Verified]) -> None:
    assert last_line(check(nli, "xnli", "mnli")) == "everything is there and right"
    (nli / "multinli_1.0/multinli_1.0_train.jsonl").unlink()
    missing = "nothing is wrong, something is missing (missing: 1); first: training mnli, train, en"
    assert last_line(check(nli, "xnli", "mnli")) == missing


def test_the_script_writes_both_reports(mini_data: Path, mini_configs: Path, tmp_path: Path) -> None:
    given = ["--data", mini_data, "--configs", mini_configs, "--output", tmp_path / "report"]
    done = call("data", "verify", "--profile", "mini", *given)
    assert done.returncode == 1, done.stderr  # the miniature world is smaller than the sizes of configs/babel.yaml
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["status"] == 1 and all(file["verdict"] == "unknown" for file in report["files"])
    sizes = (tmp_path / "report.md").read_text().partition("## Sizes that are not the published ones\n")[2]
    assert "- xnli: 6 of 6: dev en 9 for 150, test en 9 for 150, dev qaa 9 for 150 and 3 more\n" in sizes
