"""The sources speak of the project alone: nothing of the machine they were written on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

#: Written so that no pattern matches itself.
FORBIDDEN = re.compile(
    r"""
    /[w]ork/ | /[r]oot/ | /[h]ome/[a-z] | /[U]sers/ | /[o]pt/(pypi|wheels)   # somebody's machine
    | ^[<]{7}[ ] | ^[>]{7}[ ]                                                 # an unfinished merge
    | \b[N]otImplementedError\b                                               # a stub
    """,
    re.VERBOSE | re.MULTILINE,
)


def found(tree: Any) -> list[str]:
    """Where forbidden words are."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()}"
        for path, text in tree.texts()
        for match in FORBIDDEN.finditer(text)
    ]


def test_no_forbidden_words(project: Any) -> None:
    assert found(project) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("docs/a.md", ["", "work", "main"]),
        ("Makefile", ["", "root", ".venv"]),
        ("deploy/a.yml", ["", "home", "me"]),
        (".ci/run", ["", "opt", "wheels"]),
    ],
)
def test_a_forbidden_path_is_found(plant: Callable[..., Any], path: str, words: list[str]) -> None:
    assert len(found(plant({path: "fine\n" + "/".join(words)}))) == 1


def test_a_stub_is_found(plant: Callable[..., Any]) -> None:
    assert len(found(plant({"server/a.py": "raise Not" + "ImplementedError"}))) == 1


def test_ordinary_paths_pass(plant: Callable[..., Any]) -> None:
    assert found(plant({"README.md": "/v2/models and /models/work and ~/.cache"})) == []
