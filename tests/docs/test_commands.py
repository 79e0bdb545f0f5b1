"""What the pages tell to type works, and prints what the pages show."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BELOW = (str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))
NAMES = ["README.md", "CONTRIBUTING.md", *BELOW]
SERVER = "```sh\npenstock serve models\n```\n\n"
#: A page with one of these words asks a server, or reads what a server has left behind.
ASKS = re.compile(r"\bpenstock [a-z]|\bcurl\b|\blocalhost\b")
#: Why a block does not run: a test runs it.
RUN_ELSEWHERE = re.compile(r"not run: (tests/\S+\.py) runs (it|the same)$")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the pages call curl")


@needs_curl
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_commands_of_a_page_work(
    markdown: Any, session: Any, home: Path, tmp_path: Path, name: str
) -> None:
    text = (ROOT / name).read_text()
    page = markdown.blocks(text)
    if not any(block.runs for block in page):
        pytest.skip("no command of this page runs here")
    commands = [block.body for block in page if block.runs]
    served = any("penstock serve " in body for body in commands)
    if not served and any(ASKS.search(body) for body in commands):
        page = markdown.blocks(SERVER) + page
    assert session.run(page, home, tmp_path) == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_block_of_a_page_is_run_read_or_excused(markdown: Any, name: str) -> None:
    assert markdown.complaints((ROOT / name).read_text()) == []


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```\npenstock status\n```", "line 1: a block of kind ''"),
        ("a\n```bash\npenstock status\n```", "line 2: a block of kind 'bash'"),
        ("```text\npenstock status\n```", "a command in a text block: penstock s"),
        ("```text\n$ ls\n```", "a command in a text block: $"),
        ("<!-- not run: -->\n```sh\nls\n```", "the mark 'not run:'"),
        ("<!-- not run: no -->\n```sh\nls\n```", "without a reason"),
        ("<!-- skip -->\n```sh\nls\n```", "the mark 'skip'"),
        ("- a\n\n  ```sh\n  ls\n  ```", "line 3: a fence that is not at the margin"),
        ("~~~sh\nls\n~~~", "line 1: a fence that is not at the margin"),
        ("```json\n{}\n```", "neither a file nor an output"),
        ("```toml\na = 1\n```", "neither a file nor an output"),
        ("<!-- output -->\n```json\n{}\n```", "an output without a block before it"),
        (
            "<!-- not run: it takes hours -->\n```sh\nls\n```\n<!-- output -->\n```json\n{}\n```",
            "an output without a block before it",
        ),
    ],
)
def test_a_block_that_nobody_runs_or_reads_is_found(
    markdown: Any, page: str, complaint: str
) -> None:
    found = markdown.complaints(page)
    assert found
    assert complaint in found[0]


def not_tested(page: Path, found: list[Any]) -> list[str]:
    """The commands of a page that neither run here nor in the test that their reason names."""
    missing = []
    for block in found:
        if block.kind not in ("sh", "console", "python") or block.runs or block.file:
            continue
        reason = RUN_ELSEWHERE.match(block.mark)
        test = ROOT / reason[1] if reason else None
        if test is None or not test.is_file() or page.name not in test.read_text():
            missing.append(f"{page.name}, line {block.line}: {block.mark}")
    return missing


def test_every_command_of_the_documentation_is_run_by_a_test(
    markdown: Any, pages: list[Path]
) -> None:
    inside = [page for page in pages if page.parent.name == "docs"]
    assert len(inside) > 10
    assert [
        line for page in inside for line in not_tested(page, markdown.blocks(page.read_text()))
    ] == []


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("it takes minutes", "plugins.md"),
        ("tests/runtimes/test_nothing.py runs it", "plugins.md"),
        ("tests/runtimes/test_plugins_doc.py runs it", "drift.md"),
    ],
)
def test_a_command_that_no_test_runs_is_found(markdown: Any, reason: str, name: str) -> None:
    page = markdown.blocks(f"<!-- not run: {reason} -->\n```sh\nls\n```\n")
    assert len(not_tested(Path(name), page)) == 1


def test_blocks_that_are_run_read_or_excused_are_accepted(markdown: Any) -> None:
    page = (
        "```sh\nls\n```\n<!-- output -->\n```json\n{}\n```\n"
        "<!-- file: a.toml -->\n```toml\na = 1\n```\n"
        "<!-- not run: it needs Docker -->\n```sh\ndocker ps\n```\n```text\nGET /a\n```\n"
    )
    assert markdown.complaints(page) == []
    assert [block.runs for block in markdown.blocks(page)] == [True, False, False, False, False]


def test_the_pages_run_most_of_their_commands(markdown: Any, pages: list[Path]) -> None:
    """Guards the harness: a mistake in the pattern of blocks would run none."""
    found = [block for page in pages for block in markdown.blocks(page.read_text())]
    fences = sum(len(re.findall(r"^```+\w", page.read_text(), re.MULTILINE)) for page in pages)
    assert len(found) == fences
    assert sum(block.runs for block in found) >= 18

    readme = markdown.blocks((ROOT / "README.md").read_text())
    assert sum(block.runs for block in readme) >= 3
