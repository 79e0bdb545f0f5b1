"""The changelog stays short: a merge that brings long entries back is found."""

from __future__ import annotations

import re
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
#: Of one release; entries say what a user notices, the pages say the rest.
MOST_WORDS = 2_000
SUBJECT = re.compile(r"^\*\*[A-Z][a-z]+\*\*$", re.MULTILINE)


def unreleased(text: str) -> str:
    """The part of the release in progress."""
    return text.partition("\n## [Unreleased]\n")[2].partition("\n## ")[0]


def loose(text: str) -> list[str]:
    """Entries of what was added that stand under no subject."""
    added = unreleased(text).partition("### Added\n")[2].partition("\n### ")[0]
    first = SUBJECT.split(added)[0]
    return [line for line in first.splitlines() if line.startswith("- ")]


def test_the_release_in_progress_is_told_in_few_words_by_subject() -> None:
    text = CHANGELOG.read_text()
    assert 100 < len(unreleased(text).split()) <= MOST_WORDS
    assert loose(text) == []


def test_an_entry_without_a_subject_is_found() -> None:
    page = "# C\n\n## [Unreleased]\n\n### Added\n\n- a\n\n**Serving**\n\n- b\n\n### Fixed\n\n- c\n"
    assert loose(page) == ["- a"]
