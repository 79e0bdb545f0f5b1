"""The Tab key in real shells: bash, zsh and fish complete what is typed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

REGISTRY = Path(__file__).resolve().parents[2] / "examples" / "registry"
TYPED = [
    ("penstock sta", ["status"]),
    ("penstock canary pr", ["promote"]),
    ("penstock canary ", ["abort", "approve", "pause", "plan", "promote", "resume", "start"]),
    ("penstock canary start --holdb", ["--holdback-percent"]),
    ("penstock serve --log-format ", ["json", "text"]),
    (f"penstock push {REGISTRY} br", ["breast-cancer"]),
]
#: Prints the completions of ``$1`` as bash would insert them.
BASH = """
read -ra COMP_WORDS <<< "$1"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
function=$(complete -p penstock | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" penstock "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = "PS1='READY> '; autoload -Uz compinit; compinit -u -D; source ./completion; echo STA''RTED\n"
SECONDS = 60


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """Environment of a shell that finds the command, in an empty home with its completion."""

    def prepared(name: str) -> dict[str, str]:
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}: apt-get install {name}")
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "TERM": "dumb",
        }
        written = subprocess.run(
            ["penstock"],
            env=environment | {"_PENSTOCK_COMPLETE": f"source_{name}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert written.stderr == ""
        (tmp_path / "completion").write_text(written.stdout)
        return environment

    return prepared


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_bash_completes(shell: Any, tmp_path: Path, typed: str, completed: list[str]) -> None:
    environment = shell("bash")
    command = ["bash", "-c", f"source ./completion\n{BASH}", "bash", typed]
    assert sorted(_printed(command, environment, tmp_path).split()) == completed


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_fish_completes(shell: Any, tmp_path: Path, typed: str, completed: list[str]) -> None:
    environment = shell("fish")
    code = f"source ./completion\ncomplete --do-complete '{typed}'"
    shown = _printed(["fish", "--no-config", "-c", code], environment, tmp_path)
    assert sorted(line.partition("\t")[0] for line in shown.splitlines()) == completed


def _printed(command: list[str], environment: dict[str, str], where: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=where, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_zsh_completes(shell: Any, tmp_path: Path) -> None:
    """In one terminal: the Tab key is pressed after each line, and the line is thrown away."""
    environment = shell("zsh")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment | {"COLUMNS": "200"})
    try:
        os.write(terminal, ZSH.encode())
        _shown(terminal, ["STARTED\r\n", "READY> "])
        for typed, completed in TYPED:
            os.write(terminal, f"{typed}\t".encode())
            if len(completed) == 1:  # the line itself
                _shown(terminal, [f"{typed.rpartition(' ')[0]} {completed[0]} "])
            else:  # listed below it
                _shown(terminal, [*completed, f"READY> {typed}"])
            os.write(terminal, b"\x15")  # Ctrl-U
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)


def _shown(terminal: int, expected: list[str]) -> None:
    """Read until these texts have been shown, one after the other."""
    end = time.monotonic() + SECONDS
    shown = ""
    while time.monotonic() < end:
        readable, _, _ = select.select([terminal], [], [], 1.0)
        if readable:
            shown += os.read(terminal, 65536).decode(errors="replace")
        place = 0
        for text in expected:
            place = shown.find(text, place) + len(text) if text in shown[place:] else -1
            if place < 0:
                break
        else:
            return
    pytest.fail(f"{expected} is not shown, but {shown!r}")
