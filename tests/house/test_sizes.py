"""Small files and small functions: what fits on a few screens can be reviewed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_LINES = 300
FUNCTION_LINES = 50
CODE = ("server", "runtimes", "batching", "monitoring", "loadtests", "examples")


def long_files(tree: Any) -> list[str]:
    """Files over the limit."""
    return [
        f"{source.path} has {lines} lines"
        for source in tree.sources(*CODE)
        if (lines := source.text.count("\n")) > FILE_LINES
    ]


def long_functions(tree: Any) -> list[str]:
    """Functions over the limit; the docstring is not counted, a long one is welcome."""
    return [
        f"{source.path}:{node.lineno} {node.name} has {lines} lines"
        for source in tree.sources(*CODE)
        for node in source.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := code_lines(node)) > FUNCTION_LINES
    ]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_files_are_small(project: Any) -> None:
    assert long_files(project) == []


def test_functions_are_small(project: Any) -> None:
    assert long_functions(project) == []


def test_a_long_file_is_found(plant: Callable[..., Any]) -> None:
    tree = plant({"server/a.py": "x = 1\n" * 301, "server/b.py": "x = 1\n" * 300})
    assert long_files(tree) == ["server/a.py has 301 lines"]


def test_a_long_function_is_found(plant: Callable[..., Any]) -> None:
    def function(lines: int) -> str:
        return "async def f():\n" + '    """Says\n    much."""\n' + "    x = 1\n" * (lines - 1)

    tree = plant({"batching/a.py": function(51), "batching/b.py": function(50)})
    assert long_functions(tree) == ["batching/a.py:1 f has 51 lines"]
