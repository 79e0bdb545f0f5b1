"""The verbs: all listed, the first start small, and the gate the same for people and machines."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any


def dry_run(root: Any, command: list[str]) -> str:
    """What make would do in a clean checkout."""
    environment = {"PATH": os.environ["PATH"], "MAKEFLAGS": "--dry-run --always-make"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_every_verb_is_listed(project: Any) -> None:
    text = (project.root / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    listed = subprocess.run(["make"], cwd=project.root, capture_output=True, text=True, check=True)
    assert re.findall(r"^  make (\w+) +\S", listed.stdout, re.MULTILINE) == re.findall(
        r"^(\w+):.*##", text, re.MULTILINE
    )
    assert sorted(phony.split()) == sorted(re.findall(r"^(\w+):", text, re.MULTILINE))


def test_the_demo_installs_the_core_alone(project: Any) -> None:
    steps = dry_run(project.root, ["make", "demo"])
    assert "pip install" in steps
    assert ".[" not in steps


def test_the_gate_is_make_test(project: Any) -> None:
    steps = dry_run(project.root, [str(project.root / ".ci" / "run")])
    for tool in ("ruff check", "ruff format --check", "mypy", "pyright", "pytest"):
        assert f"/{tool}" in steps or f" {tool}" in steps
