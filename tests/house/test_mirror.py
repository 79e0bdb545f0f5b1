"""Tests stand where a reader looks for them: in a folder named like the room they test."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOMS = {"server", "runtimes", "batching", "monitoring", "loadtests"}
KINDS = {
    "simulation",
    "e2e",
    "conformance",
    "house",
    "journeys",
    "examples",
    "benchmarks",
    "deploy",
    "docs",
    "integrations",
}


def strays(tree: Any) -> list[str]:
    """Test files that mirror nothing."""
    complaints = []
    for source in tree.sources("tests"):
        folders = source.path.parent.parts[1:]
        mirrored = tree.root.joinpath(*folders)
        if source.path.name == "conftest.py" or (folders and folders[0] in KINDS):
            continue
        if not folders or folders[0] not in ROOMS or not mirrored.is_dir():
            complaints.append(str(source.path))
    return sorted(complaints)


def unnamed(tree: Any) -> list[str]:
    """Files with tests that pytest would not collect."""
    return [
        str(source.path)
        for source in tree.sources("tests")
        if not source.path.name.startswith("test_")
        and any(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in source.nodes
        )
    ]


def test_every_test_mirrors_a_room(project: Any) -> None:
    assert strays(project) == []


def test_every_test_file_is_collected(project: Any) -> None:
    assert unnamed(project) == []


def test_a_stray_is_found(plant: Callable[..., Any]) -> None:
    tree = plant(
        {
            "server/http/app.py": "",
            "tests/server/http/test_app.py": "",
            "tests/server/grpc/test_app.py": "",
            "tests/misc/test_app.py": "",
            "tests/test_app.py": "",
            "tests/e2e/test_app.py": "",
            "tests/e2e/helper.py": "def wait(): ...",
            "tests/e2e/apps.py": "def test_app(): ...",
        }
    )
    assert strays(tree) == [
        "tests/misc/test_app.py",
        "tests/server/grpc/test_app.py",
        "tests/test_app.py",
    ]
    assert unnamed(tree) == ["tests/e2e/apps.py"]
