"""How often a decision is right or wrong stands in docs/trust.md, with its conditions, only."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TRUST = "docs/trust.md"
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SHARE = re.compile(r"\d ?%|\b\d+ of \d[\d,]*\b|\b(all|none) of \d")
#: What decisions are right or wrong about.
DECISION = re.compile(
    r"false(ly)?[ -](alarm|abort|flag|promot)|without drift|flagged falsely"
    r"|by chance|as good\b|aborted|rolled back"
    r"|healthy (canar|candidate|window)|coverage of|wrong with|would be (found|named)|power of"
)
COMMAND = re.compile(r"`pytest ([\w./]+\.py)(?: -s)?(?: -k (\w+))?`")
COLUMNS = 6


def sentences(text: str) -> list[str]:
    """Sentences and rows of tables."""
    found: list[str] = []
    for part in re.split(r"\n\s*\n|\n(?=[|\-*#])", FENCE.sub("", text)):
        joined = " ".join(part.split())
        found += [joined] if joined.startswith("|") else re.split(r"(?<=[.;:]) ", joined)
    return found


def rates(tree: Any) -> list[str]:
    """What other pages state."""
    pages = [tree.root / "README.md", *sorted((tree.root / "docs").rglob("*.md"))]
    return [
        f"{page.name}: {one}"
        for page in pages
        if page.is_file() and page != tree.root / TRUST
        for one in sentences(page.read_text())
        if SHARE.search(one) and DECISION.search(one)
    ]


def promises(text: str) -> list[list[str]]:
    """The cells of each promise."""
    rows = [
        [cell.strip() for cell in line.strip()[1:-1].split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    tables = [number for number, row in enumerate(rows) if row[0] == "promise"]
    found = []
    for start in tables:
        for row in rows[start + 2 :]:
            if row[0] in {"promise", "rule", "candidate"}:
                break
            found.append(row)
    return found


def test_no_other_page_states_a_rate(project: Any) -> None:
    assert rates(project) == []


@pytest.mark.parametrize(
    "line",
    [
        "A healthy canary is stopped in 2 % of ramps.",
        "| as good, with an outage | 0 of 1,000 |",
        "It raises a false alarm in\n0.3 % of the months.",
        "It has a false-alarm rate: of windows without drift, 1 % flag a feature.",
    ],
)
def test_a_rate_on_another_page_is_found(plant: Callable[..., Any], line: str) -> None:
    assert len(rates(plant({"docs/a.md": f"# A\n\n{line}\n"}))) == 1


def test_other_shares_and_the_page_of_rates_pass(plant: Callable[..., Any]) -> None:
    shares = "The canary has 5 % of the requests. A false alarm has a price."
    page = "A healthy canary is stopped in 2 % of ramps."
    assert rates(plant({"docs/a.md": shares, TRUST: page})) == []


def test_each_promise_has_its_conditions_its_rates_and_a_command(project: Any) -> None:
    found = promises((project.root / TRUST).read_text())
    assert len(found) > 25
    for row in found:
        assert len(row) == COLUMNS, row[0]
        for place in (1, 3, 4, 5):
            assert row[place].strip(), row[0]
        assert row[5] == "the same" or "`" in row[5], row[0]


def test_each_command_names_tests_that_there_are(project: Any) -> None:
    commands = COMMAND.findall((project.root / TRUST).read_text())
    assert len(commands) > 15
    for path, chosen in commands:
        tree = ast.parse((project.root / path).read_text())
        names = [one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]
        tests = [name for name in names if name.startswith("test_") and chosen in name]
        assert tests, f"{path} -k {chosen}"
