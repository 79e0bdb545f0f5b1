"""Nothing is kept that only its tests use: every method is reached from what runs.

Which class a value has is not known here, so a method is known by its name. It is reached if code
that runs reads an attribute of this name, or if a page or a template does. Code that runs is all
code outside methods (`test_unused` looks at that), and the bodies of methods that are reached. A
method that is read in methods of its own name only, as a ``close`` that closes something inside, is
not reached. A protocol and the classes that have its methods use the same names: a method of a
protocol that nobody calls is found in all of them.

Frameworks call methods by their names. Such a method overrides one of a class that is not ours;
that class is imported here and asked.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "penstock"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: Loaded by their frameworks, which replace the sockets of the process that imports them.
BY_CONVENTION = ("penstock.loadtests.locustfile", "penstock.loadtests.peers.services.")
#: Take the name of an attribute as a text.
LOOKUPS = {"getattr", "hasattr", "attrgetter", "methodcaller"}
#: What nothing reaches, and why it stays.
KEPT = {
    "penstock.server.cli.plain_values._Reader.coerce": "is read by Typer's options and arguments",
    "penstock.server.http.flow.FastCycle.message_event": "is read by uvicorn's class",
}
#: A call in a document, an attribute in a template.
CALLED = re.compile(r"\.(\w+)\(")
SHOWN = re.compile(r"\.(\w+)")


class Classes:
    """The classes of a file, and the names that its code reads.

    Attributes:
        bases: Class -> its bases, with the module of each.
        methods: Class and name of a method -> the names that its body reads.
        read: Names that code outside methods reads.
    """

    def __init__(self, source: Any) -> None:
        self.module = source.module
        self.bases: dict[str, list[str]] = {}
        self.methods: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.read: set[str] = set()
        self._origins = dict(imported(source))
        self._computed: list[tuple[str, str]] = []
        self._visit(source.nodes[0], self.read)
        for owner, beginning in self._computed:
            self.read.update(
                name for cls, name in self.methods if cls == owner and name.startswith(beginning)
            )

    def _visit(self, node: ast.AST, into: set[str]) -> None:
        """Collect the names that a piece of code reads, those of methods apart from the others."""
        into.update(names(node))
        if isinstance(node, ast.ClassDef):
            self.bases[f"{self.module}.{node.name}"] = [*map(self._origin, node.bases)]
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.ClassDef) and isinstance(child, FUNCTIONS):
                self._method(node, child)
            else:
                self._visit(child, into)

    def _method(self, owner: ast.ClassDef, method: ast.AST) -> None:
        name = method.name
        body = self.methods[f"{self.module}.{owner.name}", name]  # a property may have two
        for child in ast.iter_child_nodes(method):
            self._visit(child, body)
        self._computed += [(f"{self.module}.{owner.name}", one) for one in computed(method)]

    def _origin(self, base: ast.expr) -> str:
        """A base class with its module: ``logging.Handler``."""
        if isinstance(base, ast.Subscript):
            return self._origin(base.value)
        if isinstance(base, ast.Attribute):
            return f"{self._origin(base.value)}.{base.attr}"
        name = getattr(base, "id", "")
        if name in self._origins:
            return self._origins[name]
        return f"builtins.{name}" if hasattr(builtins, name) else f"{self.module}.{name}"


def imported(source: Any) -> Iterator[tuple[str, str]]:
    """The imported names of a file, and what each stands for."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = source.package.split(".")
                module = ".".join([*above[: len(above) - node.level + 1], module]).rstrip(".")
            for alias in node.names:
                yield alias.asname or alias.name, f"{module}.{alias.name}"


