"""The training script as a module, and what it makes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name: str) -> Iterator[ModuleType]:
    """Import a script that is not part of a package."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def train() -> Iterator[ModuleType]:
    yield from load("train")


@pytest.fixture(scope="session")
def demo() -> Iterator[ModuleType]:
    yield from load("demo")


@pytest.fixture(scope="session")
def trained(train: Any) -> dict[str, Any]:
    """Freshly fitted estimators by ``model/version``."""
    return {f"{model.name}/{model.version}": model for model in train.train()}
