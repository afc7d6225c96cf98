"""Whole tables from hand-made run folders: what every cell says, and that each format says the same."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.scripts import call

ROOT = Path(__file__).parents[2]
REGIMES = {"full": "Full fine-tuning", "adapter": "Adapter", "lora": "LoRA", "full-itt": "Full + MNLI"}


def both(values: dict[str, float]) -> dict[str, dict[str, float]]:
    """Tatoeba's two metrics, alike."""
    return {"accuracy": values, "accuracy_into_english": values}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """The project's configs with a table of three tasks and five regimes, and one reported number in a few cells."""
    folder = tmp_path / "configs"
    shutil.copytree(ROOT / "configs" / "tasks", folder / "tasks")
    shutil.copytree(ROOT / "configs" / "tables" / "notes", folder / "tables" / "notes")
    table = {
        "name": "table2",
        "title": "A table",
        "regimes": [*REGIMES, "adapter-itt"],
        "tasks": ["xnli", "xquad", "tatoeba"],
    }
    (folder / "tables" / "table2.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    entry = {"model": "e5-small", "method": "row", "metric": "accuracy"}
    rows = [
        entry | {"regime": "full", "task": "xnli", "values": {"en": 80.5, "de": None}},
        entry | {"regime": "full", "task": "xnli", "averages": [{"value": 61.0, "over": ["de"]}]},
        entry | {"regime": "untuned", "task": "tatoeba", "values": {"de": 98.0, "fr": 90.0, "sw": 70.0, "fi": None}},
    ]
    group = {"table": "T", "source": "the paper", "confidence": "seen", "scale": "percent", "rows": rows}
    stated = {"trained_on": {"xnli": ["mnli"], "tatoeba": []}, "epochs": "unstated", "checkpoint": "unstated"}
    stated |= {"pooling": "unstated", "layer": "unstated"}
    paper = {"paper": "p", "citation": "P 2020", "url": ["https://example.org"], "rank": 1, "protocol": stated}
    paper |= {"tables": [group]}
    (folder / "reported").mkdir()
    (folder / "reported" / "p.yaml").write_text(yaml.safe_dump(paper), encoding="utf-8")
    return folder


def fill(folder: Any) -> None:
    """Four regimes, two seeds. LoRA lacks XQuAD; full-itt did not start; nobody has Tatoeba's files."""
    for name, title in REGIMES.items():
        folder.regime(name, title, ["runs/full/mnli/seed-1", "runs/full/mnli/seed-2"] if name == "full-itt" else [])
    for seed in (1, 2):
        for name, plus in (("full", 0.0), ("adapter", 2.0), ("lora", 4.0)):
            # XNLI: 70 and 72 on average for full, two points more for adapter, four for LoRA
            xnli = {"accuracy": {"en": 78.0 + 2 * seed + plus, "de": 58.0 + 2 * seed + plus}}
            folder.run(name, "mnli", seed, {"xnli": xnli}, no_data={"xnli": ["sw"]}, split="dev")
            # XQuAD: mean of F1 and exact match is 60 and 63 for full, two points less for adapter
            xquad = {"f1": {"en": 67.0 + 3 * seed - plus}, "exact_match": {"en": 47.0 + 3 * seed - plus}}
            folder.run(name, "squad", seed, None if name == "lora" else {"xquad": xquad}, tasks=["xquad"])
        folder.run("full-itt", "mnli", seed, None, tasks=["xnli"])


def tabulate(folder: Any, configs: Path, *what: str) -> subprocess.CompletedProcess[str]:
    return call("table", "--root", folder.root, "--configs", configs, *what)


def written(folder: Any, configs: Path, what: str, name: str) -> dict[str, str]:
    done = tabulate(folder, configs, what, name)
    assert done.returncode == 0, done.stderr
    stem = name if what == "--table" else f"regime-{name}"
    files = {path.name.removeprefix(stem): path for path in (folder.root / "tables").iterdir()}
    assert set(files) == {".md", ".tex", ".csv", ".json", "-standalone.tex"}
    return {suffix: path.read_text(encoding="utf-8") for suffix, path in files.items()}


def markdown_row(text: str, label: str, number: int = 0) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith(f"| {label} ")]
    return [cell.strip() for cell in rows[number].strip("|").split("|")]


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def table2(folders: Callable[..., Any], configs: Path) -> dict[str, str]:
    folder = folders()
    fill(folder)
    return written(folder, configs, "--table", "table2")