def names(node: ast.AST) -> list[str]:
    """Names of attributes that a node reads, those that it gives as a text among them."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        return [node.attr]
    if isinstance(node, ast.MatchClass):
        return node.kwd_attrs
    if not isinstance(node, ast.Call):
        return []
    function = node.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called not in LOOKUPS:
        return []
    texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
    return [part for text in texts if isinstance(text, str) for part in text.split(".")]


def computed(method: ast.AST) -> Iterator[str]:
    """Beginnings of the names that a method computes of methods of its own class."""
    for node in ast.walk(method):
        match node:
            case ast.Call(
                func=ast.Name("getattr"),
                args=[ast.Name("self"), ast.JoinedStr([ast.Constant(str(beginning)), *_])],
            ):
                yield beginning


@cache
def foreign(origin: str) -> Any:
    """A class that is not ours; nothing if it is not installed."""
    module, _, name = origin.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def foreign_bases(cls: str, bases: dict[str, list[str]]) -> Iterator[Any]:
    """The classes of others that a class is made from."""
    for origin in bases.get(cls, ()):
        if origin in bases:
            yield from foreign_bases(origin, bases)
        elif not origin.startswith(f"{PACKAGE}.") and (found := foreign(origin)) is not None:
            yield found


def unused_methods(tree: Any) -> list[str]:
    """Methods that nothing reaches."""
    files = [Classes(one) for one in tree.sources() if not one.module.startswith(BY_CONVENTION)]
    bases = {cls: origins for one in files for cls, origins in one.bases.items()}
    bodies: dict[str, set[str]] = defaultdict(set)
    waiting = set(written(tree)).union(*(one.read for one in files))
    owners: dict[str, set[str]] = defaultdict(set)
    for one in files:
        for (cls, name), read in one.methods.items():
            if is_special(name) or any(hasattr(base, name) for base in foreign_bases(cls, bases)):
                waiting |= read
            else:
                owners[name].add(cls)
                bodies[name] |= read
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= bodies.get(name, set()) - reached
    return sorted(f"{cls}.{name}" for name in owners.keys() - reached for cls in owners[name])


def is_special(name: str) -> bool:
    """Whether the language calls it."""
    return name.startswith("__") and name.endswith("__")


def written(tree: Any) -> Iterator[str]:
    """What documents call, what templates show, and what examples read."""
    for path, text in tree.texts():
        if path.suffix == ".md":
            yield from CALLED.findall(text)
        elif "templates" in path.parts:
            yield from SHOWN.findall(text)
    for source in tree.sources("examples"):
        for node in source.nodes:
            yield from names(node)


def test_every_method_is_used_by_something_that_runs(project: Any) -> None:
    assert unused_methods(project) == sorted(KEPT)


DEAD = "class A:\n    def dead(self): ...\n"


@pytest.mark.parametrize(
    "text",
    [
        DEAD,
        "class A:\n    async def dead(self): ...",
        "class A:\n    @property\n    def dead(self): ...",
        "class A:\n    @classmethod\n    def dead(cls): ...",
        "def made():\n    class A:\n        def dead(self): ...\n    return A",
        "import logging\nclass A(logging.Handler):\n    def dead(self): ...",
        "class A:\n    def __init__(self, b):\n        b.dead = 1\n    def dead(self): ...",
        "class A:\n    def dead(self):\n        return self.dead()",
        (
            "class A:\n    def __init__(self, b):\n        self.b = b\n"
            "    def dead(self):\n        self.b.dead()"
        ),
        "class A:\n    def dead(self):\n        return getattr(self, f'_{self}')\n",
        (
            "from typing import Protocol\nclass P(Protocol):\n    def dead(self): ...\n"
            "class A:\n    def dead(self): ..."
        ),
    ],
)
def test_a_method_that_nothing_calls_is_found(plant: Callable[..., Any], text: str) -> None:
    found = unused_methods(plant({"server/a.py": text}))
    assert {one.rpartition(".")[2] for one in found} == {"dead"}


def test_what_only_dead_methods_call_is_dead(plant: Callable[..., Any]) -> None:
    text = "class A:\n    def a(self):\n        self.b()\n    def b(self): ...\n"
    found = unused_methods(plant({"server/a.py": text}))
    assert found == ["penstock.server.a.A.a", "penstock.server.a.A.b"]


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("server/b.py", "def b(a):\n    a.dead()"),
        ("server/b.py", "def b(a):\n    return a.dead"),
        ("server/b.py", "class B:\n    def __init__(self, a):\n        a.dead()"),
        ("server/b.py", "def b(a):\n    getattr(a, 'dead')()"),
        ("server/b.py", "from operator import methodcaller\nb = methodcaller('dead')"),
        ("server/b.py", "def b(a):\n    match a:\n        case A(dead=1): ..."),
        (
            "server/b.py",
            "from .a import A\nclass B(A):\n    def __len__(self):\n        return self.dead()",
        ),
        ("docs/a.md", "Call `a.dead()`."),
        ("server/templates/a.html", "{{ a.dead }}"),
        ("examples/a.py", "def b(a):\n    a.dead()"),
    ],
)
def test_every_way_to_reach_a_method_counts(
    plant: Callable[..., Any], path: str, user: str
) -> None:
    assert unused_methods(plant({"server/a.py": DEAD, path: user})) == []


@pytest.mark.parametrize(
    "text",
    [
        "import logging\nclass A(logging.Handler):\n    def emit(self, record): ...",
        (
            "from http.server import BaseHTTPRequestHandler as Base\nclass B(Base): ...\n"
            "class A(B):\n    def log_message(self): ..."
        ),
        (
            "import ast\nclass A(ast.NodeVisitor):\n    def generic_visit(self, node):\n"
            "        self.helped()\n    def helped(self): ..."
        ),
        "class A(dict[int, str]):\n    def items(self): ...",
        (
            "class A:\n    def __init__(self):\n        for a in (1,):\n"
            "            getattr(self, f'_on_{a}')\n    def _on_1(self): ..."
        ),
    ],
)
def test_methods_that_frameworks_call_are_used(plant: Callable[..., Any], text: str) -> None:
    assert unused_methods(plant({"server/a.py": text})) == []
