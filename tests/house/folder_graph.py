"""Which folder imports which: computed from the sources, and drawn as a Mermaid flowchart.

``python tests/house/folder_graph.py`` writes the drawing into ``docs/design.md``.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE: Final = "penstock"
#: The drawing stands between these two lines.
BEGIN: Final = "<!-- folders: drawn by `make picture` -->"
END: Final = "<!-- end of folders -->"
#: Load tests are a client of the server: they are not in the drawing.
_NOT_DRAWN: Final = "loadtests"

Edges = dict[tuple[str, str], list[str]]


def folder_edges(sources: list[Any]) -> Edges:
    """Imports between the folders that hold the files, each with the imports that make it.

    A file of ``server/http`` that imports ``penstock.server.http.codecs.json`` makes the edge from
    ``server/http`` to ``server/http/codecs``: parents and children count like any two folders.
    """
    modules = {source.module: source for source in sources}
    edges: Edges = {}
    for source in sources:
        here = source.path.parent.as_posix()
        for name in _imported(source, modules):
            there = modules[name].path.parent.as_posix()
            if here != there:
                edges.setdefault((here, there), []).append(f"{source.path} imports {name}")
    return edges


def _imported(source: Any, modules: Mapping[str, Any]) -> Iterator[str]:
    """Modules of the project that a file imports, wherever in the file; packages excepted."""
    for node in source.nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = source.package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join((*above, node.module) if node.module else above)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [one if one in modules else base for one in inner]
        for name in names:
            if name in modules and modules[name].path.name != "__init__.py":
                yield name


def circle(edges: Edges) -> list[str]:
    """The folders of one circle, in order; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for here, there in edges:
        graph.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def lifted(edges: Edges, depth: int) -> Edges:
    """The same edges between the folders of a depth at most: the circles of a coarser look."""
    found: Edges = {}
    for (here, there), imports in edges.items():
        pair = _at(here, depth), _at(there, depth)
        if pair[0] != pair[1]:
            found.setdefault(pair, []).extend(imports)
    return found


def _drawn(folder: str) -> str:
    return _at(folder, 2 if folder.startswith("server/") else 1)


def _at(folder: str, depth: int) -> str:
    return "/".join(folder.split("/")[:depth])


def mermaid(edges: Edges) -> str:
    """A flowchart of the folders of `server`, and of the other top-level folders as a whole.

    It is without arrows that follow from others.
    """
    pairs = {
        pair
        for here, there in edges
        if (pair := (_drawn(here), _drawn(there)))[0] != pair[1]
        and not any(folder.startswith(_NOT_DRAWN) for folder in pair)
    }
    graph: dict[str, set[str]] = {}
    for here, there in pairs:
        graph.setdefault(here, set()).add(there)
    below = {folder: _reach(graph, folder) for folder in graph}
    lines = ["flowchart TD"]
    for here in sorted(graph):
        direct = graph[here]
        implied = {there for other in direct for there in below.get(other, ())}
        lines += [f"  {_node(here)} --> {_node(there)}" for there in sorted(direct - implied)]
    return "\n".join(("```mermaid", *lines, "```"))


def _reach(graph: Mapping[str, set[str]], folder: str) -> set[str]:
    found: set[str] = set()
    new = set(graph.get(folder, ()))
    while new:
        found |= new
        new = {one for other in new for one in graph.get(other, ())} - found
    return found


def _node(folder: str) -> str:
    return f'{folder.replace("/", "_")}["{folder}"]'


def with_picture(page: str, drawing: str) -> str:
    """The page with this drawing in the place of the former one."""
    place = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    return place.sub(lambda _: f"{BEGIN}\n{drawing}\n{END}", page, count=1)


if __name__ == "__main__":
    from conftest import Tree  # type: ignore[import-not-found]  # beside this file

    root = Path(__file__).resolve().parents[2]
    page = root / "docs" / "design.md"
    drawn = mermaid(folder_edges(list(Tree(root).sources())))
    page.write_text(with_picture(page.read_text(), drawn))
