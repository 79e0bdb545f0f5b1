"""Each page begins with one sentence that says who needs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

OPENING = re.compile(r"# [^\n]+\n\n(Read this page (if|before) you |This page is for )")


def test_each_page_says_first_who_needs_it(pages: list[Path]) -> None:
    rest = [page for page in pages if page.name != "README.md"]  # which is for everybody
    assert len(rest) > 10
    assert [page.name for page in rest if not OPENING.match(page.read_text())] == []


@pytest.mark.parametrize(
    "page", ["# A\n\nA is a thing.\n", "# A\n\n## B\n\nRead this page if you b"]
)
def test_a_page_that_does_not_is_found(page: str) -> None:
    assert OPENING.match(page) is None
