"""A source tree as the house rules see it: files, module names and syntax trees.

Every rule is a function from a `Tree` to a list of complaints. It runs on the project itself, where
there must be none, and on a planted violation, where there must be one.
"""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOMS = ("server", "runtimes", "batching", "monitoring", "loadtests")
PACKAGE = "penstock"
WRITTEN = (*ROOMS, "tests", "examples", "docs", "deploy", ".ci")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".html", ".css", ".js", ".sh", ".txt"}
MADE = ("build", "__pycache__")
FOREIGN = "services"  # the peers' services run in environments of their own


@dataclass(frozen=True)
class Source:
    """One Python file; ``path`` is relative to the root of its tree."""

    path: Path
    text: str

    @property
    def room(self) -> str:
        return self.path.parts[0]

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    @property
    def package(self) -> str:
        """What relative imports in this file are relative to."""
        return ".".join((PACKAGE, *self.path.parts[:-1]))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))


class Tree:
    """A project directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, Source] = {}

    def sources(self, *folders: str) -> Iterator[Source]:
        """Python files of these top-level folders; of the rooms when none is named."""
        for folder in folders or ROOMS:
            for path in files(self.root / folder):
                if path.suffix == ".py" and FOREIGN not in path.parts:
                    yield self._source(path)

    def _source(self, path: Path) -> Source:
        """Each file is read and parsed once, whatever number of rules look at it."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = Source(path.relative_to(self.root), path.read_text())
        return known

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every text file that people wrote, documents and recipes included."""
        top = [path for path in sorted(self.root.iterdir()) if path.is_file()]
        for path in (*top, *(path for folder in WRITTEN for path in files(self.root / folder))):
            if path.suffix in TEXT or path.name in {"Makefile", "Dockerfile", "run"}:
                yield path.relative_to(self.root), path.read_text()


def files(folder: Path) -> Iterator[Path]:
    """All files below, without caches and environments that tools made there."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in MADE)
        yield from (Path(at, name) for name in sorted(names))


@pytest.fixture(scope="session")
def project() -> Tree:
    """The repository itself."""
    return Tree(Path(__file__).resolve().parents[2])


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[Mapping[str, str]], Tree]:
    """Build a small tree out of paths and their text."""

    def build(files: Mapping[str, str]) -> Tree:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Tree(tmp_path)

    return build
