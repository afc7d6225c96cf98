"""Imports run one way, scripts start fast, files stay small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "xlt"
BASE = {
    "config",
    "digests",
    "errors",
    "files",
    "folders",
    "languages",
    "layout",
    "locks",
    "names",
    "options",
    "records",
    "run_log",
}
ALLOWED = {  # package: what it may import, for type checking too, besides itself (docs/architecture.md)
    "bench": BASE | {"pipeline", "training", "families", "evaluation", "modeling", "data"},
    "planning": BASE | {"results", "families", "modeling", "data", "pipeline"},
    "pipeline": BASE | {"training", "families", "evaluation", "modeling", "data", "babel"},
    "training": BASE | {"families", "evaluation", "modeling", "data"},
    "families": BASE | {"evaluation", "modeling", "data"},
    "evaluation": BASE | {"data"},
    "modeling": BASE | {"data"},
    "data": BASE,
    "results": BASE,
    "babel": BASE,
    "config": {"errors", "files", "layout", "names"},
    "digests": {"files"},
    "folders": {"errors", "files", "names"},
    "locks": {"errors", "files"},
    "options": {"errors"},
    "records": {"errors", "files", "folders", "layout"},
    "names": set(),
    "run_log": {"layout"},
    "layout": set(),
    "files": {"errors"},
    "languages": {"config", "errors"},
    "errors": set(),
}
MODELLING_LIBRARIES = {"torch", "transformers", "adapters", "safetensors"}
WITHOUT_TORCH = {"evaluation", "data", "results", "babel", *BASE}
SCRIPTS = sorted(
    path.name for path in (ROOT / "reproduce").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)


def type_only(node: ast.AST) -> bool:
    """Whether a statement is ``if TYPE_CHECKING:``, whose imports never run."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(tree: ast.AST, typing: bool = True) -> Iterator[str]:
    """Full names of the modules imported anywhere in a file, functions included; ``typing``: for type checking only, too."""
    for node in ast.iter_child_nodes(tree):
        if type_only(node) and not typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node, typing)


def layer(path: Path) -> str:
    """The package or module below ``xlt`` a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downwards_only(path: Path) -> None:
    own = layer(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {name.split(".")[1] for name in imported(tree) if name.startswith("xlt.")}
    assert inside - {own} <= ALLOWED[own]
    if own in WITHOUT_TORCH:  # what is for type checking only is not loaded
        assert not {name.split(".")[0] for name in imported(tree, typing=False)} & MODELLING_LIBRARIES


def test_every_package_has_a_rule() -> None:
    assert {layer(path) for path in sources()} == set(ALLOWED)


def test_the_import_finder_sees_what_it_should() -> None:
    code = "from xlt import babel\ndef f():\n    import torch.nn\nif TYPE_CHECKING:\n    import jax\n"
    assert list(imported(ast.parse(code), typing=False)) == ["xlt.babel", "torch.nn"]
    assert list(imported(ast.parse(code))) == ["xlt.babel", "torch.nn", "jax"]


def import_graph() -> dict[str, set[str]]:
    """By module of the package, the modules that it imports anywhere, also in functions or for type checking only."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in sources()}
    graph = {}
    for module, path in modules.items():
        statements = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        froms = [node for node in statements if isinstance(node, ast.ImportFrom)]
        named = {name for node in froms for name in (node.module, *(f"{node.module}.{a.name}" for a in node.names))}
        named |= {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
        graph[module] = {name for name in named if name in modules and name != module}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next and the last of which is the first again; empty where there are none."""
    done: set[str] = set()

    def visit(module: str, before: list[str]) -> list[str]:
        if module in before:
            return [*before[before.index(module) :], module]
        if module in done:
            return []
        done.add(module)
        return next((found for each in sorted(graph[module]) if (found := visit(each, [*before, module]))), [])

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(import_graph()) == []


def test_a_circle_is_found() -> None:
    graph = {"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set()}
    assert circle(graph) == ["b", "c", "b"]
    assert circle({**graph, "c": {"d"}}) == []


def test_no_class_name_stands_twice() -> None:
    files = [path for folder in ("src", "reproduce") for path in (ROOT / folder).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} == set()


def test_there_are_few_scripts_and_nothing_else_beside_them() -> None:
    assert sorted(path.name for path in (ROOT / "reproduce").glob("*.py")) == SCRIPTS
    assert len(SCRIPTS) <= 18


def test_files_stay_small() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("src", "reproduce")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 350} == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_fast_because_it_imports_no_modelling_library(name: str) -> None:
    watch = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('LOADED', *sorted({n.split('.')[0] for n in sys.modules}), file=sys.stderr))\n"
        f"sys.path[0] = {str(ROOT / 'reproduce')!r}\n"
        f"sys.argv = [{name!r}, '--help']\n"
        f"runpy.run_path({str(ROOT / 'reproduce' / name)!r}, run_name='__main__')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "argparse" in loaded
    assert not loaded & (MODELLING_LIBRARIES | {"scipy", "numpy", "sklearn", "seqeval", "datasets"})
