"""The fenced blocks of a page, what they are for, and the rules that they keep.

A line before a fence says what the block is:

``<!-- not run: REASON -->``   these commands cannot run in a test, because of REASON
``<!-- output -->``            what the block before printed
``<!-- file: NAME -->``        the content of a file that the commands after it may use

Blocks of commands (``sh``, ``console``, ``python``) without a mark are run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n+)?"
    r"^(?P<fence>```+)(?P<kind>[^\n]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
#: Fences that `BLOCK` does not see.
ODD_FENCE = re.compile(r"^(?:[ \t>]+```|[ \t]*~~~).*$", re.MULTILINE)
COMMANDS = ("sh", "console", "python")
#: Blocks that a program reads. Each is a file, or what a command printed.
CONTENT = ("json", "toml", "yaml")
#: Blocks for people only.
SHOWN = ("text", "mermaid", "promql")
COMMAND = re.compile(
    r"^\s*(?:\$ |penstock [a-z]|curl |make [a-z]|python3? |pip3? |docker |kubectl |helm |systemctl "
    r"|pytest |\S*/python )",
    re.MULTILINE,
)
NOT_RUN = "not run: "
FILE = "file: "
OUTPUT = "output"
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is that of its fence in the page."""

    line: int
    mark: str
    kind: str
    body: str

    @property
    def file(self) -> str:
        """The name of the file whose content this is, or nothing."""
        return self.mark.removeprefix(FILE) if self.mark.startswith(FILE) else ""

    @property
    def runs(self) -> bool:
        return self.kind in COMMANDS and not self.mark


def blocks(markdown: str) -> list[Block]:
    """All blocks of a page, in order."""
    return [
        Block(
            line=markdown.count("\n", 0, found.start("fence")) + 1,
            mark=found["mark"] or "",
            kind=found["kind"].strip(),
            body=found["body"],
        )
        for found in BLOCK.finditer(markdown)
    ]


def complaints(markdown: str) -> list[str]:
    """What is wrong with the blocks of a page, by line."""
    found = [
        f"line {markdown.count(chr(10), 0, odd.start()) + 1}: a fence that is not at the margin"
        for odd in ODD_FENCE.finditer(markdown)
    ]
    before: Block | None = None
    for block in blocks(markdown):
        if problem := _problem(block, before):
            found.append(f"line {block.line}: {problem}")
        before = block
    return found


def _problem(block: Block, before: Block | None) -> str:
    if block.kind in COMMANDS:
        return _problem_of_commands(block)
    if block.kind in SHOWN:
        shown = COMMAND.search(block.body)
        return f"a command in a {block.kind} block: {shown[0].strip()}" if shown else ""
    if block.kind not in CONTENT:
        known = ", ".join((*COMMANDS, *CONTENT, *SHOWN))
        return f"a block of kind {block.kind!r}, expected one of {known}"
    if block.mark == OUTPUT:
        printed = before is not None and before.runs
        return "" if printed else "an output without a block before it that runs"
    return "" if block.file else f"a {block.kind} block that is neither a file nor an output"


def _problem_of_commands(block: Block) -> str:
    if not block.mark or block.file:
        return ""
    if not block.mark.startswith(NOT_RUN):
        return f"the mark {block.mark!r}, expected {NOT_RUN}REASON"
    reason = block.mark.removeprefix(NOT_RUN).strip()
    return "" if len(reason) >= SHORTEST_REASON else "commands that are not run without a reason"
