"""The conformance kit passes for the example of each runtime, in the worker and isolated."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import numpy as np
import pytest

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.discovery import find_runtime, runtimes
from penstock.runtimes.testing import check_runtime

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NAMES = (
    "registry/digits",
    "trees/iris",
    "trees/diabetes",
    "trees/wine",
    "isolated/tips",
    "isolated/wine-neighbours",
    "networks/digits-torch",
    "networks/digits-openvino",
    "networks/digits-litert",
)
#: Rows of the inputs of a model with texts that it must know.
ROWS = {
    "isolated/tips": [
        np.array([[20.5], [np.nan], [8.0]]),
        np.array([[b"Female"], [b"Male"], [b""]], object),
        np.array([[b"Yes"], [b"No"], [b"No"]], object),
        np.array([[b"Sat"], [b"Sun"], [b"Thur"]], object),
        np.array([[b"Dinner"], [b""], [b"Lunch"]], object),
        np.array([[2.0], [4.0], [np.nan]]),
    ]
}


def isolating():
    """The class that the tests of isolation have for it."""
    path = ROOT / "tests" / "server" / "isolation" / "conftest.py"
    spec = importlib.util.spec_from_file_location("isolation_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Isolating


def settings(name):
    """``[runtime]`` of the example's own model.toml."""
    path = EXAMPLES / name / "model.toml"
    return tomllib.loads(path.read_text()).get("runtime", {}) if path.exists() else {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isolated", [False, True], ids=["worker", "isolated"])
def test_every_runtime_keeps_its_promises(name, isolated):
    directory = EXAMPLES / name / "1"
    runtime, _ = find_runtime(directory)
    options = LoadOptions(settings=settings(name))
    wrapped = isolating()(runtime) if isolated else runtime
    check_runtime(wrapped, directory, options=options, inputs=ROWS.get(name))


def test_the_examples_have_every_runtime_of_this_project():
    found = {find_runtime(EXAMPLES / name / "1")[0].platform for name in NAMES}
    ours = {
        platform
        for platform, one in runtimes().items()
        if type(one).__module__.startswith("penstock.runtimes.")
    }
    assert found == ours
