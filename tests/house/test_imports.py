"""Which room may import which, and no cycles anywhere, imports for type checkers included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "penstock"
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "runtimes": ("monitoring.files",),
    "monitoring": (),
    "batching": ("runtimes.contract", "runtimes.datatypes"),
    "loadtests": ("runtimes", "batching", "monitoring"),
    "server": ("runtimes", "batching", "monitoring", "loadtests"),
}


def imported(source: Any, modules: frozenset[str]) -> Iterator[str]:
    """Absolute names of the project's modules that ``source`` imports, wherever in the file."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = source.package.split(".")[: len(source.package.split(".")) - node.level + 1]
                base = ".".join((*above, base)).rstrip(".")
            if base.split(".")[0] == PACKAGE:
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    yield inner if inner in modules else base


def crossings(tree: Any) -> list[str]:
    """Imports from one room into another that the table does not allow."""
    sources = list(tree.sources())
    modules = frozenset(source.module for source in sources)
    return [
        f"{source.path} imports {target}"
        for source in sources
        for target in imported(source, modules)
        for inner in [target.removeprefix(f"{PACKAGE}.")]
        if inner.split(".")[0] != source.room
        and not any(f"{inner}.".startswith(f"{room}.") for room in MAY_IMPORT[source.room])
    ]


def cycle(tree: Any) -> list[str]:
    """The modules of one import cycle, in order; empty when there is none."""
    sources = list(tree.sources())
    modules = frozenset(source.module for source in sources)
    graph = {source.module: set(imported(source, modules)) - {source.module} for source in sources}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_rooms_import_only_what_they_may(project: Any) -> None:
    assert crossings(project) == []


def test_no_import_cycles(project: Any) -> None:
    assert cycle(project) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("runtimes/a.py", "from penstock.batching import b"),
        ("batching/a.py", "import penstock.runtimes.onnx"),
        ("batching/a.py", "from penstock.runtimes import onnx"),
        ("monitoring/a.py", "def late():\n    from penstock.server.errors import ApiError"),
        (
            "loadtests/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import penstock.server",
        ),
        ("loadtests/peers/a.py", "from ...server import errors"),
    ],
)
def test_a_forbidden_import_is_found(plant: Callable[..., Any], path: str, line: str) -> None:
    assert len(crossings(plant({path: line}))) == 1


def test_allowed_imports_pass(plant: Callable[..., Any]) -> None:
    tree = plant(
        {
            "batching/a.py": "from penstock.runtimes.contract import Model\nfrom . import b",
            "batching/b.py": "import numpy",
            "server/http/a.py": "from penstock.batching.a import x\nfrom ..errors import E",
        }
    )
    assert crossings(tree) == []


@pytest.mark.parametrize(
    "back",
    [
        "from .a import x",
        "from . import a",
        "import penstock.server.a",
        "if TYPE_CHECKING:\n    from .a import x",
        "def late():\n    from penstock.server.a import x",
    ],
)
def test_a_cycle_is_found(plant: Callable[..., Any], back: str) -> None:
    tree = plant({"server/a.py": "from .b import y", "server/b.py": back})
    assert set(cycle(tree)) == {"penstock.server.a", "penstock.server.b"}
