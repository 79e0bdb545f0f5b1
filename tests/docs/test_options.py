"""The verbs and options that the pages name exist, also of commands that are not run."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from penstock.server.cli.main import build_command

ROOT = Path(__file__).resolve().parents[2]
SPAN = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"--[a-z][a-z-]*")
MODULE = re.compile(r"python -m (penstock\.loadtests\.\w+)")


def commands(markdown: Any, text: str) -> list[str]:
    """What could be typed: code spans, and lines of all blocks of commands."""
    blocks = [block for block in markdown.blocks(text) if block.kind in markdown.COMMANDS]
    lines = [line for block in blocks for line in block.body.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    # A span may be broken over two lines.
    spans = SPAN.findall(re.sub(r"(?<=\S)\n *(?=\S)", " ", prose))
    return [one.strip().removeprefix("$ ").partition(" #")[0] for one in (*lines, *spans)]


def wrong_verbs(typed: list[str]) -> list[str]:
    """Commands of ``penstock`` with a verb or an option that it does not have."""
    return [one for one in typed if re.match(r"penstock [a-z]", one) and not known(one)]


def known(command: str) -> bool:
    """Whether the verbs exist and the last one has the options."""
    verb: Any = build_command()
    try:
        words = shlex.split(command)[1:]
    except ValueError:  # an ellipsis in quotes
        words = command.split()[1:]
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in options_of(verb):
            return False
        choices = getattr(verb, "commands", {})
        if not choices or word.startswith("-"):
            continue
        if word not in choices and not verb.invoke_without_command:
            return False
        if word in choices:
            verb = choices[word]
    return True


def options_of(verb: Any) -> set[str]:
    """The options of a verb, as they are typed."""
    typed = {name for one in verb.params for name in (*one.opts, *one.secondary_opts)}
    return {*typed, "--help"}


def wrong_modules(typed: list[str]) -> list[str]:
    """Load tests that do not exist, or that do not have an option that is named beside them."""
    found = []
    for one in typed:
        if not (module := MODULE.search(one)):
            continue
        sources = text_of(module[1])
        named = set(OPTION.findall(one)) - {"--help"}
        missing = sorted(name for name in named if f'"{name}"' not in sources)
        if not sources or missing:
            found.append(f"{one}: {missing or 'no such module'}")
    return found


@cache
def text_of(module: str) -> str:
    """The source of a module, or of a package, with what the load tests share; empty if none."""
    path = ROOT.joinpath(*module.split(".")[1:])
    files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    if not all(file.is_file() for file in files):
        return ""
    shared = sorted((ROOT / "loadtests").glob("*.py")) if path.is_dir() else []
    return "\n".join(file.read_text() for file in (*files, *shared))


def test_the_commands_on_the_pages_have_known_verbs_and_options(
    markdown: Any, pages: list[Path]
) -> None:
    typed = [one for page in pages for one in commands(markdown, page.read_text())]
    assert wrong_verbs(typed) == []
    assert wrong_modules(typed) == []
    assert sum(one.startswith("penstock ") for one in typed) > 50


@pytest.mark.parametrize(
    "page",
    [
        "`penstock promot iris 2`",
        "`penstock canary begin iris 2`",
        "`penstock push a b c --numbers 2`",
        "`penstock promote --rason x`",
        "<!-- not run: it needs a server -->\n```sh\npenstock status --jsn\n```",
        "```console\n$ penstock stats\n```",
        "`penstock\nstats`",
        "`python -m penstock.loadtests.nothing`",
        "`python -m penstock.loadtests.kills --hills 3`",
    ],
)
def test_a_verb_and_an_option_that_do_not_exist_are_found(markdown: Any, page: str) -> None:
    typed = commands(markdown, page)
    assert len(wrong_verbs(typed) + wrong_modules(typed)) == 1
