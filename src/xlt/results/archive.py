"""The file to deposit for a DOI: source, image recipe, locks and results in one .tar.gz with checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import tomllib
from pathlib import Path

from xlt.errors import InputError
from xlt.files import to_json, write_atomic

NEEDED = ("CITATION.cff", "Dockerfile", "LICENSE", "README.md", "docker/requirements.lock", "pyproject.toml")
"""Without these the archive would not be what it says it is."""
RESULTS = (
    "*/*/tables/*",
    "*/*/report/**/*",
    "*/*/plan.json",
    "*/*/runs/*/*/*/*.json",
    "*/*/runs/*/*/*/config.json",
    "*/*/lexical/*/*/*/lexical.json",
    "*/*/language-adapters/*/adapter.json",
)
"""Patterns below --out: <profile>/<model>/..."""
EXECUTABLE, PLAIN = 0o755, 0o644
Files = dict[str, tuple[bytes, int]]
"""Path in the archive -> (content, mode)."""


def git(root: Path, *arguments: str) -> bytes:
    """What a git command prints.

    Raises:
        InputError: this is no checkout, or there is no git.
    """
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise InputError("expected git, which makes the archive of the source; install it") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "it failed"
        raise InputError(f"expected a git checkout with a commit; git says: {reason}", root) from None


def source_files(root: Path) -> Files:
    """The files of the last commit.

    Raises:
        InputError: one that the archive cannot do without is not in it.
    """
    files: Files = {}
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", "--format=tar", "HEAD"))) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name] = (content.read(), EXECUTABLE if member.mode & 0o100 else PLAIN)
    if missing := [name for name in NEEDED if name not in files]:
        raise InputError(f"expected {', '.join(missing)} in the last commit; commit it first", root)
    return files


def result_files(out: Path) -> Files:
    """Tables, reports and what runs say of themselves, below ``out``."""
    found = {path for pattern in RESULTS for path in out.glob(pattern) if path.is_file()}
    return {path.relative_to(out).as_posix(): (path.read_bytes(), PLAIN) for path in found}


def pack(name: str, files: Files, time: int) -> bytes:
    """A .tar.gz of ``files`` below a folder ``name``; nothing in it depends on when or by whom it is made.

    Args:
        name: the one folder at the top.
        files: paths with contents and modes.
        time: of every file, in seconds since 1970: that of the commit.
    """
    out = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(files):
            content, mode = files[path]
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode, member.mtime = len(content), mode, time
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def archive(root: Path, out: Path, *, allow_dirty: bool = False) -> Path:
    """Write the archive of the project ``root`` and of the results in ``out`` into ``out``, and its checksum beside it.

    Raises:
        InputError: files differ from the last commit (unless ``allow_dirty``), or this is no checkout.
    """
    changed = git(root, "status", "--porcelain").decode().splitlines()
    if changed and not allow_dirty:
        raise InputError(
            f"expected every change committed, got {len(changed)} changed or new files ({changed[0][3:]} first); commit "
            "them, or archive the last commit all the same with ALLOW_DIRTY=1",
            root,
        )
    commit = git(root, "rev-parse", "HEAD").decode().strip()
    time = int(git(root, "log", "-1", "--format=%ct", "HEAD"))
    source, results = source_files(root), result_files(out)
    version = tomllib.loads(source["pyproject.toml"][0].decode())["project"]["version"]
    files = {f"source/{path}": file for path, file in source.items()}
    files |= {f"results/{path}": file for path, file in results.items()}
    about = {"version": version, "commit": commit, "uncommitted_changes": bool(changed)}
    files["ARCHIVE.json"] = (to_json({**about, "source": len(source), "results": len(results)}).encode(), PLAIN)
    sums = "".join(f"{hashlib.sha256(files[path][0]).hexdigest()}  {path}\n" for path in sorted(files))
    files["SHA256SUMS"] = (sums.encode(), PLAIN)
    name = f"xlt-{version}-{commit[:12]}"
    packed = pack(name, files, time)
    path = out / f"{name}.tar.gz"
    write_atomic(path, packed)
    write_atomic(out / f"{name}.tar.gz.sha256", f"{hashlib.sha256(packed).hexdigest()}  {path.name}\n")
    print(
        f"{path}: {len(source)} files of source, {len(results)} of results, {len(packed) / 1e6:.1f} MB, commit {commit[:12]}"
    )
    if changed:
        print(f"note: {len(changed)} changed or new files are not in it: the source is that of the last commit")
    return path
