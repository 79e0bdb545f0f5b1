"""No two folders import each other, at any depth, and the drawing of the folders is true."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_SPEC = importlib.util.spec_from_file_location(
    "folder_graph", Path(__file__).with_name("folder_graph.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
graph: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(graph)

DEPTHS = (1, 2, 3, 4)


def circles(tree: Any) -> list[list[str]]:
    """A circle of folders for each depth that has one."""
    edges = graph.folder_edges(list(tree.sources()))
    found = [graph.circle(edges), *(graph.circle(graph.lifted(edges, depth)) for depth in DEPTHS)]
    return [one for one in found if one]


def test_no_folders_import_each_other(project: Any) -> None:
    assert circles(project) == []


@pytest.mark.parametrize(
    "files",
    [
        {"server/a/x.py": "from penstock.server.b import y", "server/b/y.py": "",
         "server/b/z.py": "from penstock.server.a.w import v", "server/a/w.py": ""},
        {"server/x.py": "from .a import y", "server/a/y.py": "from penstock.server.z import v",
         "server/z.py": "", "server/a/__init__.py": ""},
        {"server/a/x.py": "import penstock.server.b.y", "server/b/y.py": "",
         "server/b/c/z.py": "def late():\n    from penstock.server.a.x import v"},
        {"server/a/x.py": "from penstock.server.b import y", "server/b/y.py": "",
         "server/b/w.py": "from penstock.server.c.z import v", "server/c/z.py": "",
         "server/c/v.py": "from penstock.server.a.u import t", "server/a/u.py": ""},
    ],
    ids=["two folders", "parent and child", "a folder and one below another", "three folders"],
)  # fmt: skip
def test_a_circle_of_folders_is_found(plant: Callable[..., Any], files: dict[str, str]) -> None:
    assert circles(plant(files))


def test_folders_that_import_downwards_pass(plant: Callable[..., Any]) -> None:
    tree = plant(
        {
            "server/a/x.py": "from penstock.server.b import y\nfrom .w import v",
            "server/a/w.py": "import penstock.batching.z",
            "server/b/y.py": "from penstock.batching.z import v",
            "batching/z.py": "",
        }
    )
    assert circles(tree) == []


def test_the_picture_of_the_folders_is_that_of_the_sources(project: Any) -> None:
    page = (project.root / "docs" / "design.md").read_text()
    drawn = graph.mermaid(graph.folder_edges(list(project.sources())))
    assert graph.BEGIN in page
    assert graph.with_picture(page, drawn) == page, "run `make picture`"
