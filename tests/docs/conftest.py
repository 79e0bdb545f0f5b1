"""The pages, what reads their blocks, and a home in which their commands are run."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def load(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def markdown() -> Any:
    return load("markdown")


@pytest.fixture(scope="session")
def session() -> Any:
    return load("session")


@pytest.fixture(scope="session")
def pages() -> list[Path]:
    return PAGES


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory like a checkout, of which the commands may change anything.

    ``models`` and ``examples`` are copies; ``make`` runs the verbs of the project itself, and
    ``tests`` are its tests. The path is short, because sockets are made below it.
    """
    home = Path(tempfile.mkdtemp(prefix="penstock-docs-"))
    try:
        private = shutil.ignore_patterns(".penstock", "__pycache__")
        shutil.copytree(ROOT / "examples", home / "examples", ignore=private)
        shutil.copytree(home / "examples" / "registry", home / "models")
        shutil.copy(home / "models" / "breast-cancer" / "1" / "model.onnx", home / "model.onnx")
        (home / "Makefile").write_text(f"%:\n\t@$(MAKE) --no-print-directory -C {ROOT} $@\n")
        (home / "tests").symlink_to(ROOT / "tests")
        (home / ".venv").symlink_to(Path(sys.executable).parents[1])
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
