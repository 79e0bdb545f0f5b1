"""Nothing is remembered that only tests read: every attribute that a method sets is read by name.

An augmented assignment, such as of a counter, is no reading. Fields of dataclasses and of structs
are left out: they are written into records and answers without their names.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

from .test_unused_methods import BY_CONVENTION, Classes, foreign_bases, names, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What nothing reads, and why it stays.
KEPT = {
    "penstock.server.http.flow.FastCycle.disconnected": "is read by uvicorn's class",
}


def unread(tree: Any) -> list[str]:
    """Attributes that methods set and nothing reads."""
    sources = [one for one in tree.sources() if not one.module.startswith(BY_CONVENTION)]
    bases = {cls: origins for one in map(Classes, sources) for cls, origins in one.bases.items()}
    read = set(written(tree)) | {
        name for one in sources for node in one.nodes for name in names(node)
    }
    found = set()
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                cls = f"{source.module}.{node.name}"
                others = [*foreign_bases(cls, bases)]
                found |= {
                    f"{cls}.{name}"
                    for name in set_by_methods(node)
                    if name not in read and not any(sets(base, name) for base in others)
                }
    return sorted(found)


def set_by_methods(cls: ast.ClassDef) -> Iterator[str]:
    """Names of the attributes that the methods of a class set of ``self``, without its fields."""
    fields = {one.target.id for one in cls.body if isinstance(one, ast.AnnAssign)}
    for node in ast.walk(cls):
        match node:
            case ast.Attribute(ast.Name("self"), name, ast.Store()) if name not in fields:
                yield name


def sets(base: type, name: str) -> bool:
    """Whether a class that is not ours has the attribute, or may read it of its own instances."""
    return (
        hasattr(base, name)
        or name in getattr(base, "__annotations__", ())
        or any(
            name in getattr(method, "__code__", compile("", "", "exec")).co_names
            for one in base.__mro__
            for method in vars(one).values()
        )
    )


def test_every_attribute_is_read_by_something_that_runs(project: Any) -> None:
    assert unread(project) == sorted(KEPT)


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def a(self):\n        self.dead = 1",
        "class A:\n    def a(self):\n        self.b, self.dead = self.b, 1",
        "class A:\n    def a(self):\n        self.dead: int = 0\n        self.dead += 1",
        "class A:\n    __slots__ = ('dead',)\n    def a(self):\n        self.dead = 1",
    ],
)
def test_an_attribute_that_nothing_reads_is_found(plant: Callable[..., Any], text: str) -> None:
    assert unread(plant({"server/a.py": text})) == ["penstock.server.a.A.dead"]


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("server/b.py", "def b(a):\n    return a.dead"),
        ("server/b.py", "def b(a):\n    return getattr(a, 'dead')"),
        ("server/templates/a.html", "{{ a.dead }}"),
        ("examples/a.py", "def b(a):\n    a.dead"),
    ],
)
def test_every_way_to_read_it_counts(plant: Callable[..., Any], path: str, user: str) -> None:
    text = "class A:\n    def a(self):\n        self.dead = 1\n"
    assert unread(plant({"server/a.py": text, path: user})) == []


def test_what_the_class_of_a_framework_reads_is_used(plant: Callable[..., Any]) -> None:
    text = "import logging\nclass A(logging.Handler):\n    def a(self):\n        self.formatter = 1"
    assert unread(plant({"server/a.py": text})) == []
