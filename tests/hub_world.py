"""The generated world through the whole download path: its files as a hub dataset, its encoder as a hub model, on loopback.

    python tests/hub_world.py --data out/tiny/data --encoder out/cache/babel --out /tmp/hub -- make table2 PROFILE=tiny

serves both, fetches them into ``--out`` as ``make data`` and ``make encoder`` would, runs the command with OUT set to that
folder, and once more with the server gone and HF_HUB_OFFLINE=1 after its tables were deleted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from loopback import COMMIT, Loopback, Repository

ROOT = Path(__file__).resolve().parents[1]


def visible(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their path below it, without hidden ones."""
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in paths.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def serve(hub: Loopback, data: Path, encoder: Path) -> None:
    """Let ``hub`` serve a world's files as a dataset and its encoder as a model."""
    hub.repositories["datasets/world/files"] = Repository(visible(data))
    model = {name: content for name, content in visible(encoder).items() if name != "prepared.json"}
    hub.repositories["world/encoder"] = Repository(model)


def write_configs(folder: Path, data: Path, base: Path = ROOT / "configs") -> Path:
    """The project's configs, with one manifest for the world's files and the encoder's source on the hub."""
    shutil.copytree(base, folder)
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    entries = [
        {
            "path": name,
            "split": "all",
            "languages": ["en"],
            "sources": [{"hub": "world/files", "revision": COMMIT, "path": name}],
        }
        for name in visible(data)
    ]
    manifest = {"name": "world", "title": "World", "licence": "MIT", "citation": "this artifact", "files": entries}
    (folder / "data" / "world.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    path = folder / "models" / "babel.yaml"
    model = yaml.safe_load(path.read_text(encoding="utf-8"))
    model["sources"] = [{"hub": "world/encoder", "revision": COMMIT}]
    path.write_text(yaml.safe_dump(model), encoding="utf-8")
    return folder


def fetch(configs: Path, out: Path, environment: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
    """What ``make data`` and ``make encoder`` run."""
    scripts = ROOT / "reproduce"
    data = ["data.py", "fetch", "--all", "--data", str(out / "tiny" / "data")]
    model = ["prepare_model.py", "--model", "babel", "--cache", str(out / "cache")]
    return [
        subprocess.run(
            [sys.executable, str(scripts / name), *options, "--configs", str(configs)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        for name, *options in (data, model)
    ]


def main() -> int:
    """Serve, fetch, run, and run again without the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs="*", help="after --: what is run on what was fetched")
    options = parser.parse_args()
    configs = write_configs(options.out / "configs", options.data)
    command = [*options.command, f"OUT={options.out}"] if options.command else []
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    with Loopback() as hub:
        serve(hub, options.data, options.encoder)
        online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(options.out / "hf")}
        for done in fetch(configs, options.out, online):
            print(done.stdout + done.stderr)
            done.check_returncode()
        if command:
            subprocess.run(command, env={**os.environ, **online}, check=True)
        print(f"{len(hub.requests)} requests were answered; the server stops now")
    shutil.rmtree(options.out / "hf", ignore_errors=True)
    for tables in options.out.glob("tiny/*/tables"):
        shutil.rmtree(tables)
    for done in fetch(configs, options.out, offline):
        print(done.stdout + done.stderr)
        done.check_returncode()
    if command:
        subprocess.run(command, env={**os.environ, **offline}, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
