"""SIGHUP: the server goes on, and says what a restart would change."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from penstock.server.cli.serve import changes
from penstock.server.config import ServerConfig
from penstock.server.options import ConfigError

CONFIG = ServerConfig()


def refuse():
    raise ConfigError("penstock.toml: not valid TOML")


def test_what_would_change_is_named_and_an_error_keeps_the_old():
    assert "no option has changed" in changes(CONFIG, lambda: CONFIG)
    assert "after a restart: port, threads" in changes(
        CONFIG, lambda: replace(CONFIG, port=1, threads=2)
    )
    assert "going on with the one before: penstock.toml" in changes(CONFIG, refuse)


@pytest.mark.slow
def test_a_hangup_ends_nothing(serve):
    server = serve()
    children = server.children()
    os.kill(server.process.pid, signal.SIGHUP)
    for line in server.process.stderr:  # until it says so
        if "the configuration was read again, no option has changed" in line:
            break
    assert server.children() == children
    assert server.stop() == 0
