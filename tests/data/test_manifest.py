"""The manifests of configs/data: complete for every profile on real data, and nothing in them made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from xlt.config.benchmark import Profile, Recipe, Task, load, load_all
from xlt.data.download.convert import CONVERTERS
from xlt.data.download.importing import candidates
from xlt.data.download.manifest import Wanted, load_manifests, wanted
from xlt.data.profile_files import giving, needed, patterns
from xlt.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NO_DEV = {"kk", "th", "tl", "yo"}  # UD 2.5 has only test sets of them (and a small training set of kk)


@pytest.fixture(scope="module")
def files() -> list[Wanted]:
    return [one for manifest in load_manifests(CONFIGS / "data").values() for one in wanted(manifest)]


def test_every_split_of_the_paper_profile_has_a_source_or_says_what_to_do(files: list[Wanted]) -> None:
    profile = load(Profile, CONFIGS / "profiles" / "paper.yaml")
    paths = {one.path: one for one in files}
    lacking = {
        (name, split, language)
        for name, split, language, alternatives in patterns(
            profile, load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")
        )
        if alternatives and not any(giving(path, paths) for path, _ in alternatives)
    }
    assert lacking == {("udpos", "dev", code) for code in NO_DEV}


def test_what_a_profile_reads_is_what_is_fetched_for_it(files: list[Wanted]) -> None:
    tasks, recipes = load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")
    read = {}
    for name in ("paper", "pilot"):
        profile = load(Profile, CONFIGS / "profiles" / f"{name}.yaml")
        read[name] = {one.path for one in needed(files, profile, tasks, recipes)}
    assert "tatoeba/v1/tatoeba.swh-eng.eng" in read["paper"]  # beside the file that the config names
    assert "mewsli_x/candidate_set_entities.jsonl" in read["paper"]
    assert "bucc2018/de-en/de-en.training.gold" in read["paper"]
    assert "mlqa/MLQA_V1/test/test-context-de-question-hi.json" in read["paper"]
    assert "squad/train-v1.1.json" in read["paper"] - read["pilot"]
    assert "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json" in read["pilot"] - read["paper"]


def test_two_releases_of_universal_dependencies(files: list[Wanted]) -> None:
    releases: dict[str, set[str]] = {}
    for one in files:
        if one.path.startswith("ud/"):
            release = str(one.sources[0].url).rpartition("-v")[2]
            releases.setdefault(release, set()).add(one.language)
    assert releases["2.7.tgz"] == {"lt", "pl", "uk", "wo", "ro"}
    assert len(releases["2.5.tgz"]) == 33 and not releases["2.5.tgz"] & releases["2.7.tgz"]


def test_the_hub_is_read_at_commits_only(files: list[Wanted]) -> None:
    sources = [source for one in files for source in one.sources]
    assert all(source.revision and source.convert for source in sources if source.hub is not None)
    assert {source.convert for source in sources} - {None} == set(CONVERTERS)


def test_known_hashes_are_those_of_the_real_files(files: list[Wanted], realdata: Path) -> None:
    import hashlib

    known = [one for one in files if one.known.sha256 and (realdata / one.path).is_file()]
    assert len(known) == 12 + 20 + 82  # XQuAD, XCOPA (but ht and qu test), Tatoeba
    for one in known:
        content = (realdata / one.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one.known.size, one.known.sha256)


def test_every_file_can_be_imported(files: list[Wanted]) -> None:
    tasks, recipes = load_all(Task, CONFIGS / "tasks"), load_all(Recipe, CONFIGS / "recipes")
    targets = {candidate.target for candidate in candidates(files, [], tasks, recipes)}
    assert {one.path for one in files} <= targets


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "../x"}, "expected a path below the data folder"),
        ({"sources": [{"url": "http://a", "hub": "b", "path": "c"}]}, "expected one of url and hub"),
        ({"sources": [{"hub": "b"}]}, "expected path, a file of the repository"),
        ({"sources": [{"hub": "b", "path": "c", "revision": "main"}]}, "revision"),
        ({"sources": [{"url": "http://a", "sha256": "abc"}]}, "sha256"),
        ({"sources": []}, "expected sources for each file, or by_hand"),
        ({"source": []}, "unknown key files.0.source"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry = {"path": "a/x", "split": "test", "languages": ["en"], "sources": [{"url": "http://a/x"}], **change}
    manifest = {"name": "toy", "title": "Toy", "licence": "none", "citation": "none", "files": [entry]}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(InputError, match=message):
        load_manifests(tmp_path)


def test_a_hash_of_no_file_is_refused(tmp_path: Path) -> None:
    entry = {"path": "a/x", "split": "test", "languages": ["en"], "sources": [{"url": "http://a/x"}]}
    manifest = {"name": "toy", "title": "Toy", "licence": "none", "citation": "none", "files": [entry]}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**manifest, "known": {"a/y": {"size": 1}}}))
    with pytest.raises(InputError, match="known: no file has the path a/y"):
        wanted(load_manifests(tmp_path)["toy"])
    with pytest.raises(InputError, match="expected manifests"):
        load_manifests(tmp_path / "none")
