"""The entry points for recorded streams can be called as their docstrings say."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("penstock.monitoring.drift.stream", "assess"),
        ("penstock.monitoring.feedback.label_stream", "change"),
        ("penstock.server.rollout.decision", "decide"),
    ],
)
def test_the_example_of_the_docstring_runs_as_it_says(module, name):
    function = getattr(importlib.import_module(module), name)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    ran = doctest.DocTestRunner().run(example)
    assert ran.attempted > 0
    assert ran.failed == 0
    for part in ("Args:", "Returns:"):
        assert part in function.__doc__
