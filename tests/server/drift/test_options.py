"""``[monitoring]`` of ``model.toml``."""

from __future__ import annotations

import pytest

from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.config.drift_options import parse_monitoring
from penstock.server.files.config_error import ConfigError


def test_what_is_said_holds_and_the_rest_is_default():
    found = parse_monitoring({"window": "10m", "features": ["a", "b"], "psi_warn": 0.2}, "m")
    assert found == DriftOptions(window_seconds=600.0, features=("a", "b"), psi_warn=0.2)
    assert parse_monitoring({}, "m") == DriftOptions()


@pytest.mark.parametrize(
    ("client", "header"), [("address", b""), ("nobody", None), ("header:X-Client", b"x-client")]
)
def test_clients_are_told_apart_by_address_header_or_not_at_all(client, header):
    assert parse_monitoring({"client": client}, "m").client_header == header


def test_it_travels():
    options = parse_monitoring({"features": ["a"], "drift": False}, "m")
    assert unpack(DriftOptions, pack(options), "x") == options


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"windows": 1}, "unknown key monitoring.windows"),
        ({"window": "x"}, "expected a duration such as"),
        ({"window": "2d", "max_window": "1h"}, "window"),
        ({"window_rows": 0}, "from 1 to 10000000"),
        ({"window_rows": 1.5}, "whole number"),
        ({"features": "age"}, "list of names"),
        ({"features": ["a", "a"]}, "each name once"),
        ({"psi_warn": 0.3}, "psi_warn <= psi_critical"),
        ({"drift": 1}, "true or false"),
        ({"client": "header:Authorization"}, "of a header without a secret"),
        ({"client": "x-client"}, '"header:NAME"'),
        ([], "expected a table"),
    ],
)
def test_what_is_wrong_is_named(table, words):
    with pytest.raises(ConfigError, match=words):
        parse_monitoring(table, "m")
