"""SIGHUP: the server goes on, what can change changes, and the rest is named."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from penstock.server.config.config import ServerConfig
from penstock.server.files.config_error import ConfigError
from penstock.server.processes.in_force import InForce

CONFIG = ServerConfig()


def refuse():
    raise ConfigError("penstock.toml: not valid TOML")


def test_what_would_change_is_named_and_an_error_keeps_the_old(tmp_path):
    path = tmp_path / "config.json"
    config = InForce(CONFIG, path)
    assert "no option has changed" in config.renew(lambda: CONFIG)
    assert "going on with the one before: penstock.toml" in config.renew(refuse)
    assert "after a restart: port, threads" in config.renew(
        lambda: replace(CONFIG, port=1, threads=2)
    )
    assert not path.exists()
    told = config.renew(lambda: replace(CONFIG, port=1, log_level="debug"))
    assert "in force now: log_level = debug; in force only after a restart: port" in told
    assert ServerConfig.from_json(path.read_text()) == replace(CONFIG, log_level="debug")
    assert "in force now: log_level = info" in config.renew(lambda: CONFIG)


@pytest.mark.slow
def test_a_hangup_changes_the_log_and_ends_nothing(serve, tmp_path):
    file = tmp_path / "penstock.toml"
    file.write_text("access_log = false")
    server = serve("--config", file)
    children = server.children()
    lines = server.process.stderr
    os.kill(server.process.pid, signal.SIGHUP)
    assert any("the configuration was read again, no option has changed" in one for one in lines)
    file.write_text("access_log = true")
    os.kill(server.process.pid, signal.SIGHUP)
    assert any("in force now: access_log = True" in one for one in lines)
    assert any("in force now: log_level = info, access_log = True" in one for one in lines)

    def logged():
        assert server.once(server.url, "/v2/health/live")[0] == 200
        return "GET /v2/health/live" in next(lines)

    server.until(logged)
    assert server.children() == children
    assert server.stop() == 0
