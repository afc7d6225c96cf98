"""The archive for a DOI: what is in it, that its bytes do not depend on when it is made, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from xlt.errors import InputError
from xlt.results.archive import NEEDED, archive


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    date = {"GIT_COMMITTER_DATE": "2024-01-02T03:04:05Z", "GIT_AUTHOR_DATE": "2024-01-02T03:04:05Z"}
    subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, env={**os.environ, **date}
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small checkout with everything that is needed, and results in ``out``, which git ignores."""
    root = tmp_path / "project"
    texts = dict.fromkeys(NEEDED, "text\n") | {
        "pyproject.toml": '[project]\nname = "xlt"\nversion = "1.2.3"\n',
        ".gitignore": "out/\n",
        "docker/entrypoint": "#!/bin/sh\n",
    }
    results = {
        "tiny/babel/tables/table2.md": "| table |\n",
        "tiny/babel/tables/claims.json": "{}\n",
        "tiny/babel/report/index.html": "<html></html>\n",
        "tiny/babel/runs/full/mnli/seed-1/scores.json": "{}\n",
        "tiny/babel/runs/full/mnli/seed-1/weights.safetensors": "weights",
        "tiny/babel/runs/full/mnli/seed-1/predictions/xnli/test-en.tsv": "predictions",
        "tiny/data/XNLI-1.0/xnli.test.tsv": "data",
    }
    for name, text in {**texts, **{f"out/{name}": text for name, text in results.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "docker/entrypoint").chmod(0o755)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_it_holds_source_and_results_with_checksums(project: Path) -> None:
    path = archive(project, project / "out")
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
        contents = {name: tar.extractfile(member).read() for name, member in members.items()}  # type: ignore[union-attr]
    (top,) = {name.split("/")[0] for name in members}
    assert top.startswith("xlt-1.2.3-")
    inside = {name.removeprefix(f"{top}/"): content for name, content in contents.items()}
    assert {f"source/{name}" for name in (*NEEDED, "docker/entrypoint")} <= set(inside)
    results = {name for name in inside if name.startswith("results/")}
    assert results == {
        "results/tiny/babel/tables/table2.md",
        "results/tiny/babel/tables/claims.json",
        "results/tiny/babel/report/index.html",
        "results/tiny/babel/runs/full/mnli/seed-1/scores.json",
    }
    lines = [line.split("  ") for line in inside.pop("SHA256SUMS").decode().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in inside.items()}
    assert members[f"{top}/source/docker/entrypoint"].mode == 0o755
    about = json.loads(inside["ARCHIVE.json"])
    assert (about["version"], about["results"], about["uncommitted_changes"]) == ("1.2.3", 4, False)
    digest, name = Path(f"{path}.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


def test_the_same_commit_and_results_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    first = archive(project, project / "out").read_bytes()
    other = tmp_path / "elsewhere"
    other.mkdir()
    subprocess.run(["git", "clone", "-q", str(project), str(other / "clone")], check=True, capture_output=True)
    subprocess.run(["cp", "-r", str(project / "out"), str(other / "clone" / "out")], check=True)
    later = time.time() + 5000
    for path in (other / "clone" / "out").rglob("*"):
        os.utime(path, (later, later))
        path.chmod(0o700)
    assert archive(other / "clone", other / "clone" / "out").read_bytes() == first


def test_a_dirty_tree_is_refused_unless_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "README.md").write_text("changed\n")
    with pytest.raises(InputError, match=r"expected every change committed, got 1 .*README.md first.*ALLOW_DIRTY=1"):
        archive(project, project / "out")
    path = archive(project, project / "out", allow_dirty=True)
    assert "1 changed or new files are not in it" in capsys.readouterr().out
    with tarfile.open(path) as tar:
        (name,) = [name for name in tar.getnames() if name.endswith("source/README.md")]
        assert tar.extractfile(name).read() == b"text\n"  # type: ignore[union-attr]


def test_what_it_cannot_do_without(project: Path, tmp_path: Path) -> None:
    git(project, "rm", "-q", "Dockerfile")
    git(project, "commit", "-q", "-m", "second")
    with pytest.raises(InputError, match="expected Dockerfile in the last commit"):
        archive(project, project / "out")
    with pytest.raises(InputError, match="expected a git checkout with a commit; git says: "):
        archive(tmp_path, tmp_path)
