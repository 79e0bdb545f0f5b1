"""Runtimes whose models run in processes of their own."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from penstock.runtimes.contract import no_examples
from penstock.server.isolation.isolated_model import IsolatedModel
from penstock.server.isolation.limits import ProcessLimits
from penstock.server.isolation.messages import Order
from penstock.server.isolation.model_process import ModelOrder

LIMITS = ProcessLimits(memory_bytes=2 << 30, open_files=256)


class Isolating:
    """A runtime that loads as another one does, in other processes."""

    def __init__(self, runtime, python=None, count=1, *, idle=False):
        self.runtime = runtime
        self.platform = runtime.platform
        self.find = runtime.find
        self.changes = []
        self._python, self._count, self._idle = python, count, idle

    def load(self, path, options):
        kind = type(self.runtime)
        plain = replace(options, examples=no_examples)
        search_path = () if self._python else tuple(sys.path)
        name = (kind.__module__, kind.__qualname__)
        order = Order(name, str(path), plain, search_path, self._idle)
        return IsolatedModel(
            ModelOrder(
                "a model", order, options.examples, LIMITS, 60.0, dict(os.environ), self._python
            ),
            self._count,
            self.changes.append,
        )


@pytest.fixture
def isolating():
    return Isolating
