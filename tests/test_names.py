"""A name stands for one thing: for one config, or for one folder wherever it lies."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import CONFIGS, ROOT

from xlt.config.benchmark import Recipe, load_all
from xlt.digests import Digests
from xlt.errors import InputError
from xlt.modeling.preparation import resolve_model
from xlt.names import model_name, one_of, visible
from xlt.results.report.cells import command
from xlt.results.run_folders import load_plan


def test_the_nearest_names_come_first() -> None:
    tables, regimes = [f"table{n}" for n in (1, 2, 3)], [f"regime-{n}" for n in range(10)]
    assert one_of([*regimes, "table2", "table1"], "tabel2").startswith(
        "expected one of table2, table1, regime-0, regime-1"
    )
    assert one_of([*tables, *regimes], "zzz") == (
        "expected one of table1, table2, table3, regime-0, regime-1, regime-2, regime-3, regime-4, regime-5, regime-6, "
        "regime-7, regime-8 and 1 more, got zzz"
    )
    assert one_of([], "x") == "expected one of none, got x"


def expected(folder: Path, readable: str) -> str:
    return f"{readable}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"


def test_two_folders_of_one_name_have_two_names(tmp_path: Path) -> None:
    first, second = (tmp_path / name / "checkpoint-best" for name in "ab")
    for folder in (first, second):
        folder.mkdir(parents=True)
    names = [model_name(str(folder), CONFIGS) for folder in (first, second)]
    assert names == [expected(first, "checkpoint-best"), expected(second, "checkpoint-best")] and len(set(names)) == 2
    assert [resolve_model(str(folder), CONFIGS).name for folder in (first, second)] == names


def test_a_link_a_slash_and_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "été+1"
    folder.mkdir()
    (tmp_path / "latest").symlink_to(folder)
    for way in (folder, f"{folder}/", tmp_path / "latest", f"{tmp_path}/latest/", f"{tmp_path}/x/../latest"):
        assert model_name(str(way), CONFIGS) == expected(folder, "t--1")  # hidden and option-like names begin otherwise


def test_a_folder_does_not_shadow_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mbert").mkdir()
    assert model_name("mbert", CONFIGS) == "mbert"
    assert resolve_model("mbert", CONFIGS).sources[0].hub == "google-bert/bert-base-multilingual-cased"
    for way in ("./mbert", "mbert/"):
        assert model_name(way, CONFIGS) == resolve_model(way, CONFIGS).name == expected(tmp_path / "mbert", "mbert")


def test_a_command_to_repeat_names_the_folder(planned: Path, mini_encoder: Path) -> None:
    plan = load_plan(planned)
    assert plan.model == model_name(str(mini_encoder), CONFIGS)
    assert command(plan, "full") == f"make full PROFILE=mini MODEL={mini_encoder.resolve()}"


@pytest.mark.parametrize("model", ["mbert", "src/xlt/", "./tests"])
def test_make_and_python_name_alike(model: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "XLT_"))}
    command = ["make", "--eval", "shown: ; @echo $(ROOT) $(ENCODER)", "shown", f"MODEL={model}"]
    command += [f"XLT_PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True)
    name = model_name(str(ROOT / model) if "/" in model else model, CONFIGS)
    assert done.stdout.split() == [f"out/tiny/{name}", f"out/cache/{name}/prepared.json"]


def test_what_editors_and_archivers_leave_is_no_config(tmp_path: Path) -> None:
    text = (CONFIGS / "recipes" / "mnli.yaml").read_text(encoding="utf-8")
    (tmp_path / "mnli.yaml").write_text(text, encoding="utf-8")
    for name in (".#mnli.yaml", "._mnli.yaml", ".mnli.yaml.swp", "mnli.yaml~"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    assert list(load_all(Recipe, tmp_path)) == ["mnli"]
    assert visible(tmp_path, "*.yaml") == [tmp_path / "mnli.yaml"]


@pytest.mark.parametrize("name", ["my recipe", "-x", "a:b", "$(x)", "é"])
def test_a_config_of_a_name_that_commands_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.yaml").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected a file name of letters, digits"):
        load_all(Recipe, tmp_path)


def test_a_hash_is_not_remembered_of_another_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``cp -p`` and ``rsync -t`` leave a file of another content with the size and the time of the first."""
    monkeypatch.setattr("xlt.digests.SETTLED", -60.0)  # remembered at once
    file, store = tmp_path / "a", tmp_path / "sums.json"
    file.write_text("one", encoding="utf-8")
    before, digests = file.stat(), Digests(store)
    assert digests(file) == hashlib.sha256(b"one").hexdigest()
    digests.save()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Digests(store)(file) == hashlib.sha256(b"two").hexdigest()


def test_a_hash_of_a_file_that_just_changed_is_not_kept(tmp_path: Path) -> None:
    """A second change within one tick of the disk's clock would not show."""
    (tmp_path / "a").write_text("one", encoding="utf-8")
    digests = Digests(tmp_path / "sums.json")
    digests(tmp_path / "a")
    assert digests.known == {}
