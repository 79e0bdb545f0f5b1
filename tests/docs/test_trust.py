"""The commands of docs/trust.md that call pytest select tests."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"`pytest ([^`\n]+)`")
#: Collects the tests of each command, in one process, so that modules are imported once.
COLLECT = """
import json, sys, pytest

class Recorder:
    def __init__(self):
        self.selected = []

    def pytest_collection_finish(self, session):
        self.selected = [item.nodeid for item in session.items]

found = []
for arguments in json.load(sys.stdin):
    recorder = Recorder()
    options = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
    code = pytest.main([*arguments, *options], plugins=[recorder])
    found.append([int(code), recorder.selected])
print("\\n" + json.dumps(found))
"""


def selected(commands: list[list[str]]) -> list[tuple[int, list[str]]]:
    """By command, the exit status of pytest and the tests that it would run."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT],
        input=json.dumps(commands),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [(code, tests) for code, tests in json.loads(done.stdout.splitlines()[-1])]


def test_each_command_selects_tests_of_the_file_that_it_names() -> None:
    typed = sorted(set(COMMAND.findall((ROOT / "docs" / "trust.md").read_text())))
    assert len(typed) > 15
    commands = [shlex.split(one) for one in typed]
    # The last command selects nothing: it shows that such a command would be found.
    *found, (code, none) = selected([*commands, [commands[0][0], "-k", "no_such_test"]])
    assert (code, none) == (5, [])  # 5: no tests were collected
    for words, (status, tests) in zip(commands, found, strict=True):
        assert status == 0, words
        assert tests, words
        assert all(test.startswith(f"{words[0]}::") for test in tests), words
