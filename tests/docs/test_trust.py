"""The commands of docs/trust.md that call pytest select tests."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"`pytest ([^`\n]+)`")
#: Collects the tests of all commands at once, and prints those that each would run.
COLLECT = """
import json, sys, pytest
from _pytest.mark import KeywordMatcher
from _pytest.mark.expression import Expression

class Recorder:
    items = ()

    def pytest_collection_finish(self, session):
        self.items = session.items

commands = json.load(sys.stdin)
recorder = Recorder()
options = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
code = pytest.main([*{file for file, _ in commands}, *options], plugins=[recorder])
found = []
for file, words in commands:
    expression = Expression.compile(words) if words else None
    found.append([
        item.nodeid
        for item in recorder.items
        if item.nodeid.startswith(f"{file}::")
        and (expression is None or expression.evaluate(KeywordMatcher.from_item(item)))
    ])
print("\\n" + json.dumps([int(code), found]))
"""


def read(command: str) -> tuple[str, str]:
    """The file that a command names, and its expression of ``-k``; empty without one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("-k", default="")
    parser.add_argument("-s", action="store_true")
    options = parser.parse_args(shlex.split(command))
    return options.file, options.k


def selected(commands: list[tuple[str, str]]) -> list[list[str]]:
    """By command, the tests that it would run."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT],
        input=json.dumps(commands),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    code, found = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stdout
    return [list(tests) for tests in found]


def test_each_command_selects_tests_of_the_file_that_it_names() -> None:
    typed = sorted(set(COMMAND.findall((ROOT / "docs" / "trust.md").read_text())))
    assert len(typed) > 15
    commands = [read(one) for one in typed]
    # The last command selects nothing: it shows that such a command would be found.
    *found, none = selected([*commands, (commands[0][0], "no_such_test")])
    assert none == []
    assert [one for one, tests in zip(typed, found, strict=True) if not tests] == []
