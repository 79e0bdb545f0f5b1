"""The page on compatible clients has the rows of the tests that run them, and no others."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

from compatibility import BEGIN, PAGE, PATHS, Row, pinned_version, row_of, table

ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
VERSION = re.compile(r"^\| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def declared(text: str) -> list[Row]:
    """The rows that the markers of a file declare."""
    return [
        row_of(*(ast.literal_eval(one) for one in node.args))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.client"
    ]


def shown(page: str) -> list[Row]:
    """The rows of the page."""
    table = page.partition(BEGIN)[2]
    return [Row(*match.groups()) for match in ROW.finditer(table)][1:]


def test_the_page_has_the_rows_of_the_tests() -> None:
    files = [
        file
        for path in PATHS
        for file in (sorted(path.glob("test_*.py")) if path.is_dir() else [path])
    ]
    rows = [row for file in files for row in declared(file.read_text())]
    assert len(rows) > 30
    assert sorted(set(rows)) == sorted(shown(PAGE.read_text()))


def test_clients_with_a_pin_are_shown_in_its_version() -> None:
    versions = dict(VERSION.findall(PAGE.read_text().partition(BEGIN)[2]))
    pins = {client: pinned_version(client) for client in versions}
    pinned = {client: pin for client, pin in pins.items() if pin is not None}
    assert len(pinned) > 5
    assert pinned == {client: versions[client] for client in pinned}


def test_a_row_is_read_as_it_is_written() -> None:
    rows = [Row("a", "b", "works"), Row("c", "d", "501 by design")]
    assert shown(BEGIN + table(rows)) == rows
    marked = '@pytest.mark.client("a", "b")\ndef test(): ...\n'
    assert declared(marked) == [Row("a", "b", "works")]
