"""Libraries that talk to their makers are used in one place, which silences them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ONNXRUNTIME_AT = "runtimes/telemetry.py"
DUCKDB_AT = "monitoring/offline_duckdb.py"


def talkative(tree: Any) -> list[str]:
    """Imports of onnxruntime and connections to DuckDB elsewhere."""
    found = []
    for source in tree.sources():
        place = source.path.as_posix()
        for node in source.nodes:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if place != ONNXRUNTIME_AT and any(
                name.partition(".")[0] == "onnxruntime" for name in names
            ):
                found.append(f"{place} imports onnxruntime")
            if (
                place != DUCKDB_AT
                and isinstance(node, ast.Attribute)
                and ast.unparse(node) == "duckdb.connect"
            ):
                found.append(f"{place} connects to DuckDB")
    return found


def test_libraries_that_talk_are_silenced_in_one_place(project: Any) -> None:
    assert talkative(project) == []


@pytest.mark.parametrize(
    "text",
    [
        "import onnxruntime",
        "def f():\n    import onnxruntime as ort",
        "from onnxruntime.capi import x",
        "import duckdb\nwith duckdb.connect() as db: ...",
    ],
)
def test_a_talkative_use_is_found(plant: Callable[..., Any], text: str) -> None:
    assert len(talkative(plant({"loadtests/a.py": text}))) == 1