def test_scores_of_table2(table2: dict[str, str]) -> None:
    text = table2[".md"]
    # one common task (XNLI), because LoRA has no XQuAD; std of two values two apart is sqrt 2 = 1.4, three apart 2.1
    full = ["Full fine-tuning", "71.0 ± 1.4 <sup>a</sup>", "**61.5 ± 2.1**", "no data", "71.0 ± 1.4 (1 of 3)", ""]
    adapter = [
        "Adapter",
        "<u>73.0 ± 1.4</u> <sup>a</sup>",
        "<u>59.5 ± 2.1</u>",
        "no data",
        "<u>73.0 ± 1.4 (1 of 3)</u>",
    ]
    assert markdown_row(text, "Full fine-tuning") == full
    assert markdown_row(text, "Adapter") == [*adapter, "+2.0"]
    lora = ["LoRA", "**75.0 ± 1.4** <sup>a</sup>", "not run", "no data", "**75.0 ± 1.4 (1 of 3)**", "+4.0"]
    assert markdown_row(text, "LoRA") == lora
    assert markdown_row(text, "Full + MNLI") == ["Full + MNLI", "not run", "no data", "no data", "not run", ""]
    assert markdown_row(text, "adapter-itt") == ["adapter-itt", "not run", "not run", "not run", "not run", ""]


def test_header_and_notes_of_table2(table2: dict[str, str]) -> None:
    text = table2[".md"]
    assert "- Scored split: test; except XNLI: dev, because XTREME blanks its test labels" in text
    assert "- Seeds: 1, 2 (mean ± sample standard deviation over seeds)" in text
    assert "- Commit: 0123456789\n" in text
    assert "- Encoder from: hub: the encoder\n- Scored" in text
    assert "- a: XNLI: average over 2 of 3 languages; no data: Swahili (sw)" in text
    average = "- Average: over 1 of 3 tasks, the same for every regime that has run; missing: "
    assert average + "XQuAD (not scored for LoRA); Tatoeba (no data)." in text


def test_cost_of_table2(table2: dict[str, str]) -> None:
    # two runs of 60 s training and 30 s prediction per seed
    row = markdown_row(table2[".md"], "Full fine-tuning", 1)
    assert row == ["Full fine-tuning", "1.0 k", "10.00 %", "2.0 min", "1.0 min", "none", "1.0 GiB"]
    assert markdown_row(table2[".md"], "LoRA", 1)[3] == "1.0 min <sup>b</sup>"
    assert "- b: 2 of 4 runs finished; times so far" in table2[".md"]
    assert set(markdown_row(table2[".md"], "Full + MNLI", 1)[1:]) == {"not run"}


def test_csv_of_table2(table2: dict[str, str]) -> None:
    rows = records(table2[".csv"])
    found = {(r["regime"], r["task"], r["language"], r["metric"], r["seed"]): r for r in rows}
    assert len(found) == len(rows)
    german = found["full", "xnli", "de", "accuracy", "2"]
    assert (float(german["value"]), german["n"], german["split"], german["status"]) == (62.0, "100", "dev", "ok")
    assert float(found["full", "xnli", "avg", "accuracy", "mean"]["value"]) == 71.0
    assert float(found["full", "xnli", "avg", "accuracy", "std"]["value"]) == pytest.approx(math.sqrt(2), rel=1e-12)
    assert float(found["full", "xquad", "avg", "score", "1"]["value"]) == 60.0
    assert float(found["full", "average", "avg", "score", "mean"]["value"]) == 71.0
    missing = found["full", "xnli", "sw", "", ""]
    assert (missing["value"], missing["status"]) == ("", "no data")
    assert found["lora", "xquad", "avg", "", ""]["status"] == "not run"
    assert found["full", "tatoeba", "avg", "", ""]["status"] == "no data"


