"""Links from page to page lead to files and headings that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LINK = re.compile(r"\]\(([^)\s:]*?)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def dead(page: Path) -> list[str]:
    """Links of a page to files or headings that do not exist."""
    found = []
    for path, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}" if anchor else path)
    return found


def test_every_link_between_pages_leads_somewhere(pages: list[Path]) -> None:
    assert {page.name: dead(page) for page in pages} == {page.name: [] for page in pages}


@pytest.mark.parametrize("link", ["b.md", "#beta", "a.md#beta", "../a.md"])
def test_a_link_to_nowhere_is_found(tmp_path: Path, link: str) -> None:
    page = tmp_path / "a.md"
    page.write_text(f"# A `b`: c\n[1]({link}) [2](#a-b-c) [3](a.md) [4](https://example.org/b.md)")
    assert dead(page) == [link]
