"""Nothing is kept that only its tests use: every name of a module is reached from what runs.

What runs is module-level code, entry points, examples, and what documents name with its module.
Methods are left out: which class a value has is not known here, and frameworks call methods by
their names.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Key = tuple[str, str]

PACKAGE = "penstock"
#: In place of a name.
EVERYTHING = "*"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
#: Loaded by their frameworks, which find classes by what they are.
BY_CONVENTION = ("penstock.loadtests.locustfile", "penstock.loadtests.peers.services.")
#: What nothing reaches, and why it stays; a name with a dot at its end means all that begin so.
KEPT = {
    "penstock.server.rollout.phase.diagram": "draws what docs/rollouts.md shows; a test compares",
    "penstock.server.rollout.phase.AUTOMATIC": "is drawn by it",
    "penstock.server.rollout.unit_memory.": "the table in memory of one process",
}
#: ``penstock.runtimes.testing.check_runtime``, with or without the room; ``from … import …``.
NAMED = re.compile(r"([\w.]+)[.:](\w+)")
#: ``look:run_status``, what is imported when it is asked for.
ENTRY = re.compile(r"(\w+):(\w+)")
IMPORTED = re.compile(r"from (penstock[\w.]*) import ([\w, ]+)")


class Module:
    """The definitions of a file, and what each part of it uses."""

    def __init__(self, source: Any, modules: frozenset[str]) -> None:
        self.name = source.module
        self.package = source.package
        self.tree = source.nodes[0]
        self.local: dict[str, set[Key]] = defaultdict(set)
        self.aliases: dict[str, set[str]] = defaultdict(set)
        self.definitions: dict[str, ast.stmt] = {}
        for statement in self.statements(self.tree.body):
            for name in defined(statement):
                self.definitions[name] = statement
                self.local[name].add((self.name, name))
        for node in source.nodes:
            if isinstance(node, ast.ImportFrom):
                self.imported_from(node, source.package, modules)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.aliases[alias.asname or alias.name].add(alias.name)

    def statements(self, body: list[ast.stmt]) -> Iterator[ast.stmt]:
        """Statements of the module, those under an ``if`` or a ``try`` one by one."""
        for one in body:
            if isinstance(one, ast.If):
                yield ast.Expr(one.test)
                yield from self.statements([*one.body, *one.orelse])
            elif isinstance(one, ast.Try):
                handled = [inner for handler in one.handlers for inner in handler.body]
                yield from self.statements([*one.body, *handled, *one.orelse, *one.finalbody])
            else:
                yield one

    def imported_from(self, node: ast.ImportFrom, package: str, modules: frozenset[str]) -> None:
        base = node.module or ""
        if node.level:
            above = package.split(".")
            base = ".".join([*above[: len(above) - node.level + 1], *base.split(".")]).rstrip(".")
        for alias in node.names:
            inner, local = f"{base}.{alias.name}", alias.asname or alias.name
            if inner in modules:
                self.aliases[local].add(inner)
            else:
                self.local[local].add((base, alias.name))

    def uses(self, root: ast.AST) -> Iterator[Key]:
        """Names that a piece of code uses, its own and those of other modules.

        A text counts, too: it may be a type, or an entry point ``file:function`` of the folder. Of
        a module that is handed on, everything is used.
        """
        looked_into = set()
        for node in ast.walk(root):
            if isinstance(node, ast.Attribute):
                looked_into.add(id(node.value))
                for module in self.aliases.get(dotted(node.value), ()):
                    yield module, node.attr
            elif isinstance(node, ast.Name):
                yield from self.local.get(node.id, ())
                if id(node) not in looked_into:
                    yield from ((module, EVERYTHING) for module in self.aliases.get(node.id, ()))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self.local.get(node.value, ())
                if entry := ENTRY.fullmatch(node.value):
                    yield f"{self.package}.{entry[1]}", entry[2]


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of such an expression; empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def defined(statement: ast.stmt) -> list[str]:
    """Names that a statement of a module defines, apart from those of the language."""
    names: list[str] = []
    if isinstance(statement, DEFINITIONS):
        names = [statement.name]
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [one.id for one in targets if isinstance(one, ast.Name)]
    return [name for name in names if not name.startswith("__")]


def unused(tree: Any) -> list[str]:
    """Definitions of modules that nothing reaches."""
    sources = list(tree.sources())
    names = frozenset(source.module for source in sources)
    modules = {source.module: Module(source, names) for source in sources}
    edges: dict[Key, set[Key]] = {}
    reached: list[Key] = list(documented(tree))
    for source in tree.sources("examples"):
        user = Module(source, names)
        reached += user.uses(user.tree)
    for module in modules.values():
        for statement in module.statements(module.tree.body):
            keys = [(module.name, name) for name in defined(statement)]
            for key in keys:
                edges[key] = set(module.uses(statement)) - {key}
            if not isinstance(statement, ast.Import | ast.ImportFrom) and not keys:
                reached += module.uses(statement)
    alive: set[Key] = set()
    while reached:
        key = reached.pop()
        if key not in alive:
            alive.add(key)
            reached += edges.get(key, ())
            if key[1] == EVERYTHING:
                reached += [one for one in edges if one[0] == key[0]]
    dead = sorted(f"{module}.{name}" for module, name in edges.keys() - alive)
    return [one for one in dead if not one.startswith(BY_CONVENTION)]


def documented(tree: Any) -> Iterator[Key]:
    """What pyproject.toml and the documents name with its module."""
    for path, text in tree.texts():
        if path.suffix in {".md", ".toml"}:
            for module, name in NAMED.findall(text):
                yield (module if module.startswith(PACKAGE) else f"{PACKAGE}.{module}"), name
            for module, inside in IMPORTED.findall(text):
                for name in inside.split(","):
                    yield module, name.strip()


def is_kept(name: str) -> bool:
    return any(name == one or (one[-1] == "." and name.startswith(one)) for one in KEPT)


def test_every_name_is_used_by_something_that_runs(project: Any) -> None:
    found = unused(project)
    assert [name for name in found if not is_kept(name)] == []
    assert [one for one in KEPT if not any(name.startswith(one) for name in found)] == []


@pytest.mark.parametrize(
    "text",
    [
        "def dead(): ...",
        "DEAD = 1",
        "class Dead:\n    other: Dead",
        "def dead():\n    return dead() + 1",
        "if True:\n    DEAD = 1",
        "try:\n    DEAD = 1\nexcept ImportError:\n    DEAD = 2",
        "def _dead(): ...",
    ],
)
def test_a_name_that_nothing_uses_is_found(plant: Callable[..., Any], text: str) -> None:
    assert len(unused(plant({"server/a.py": text}))) == 1


def test_what_only_dead_code_uses_is_dead(plant: Callable[..., Any]) -> None:
    tree = plant(
        {"server/a.py": "from .b import B\ndef a():\n    return B", "server/b.py": "B = 1"}
    )
    assert unused(tree) == ["penstock.server.a.a", "penstock.server.b.B"]


@pytest.mark.parametrize(
    "user",
    [
        "from penstock.server.a import used\nused()",
        "from .a import used as other\nprint(other)",
        "from . import a\na.used()",
        "import penstock.server.a\npenstock.server.a.used()",
        "import penstock.server.a as here\nhere.used()",
        "from . import a\nfor module in (a,):\n    module.used()",
        "from typing import cast\nfrom .a import used\ncast('used', 1)",
        "from importlib import import_module\nVERBS = {'v': 'a:used'}\nimport_module(VERBS['v'])",
        "if __name__ == '__main__':\n    from .a import used\n    used()",
    ],
)
def test_every_way_to_use_a_name_counts(plant: Callable[..., Any], user: str) -> None:
    assert unused(plant({"server/a.py": "def used(): ...", "server/b.py": user})) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[project.scripts]\na = "penstock.server.a:used"'),
        ("docs/a.md", "Call `penstock.server.a.used`."),
        ("docs/a.md", "    from penstock.server.a import other, used"),
        ("examples/a.py", "from penstock.server.a import used\nused()"),
    ],
)
def test_entry_points_documents_and_examples_count(
    plant: Callable[..., Any], path: str, text: str
) -> None:
    assert unused(plant({"server/a.py": "def used(): ...", path: text})) == []
