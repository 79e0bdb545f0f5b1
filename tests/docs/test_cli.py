"""The tables of docs/cli.md are those of the command line; run as a program, it writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from penstock.server.cli.exits import Exit
from penstock.server.cli.main import build_command
from penstock.server.cli.verbs import GROUPS, MEMBERS, PANELS, VERBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def command_of(path: str) -> Any:
    found: Any = build_command()
    for word in path.split():
        found = found.commands[word]
    return found


def verbs_table() -> str:
    """Every verb by heading, with the first sentence of its help."""
    lines = ["| command | what it does |", "|---|---|"]
    firsts = [one for one in PANELS if one not in MEMBERS]
    for first in firsts:
        for path in VERBS:
            if path.split()[0] == first:
                said = str(command_of(path).help).partition("\n\n")[0].replace("\\[", "[")
                lines.append(f"| `penstock {path}` | {said} |")
    own = [path for path in VERBS if path.split()[0] in MEMBERS]
    lines += [f"| `penstock {path}` | {command_of(path).help} |" for path in own]
    return "\n".join(lines) + "\n"


def groups_table() -> str:
    lines = ["| group | what is in it |", "|---|---|"]
    for name, members in MEMBERS.items():
        own = [path.partition(" ")[2] for path in VERBS if path.startswith(f"{name} ")]
        listed = ", ".join(f"`{one}`" for one in (*own, *members))
        lines.append(f"| `penstock {name}` | {GROUPS[name]} {listed} |")
    return "\n".join(lines) + "\n"


def exits_table() -> str:
    lines = ["| exit status | meaning |", "|---|---|"]
    lines += [f"| `{one.value}` | {one.meaning} |" for one in Exit]
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The page with the tables of now."""
    tables = iter((verbs_table(), groups_table(), exits_table()))
    return TABLE.sub(lambda _: next(tables), page)


def test_the_tables_are_those_of_the_command_line() -> None:
    page = PAGE.read_text()
    assert len(TABLE.findall(page)) == 3
    assert page == written(page), "run: python tests/docs/test_cli.py"


def test_every_verb_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert [path for path in VERBS if f"| `penstock {path}` |" not in page] == []


def test_a_stale_table_is_found() -> None:
    page = PAGE.read_text()
    stale = page.replace("| `penstock serve` |", "| `penstock server` |")
    assert written(stale) == page != stale


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