def test_json_of_table2_says_the_same(table2: dict[str, str]) -> None:
    content = json.loads(table2[".json"])
    rows = {row["regime"]: row for row in content["rows"]}
    assert content["common_tasks"] == ["xnli"]
    assert rows["adapter"]["average"]["mean"] == 73.0
    assert rows["adapter"]["difference"] == 2.0
    assert rows["full-itt"]["average"] is None
    assert rows["full"]["tasks"]["xnli"]["no_data"] == ["sw"]
    assert rows["full"]["reported"]["xnli"][0]["value"] == 61.0
    for record in records(table2[".csv"]):
        if record["seed"] in {"1", "2"} and record["language"] != "avg":
            values = rows[record["regime"]]["tasks"][record["task"]]["values"]
            assert values[record["metric"]][record["language"]][record["seed"]] == float(record["value"])


def test_average_over_all_tasks_is_not_marked(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    folder.regime("full")
    scores = {"xnli": {"accuracy": {"en": 60.0}}, "tatoeba": both({"de": 90.0})}
    folder.run("full", "mnli", 1, scores)
    folder.run("full", "squad", 1, {"xquad": {"f1": {"en": 70.0}, "exact_match": {"en": 50.0}}})
    text = written(folder, configs, "--table", "table2")[".md"]
    assert markdown_row(text, "full") == ["full", "60.0", "60.0", "90.0", "70.0", ""]  # (60 + 60 + 90) / 3
    assert "Average: over" not in text
    assert "- Seeds: 1 (one seed only, so there is no standard deviation)" in text


def test_partly_finished_seeds_are_named(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": {"accuracy": {"en": 60.0}}})
    folder.run("full", "mnli", 2, None, tasks=["xnli"])
    text = written(folder, configs, "--table", "table2")[".md"]
    assert markdown_row(text, "full")[1] == "60.0 <sup>a</sup>"
    assert "- a: 1 of 2 seeds ran (1)" in text


@pytest.mark.parametrize(("what", "name"), [("--table", "table2"), ("--regime", "full")])
def test_same_runs_give_the_same_bytes(folders: Callable[..., Any], configs: Path, what: str, name: str) -> None:
    folder = folders()
    fill(folder)
    assert written(folder, configs, what, name) == written(folder, configs, what, name)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize(("what", "name"), [("--table", "table2"), ("--regime", "full")])
def test_tables_compile(folders: Callable[..., Any], configs: Path, what: str, name: str) -> None:
    folder = folders()
    fill(folder)
    written(folder, configs, what, name)
    file = f"{name if what == '--table' else f'regime-{name}'}-standalone.tex"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file]
    done = subprocess.run(command, cwd=folder.root / "tables", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout


def full_regime(folders: Callable[..., Any], configs: Path, split: str, **options: Any) -> dict[str, str]:
    folder = folders(**options)
    folder.regime("full", "Full fine-tuning")
    for seed in (1, 2):
        xnli = {"accuracy": {"en": 78.0 + 2 * seed, "de": 58.0 + 2 * seed}}
        folder.run("full", "mnli", seed, {"xnli": xnli}, no_data={"xnli": ["sw"]}, split=split)
    return written(folder, configs, "--regime", "full")


def test_regime_table_compares_on_the_paper_profile(folders: Callable[..., Any], configs: Path) -> None:
    files = full_regime(folders, configs, "test", profile="paper")
    text = files[".md"]
    assert markdown_row(text, "English (en)") == ["English (en)", "100", "81.0 ± 1.4", "80.5", "+0.5", "[1]"]
    assert markdown_row(text, "German (de)") == ["German (de)", "100", "61.0 ± 1.4", "no value reported", "", "[1]"]
    assert markdown_row(text, "average over 2") == ["average over 2", "", "71.0 ± 1.4", "no value reported", "", ""]
    without = ["average over 1, without English", "", "61.0 ± 1.4", "61.0", "0.0", "[1]"]
    assert markdown_row(text, "average over 1, without English") == without
    assert "Without a score: no data: Swahili (sw)." in text
    assert "Mean absolute difference over 1 language with a comparable reported value: 0.50 points" in text
    assert "- [1] P 2020. T, row 'row'; read in: the paper (seen)." in text
    mean = next(r for r in records(files[".csv"]) if (r["language"], r["seed"]) == ("en", "mean"))
    assert (float(mean["reported"]), float(mean["difference"]), mean["comparison"]) == (80.5, 0.5, "compared")
    assert mean["reported_paper"] == "p"


def test_capped_profile_is_not_compared(folders: Callable[..., Any], configs: Path) -> None:
    text = full_regime(folders, configs, "test", profile="pilot")[".md"]
    assert markdown_row(text, "English (en)")[3:5] == ["80.5", "not comparable: capped profile"]
    assert "Mean absolute difference" not in text


def test_development_split_is_not_compared(folders: Callable[..., Any], configs: Path) -> None:
    text = full_regime(folders, configs, "dev", profile="paper")[".md"]
    assert markdown_row(text, "English (en)")[3:5] == ["80.5", "not comparable: dev split scored"]


def test_capped_test_set_is_not_compared(folders: Callable[..., Any], configs: Path) -> None:
    reached = full_regime(folders, configs, "test", profile="paper", caps={"xnli": {"train": None, "test": 100}})[".md"]
    assert markdown_row(reached, "English (en)")[4] == "not comparable: capped test set"


def test_cap_above_the_test_set_does_no_harm(folders: Callable[..., Any], configs: Path) -> None:
    text = full_regime(folders, configs, "test", profile="paper", caps={"default": {"test": 101}})[".md"]
    assert markdown_row(text, "English (en)")[4] == "+0.5"


def test_unfinished_and_missing_tasks_of_a_regime(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    folder.regime("full")
    folder.run("full", "a", 1, {"tatoeba": both({})}, no_data={"tatoeba": ["de"]})
    folder.run("full", "b", 1, None, tasks=["xnli"])
    text = written(folder, configs, "--regime", "full")[".md"]
    assert markdown_row(text, "XNLI") == ["XNLI", "", "", "not run", "", "", ""]
    assert markdown_row(text, "Tatoeba") == ["Tatoeba", "", "", "no data", "", "", ""]
    assert text.index("| XNLI") < text.index("| Tatoeba")  # the order of the table's columns, not of the plan


def untuned(folders: Callable[..., Any], **options: Any) -> Any:
    folder = folders(**options)
    folder.regime("untuned", "Untuned encoder")
    scores = {"tatoeba": both({"de": 97.0, "fr": 91.0, "sw": 65.0, "fi": 88.0})}
    folder.run("untuned", "none", 1, scores, trained=0, tuning="frozen", n=1000)
    return folder


def test_untuned_encoder_is_compared_on_any_profile(folders: Callable[..., Any], configs: Path) -> None:
    text = written(untuned(folders, profile="pilot"), configs, "--regime", "untuned")[".md"]
    # differences −1, +1, −5: mean absolute (1 + 1 + 5) / 3 = 2.33, mean −5 / 3 = −1.7
    assert markdown_row(text, "Swahili (sw)")[2:5] == ["65.0", "70.0", "−5.0"]
    assert markdown_row(text, "Finnish (fi)")[3:5] == ["no value reported", ""]
    summary = "Mean absolute difference over 3 languages with a comparable reported value: 2.33 points; "
    assert summary + "mean difference: −1.7; beyond 4 points: 1 of 3." in text
    assert "Swahili (sw) −5.0: no explanation recorded" in text
    assert "(nothing is trained, so one run is exact)" in text


def test_explanation_of_a_large_difference(folders: Callable[..., Any], configs: Path) -> None:
    notes = {"threshold": 4.0, "explanations": {"e5-small": {"tatoeba": {"sw": "Few sentences."}}}}
    (configs / "tables" / "notes" / "differences.yaml").write_text(yaml.safe_dump(notes), encoding="utf-8")
    text = written(untuned(folders), configs, "--regime", "untuned")[".md"]
    assert "Swahili (sw) −5.0: Few sentences." in text


def test_other_model_has_no_reported_value(folders: Callable[..., Any], configs: Path) -> None:
    text = written(untuned(folders, model="mbert"), configs, "--regime", "untuned")[".md"]
    assert markdown_row(text, "German (de)")[3:] == ["no value reported", "", ""]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (("--table", "table9"), "no such config; expected one of table2, got table9"),
        (("--regime", "madx"), "regime: expected one of full, got madx"),
    ],
)
def test_wrong_names_give_one_line_and_status_2(
    folders: Callable[..., Any], configs: Path, what: tuple[str, str], message: str
) -> None:
    folder = folders()
    folder.regime("full")
    done = tabulate(folder, configs, *what)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_damaged_run_gives_one_line_and_leaves_older_tables(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    fill(folder)
    before = written(folder, configs, "--table", "table2")
    scores = folder.root / "runs" / "full" / "mnli" / "seed-1" / "scores.json"
    scores.write_text('{"tasks": {', encoding="utf-8")
    done = tabulate(folder, configs, "--table", "table2")
    assert done.returncode == 2
    assert f"{scores}:1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (folder.root / "tables" / "table2.md").read_text(encoding="utf-8") == before[".md"]


def test_names_of_the_embedded_world(folders: Callable[..., Any], configs: Path, tmp_path: Path) -> None:
    world = tmp_path / "languages.yaml"
    world.write_text("languages:\n  qaa: {name: Arva, family: A, script: Latin}\n", encoding="utf-8")
    folder = folders(profile="tiny", model="babel")
    folder.regime("full")
    folder.run("full", "mnli", 1, {"xnli": {"accuracy": {"en": 60.0, "qaa": 50.0}}})
    assert tabulate(folder, configs, "--regime", "full", "--languages", str(world)).returncode == 0
    text = (folder.root / "tables" / "regime-full.md").read_text(encoding="utf-8")
    assert markdown_row(text, "Arva (qaa)") == ["Arva (qaa)", "100", "50.0", "no value reported", "", ""]


def test_caps_name_every_training_of_a_run(folders: Callable[..., Any], configs: Path) -> None:
    caps = {"siqa": {"train": 800}, "copa": {"train": None}, "hellaswag": {"train": 5}, "xcopa": {"test": 40}}
    folder = folders(caps=caps)
    folder.regime("full")
    folder.run("full", "copa", 1, {"xcopa": {"accuracy": {"sw": 60.0}}})
    text = written(folder, configs, "--regime", "full")[".md"]
    # XCOPA's run trains on Social IQa, then COPA; HellaSwag's cap is of no run here
    assert "- Caps on examples: training: 800 (siqa), all (copa); scored, in each language: 40 (XCOPA)" in text


def test_caps_of_all_runs_are_named_together(folders: Callable[..., Any], configs: Path) -> None:
    folder = folders()
    folder.regime("full")
    folder.profile["caps"] = {"mnli": {"train": 9}}  # as the planner writes it: each run has its own entries only
    folder.run("full", "mnli", 1, {"xnli": {"accuracy": {"en": 60.0}}})
    folder.profile["caps"] = {"tatoeba": {"test": 7}}
    folder.run("full", "lareqa", 1, {"tatoeba": both({"de": 90.0})})
    text = written(folder, configs, "--regime", "full")[".md"]
    expected = "training: 9 (mnli), all (lareqa); scored, in each language: 7 (Tatoeba), all (XNLI)"
    assert f"- Caps on examples: {expected}" in text


def test_where_the_encoder_reads_less_than_the_protocol_is_said(folders: Any, configs: Path) -> None:
    fill(folder := folders())
    for path in folder.root.glob("runs/*/*/seed-*/provenance.json"):
        cut = {"xquad": 384, "squad": 384} if "/squad/" in str(path) else {"lareqa": 352}  # the table has no LAReQA
        path.write_text(json.dumps(json.loads(path.read_text()) | {"positions": 126, "cut": cut}), encoding="utf-8")
    assert tabulate(folder, configs, "--table", "table2").returncode == 0
    text = (folder.root / "tables" / "table2.md").read_text(encoding="utf-8")
    assert "- Sub-words read: cut to 126, the encoder's positions, instead of 384 (XQuAD, training squad)\n" in text
