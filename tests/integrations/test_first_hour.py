"""A stranger follows the README from `pip install` to an answered row, in an empty directory."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a wheel is made of.
SOURCES = ("server", "runtimes", "batching", "monitoring", "loadtests")


def module(name):
    """A module of the tests of the documents, which are no package."""
    path = ROOT / "tests" / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"first_hour_{name}", path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    return made


def section():
    text = (ROOT / "README.md").read_text()
    return text.partition("\n## Serve your own models\n")[2].partition("Tensors work")[0]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that has what the README installs, built from here."""
    root = tmp_path_factory.mktemp("stranger")
    checkout = root / "checkout"
    skipped = shutil.ignore_patterns("__pycache__", ".venvs")
    for name in SOURCES:
        shutil.copytree(ROOT / name, checkout / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    venv.create(root / "environment", with_pip=True)
    python = root / "environment" / "bin" / "python"
    (wanted,) = re.findall(r"^pip install 'penstock-server(\[.*\])'$", section(), re.MULTILINE)
    trainer = ("pandas", "scikit-learn")
    command = [python, "-m", "pip", "install", "--quiet", f"{checkout}{wanted}", *trainer]
    subprocess.run(command, check=True)
    return python


def test_a_row_with_names_is_answered_in_three_commands(python):
    """Libraries that train are there as well: the README makes a model, which a stranger has."""
    markdown, session = module("markdown"), module("session")
    install, make, ask = first_steps(markdown)
    lines = (install.body + ask.body).replace("\\\n", " ").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["pip", "install"],
        ["penstock", "serve"],
        ["curl", "-s"],
    ]
    shown = '```json\n{"predictions": [{"label": 1, "probabilities": "..."}]}\n```\n'
    page = f"```python\n{make.body}```\n```sh\n{ask.body}```\n<!-- output -->\n{shown}"
    home, outputs = (Path(tempfile.mkdtemp(prefix="penstock-first-")) for _ in range(2))
    try:
        assert session.run(markdown.blocks(page), home, outputs, python) == []
    finally:
        shutil.rmtree(home)
        shutil.rmtree(outputs)


def first_steps(markdown):
    """The blocks of the README that install, make a model, and serve and ask it."""
    blocks = markdown.blocks(section())
    for words in ("pip install", "save_model", "penstock serve churn.ubj"):
        yield next(one for one in blocks if words in one.body)
