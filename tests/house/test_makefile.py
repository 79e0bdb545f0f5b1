"""The verbs: all listed, the first start small, and the gate the same for people and machines."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import Any

import pytest


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
    assert re.findall(r"^  make ([\w-]+) +\S", listed.stdout, re.MULTILINE) == re.findall(
        r"^([\w-]+):.*##", text, re.MULTILINE
    )
    assert sorted(phony.split()) == sorted(re.findall(r"^([\w-]+):", text, re.MULTILINE))


def test_the_demo_installs_the_server_its_monitoring_and_two_small_runtimes_alone(
    project: Any,
) -> None:
    steps = dry_run(project.root, ["make", "demo"])
    assert "pip install" in steps
    assert re.findall(r"\.\[([^\]]*)\]", steps) == ["monitor", "xgboost", "lightgbm"]


def test_the_gate_is_make_test_and_then_the_integrations(project: Any) -> None:
    steps = dry_run(project.root, [str(project.root / ".ci" / "run")])
    for tool in ("ruff check", "ruff format --check", "mypy", "pyright", "pytest"):
        assert f"/{tool}" in steps or f" {tool}" in steps
    assert steps.index("pytest -n") < steps.index("tests/integrations")


def test_every_test_runs_once(project: Any) -> None:
    """What fails beside others on a busy machine has failed: it is to wait for events, not time."""
    steps = dry_run(project.root, ["make", "test"])
    assert steps.count("-m pytest") == 1
    for again in ("--last-failed", "--lf", "--reruns", "--flake", "||"):
        assert again not in steps
    assert "rerun" not in (project.root / "pyproject.toml").read_text()


def test_the_simulations_that_make_test_leaves_out_run_with_the_integrations(project: Any) -> None:
    left_out = re.findall(r"--ignore=(\S+)", dry_run(project.root, ["make", "test"]))
    (command,) = re.findall(r"-m pytest (.+)", dry_run(project.root, ["make", "test-integrations"]))
    assert left_out
    assert command.split() == [*left_out, "tests/integrations"]


def test_a_failure_of_either_part_fails_the_gate(project: Any, tmp_path: Any) -> None:
    make = tmp_path / "make"
    for failing in ("test", "test-integrations"):
        make.write_text(f'#!/bin/sh\n[ "$1" != {failing} ]\n')
        make.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run([project.root / ".ci" / "run"], env=environment, check=False)
        assert done.returncode != 0


TOOLS = ("ruff", "mypy", "pyright")


@pytest.mark.parametrize("failing", ["", *TOOLS])
def test_a_failure_of_any_tool_fails_the_check(project: Any, tmp_path: Any, failing: str) -> None:
    """Though some of them run side by side."""
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        tool = tmp_path / "bin" / name
        tool.write_text(f"#!/bin/sh\nexit {int(name == failing)}\n")
        tool.chmod(0o755)
    for stamp in (".installed", ".installed-test"):
        (tmp_path / stamp).touch()
    command = ["make", "check", f"VENV={tmp_path}"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, check=False)
    assert (done.returncode != 0) is bool(failing), done


def test_make_test_leaves_the_integrations_out(project: Any) -> None:
    settings = tomllib.loads((project.root / "pyproject.toml").read_text())
    options = settings["tool"]["pytest"]["ini_options"]
    assert "integrations" in options["norecursedirs"]
    assert "tests/integrations" not in options["testpaths"]
