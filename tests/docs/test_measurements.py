"""The measurements that the pages name can be started: each answers ``--help``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"python (?:-m (penstock\.loadtests\.\w+)|(tests/[\w/]+\.py))")
#: Starts each in one process, so that modules are imported once.
START = """
import contextlib, io, json, pathlib, runpy, sys

ended = {}
for name in json.load(sys.stdin):
    sys.argv = [name, "--help"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            if name.endswith(".py"):
                sys.path[0] = str(pathlib.Path(name).resolve().parent)
                runpy.run_path(name, run_name="__main__")
            else:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
        ended[name] = "it went on after --help"
    except SystemExit as end:
        ended[name] = "" if not end.code and "usage:" in said.getvalue() else f"status {end.code}"
    except Exception as error:
        ended[name] = repr(error)
print(json.dumps(ended))
"""


def ends(names: list[str]) -> dict[str, str]:
    """By name of a module or script, what is wrong with its ``--help``; empty if nothing is."""
    done = subprocess.run(
        [sys.executable, "-c", START],
        input=json.dumps(names),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    ended: dict[str, str] = json.loads(done.stdout)
    return ended


def test_each_measurement_on_the_pages_can_be_started(pages: list[Path]) -> None:
    found = {a or b for page in pages for a, b in NAMED.findall(page.read_text())}
    names = sorted(found)
    assert len(names) > 8
    *answers, nothing = ends([*names, "penstock.loadtests.nothing"]).items()
    assert answers == [(name, "") for name in names]
    assert "No module" in nothing[1]
