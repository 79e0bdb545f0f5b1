"""``[log]`` of ``model.toml``, and the key of the hashes."""

from __future__ import annotations

import pytest

from penstock.monitoring.files.decoding import pack, unpack
from penstock.monitoring.samples.privacy import hash_value
from penstock.server.config.log_privacy import KEY_FILE, log_key, privacy_of
from penstock.server.config.model_log import LogOptions, parse_log
from penstock.server.files.config_error import ConfigError


def test_what_is_said_is_understood():
    options = parse_log({"drop": ["name"], "hash": ["id"], "subject": "id"}, "model.toml")
    assert options == LogOptions(("name",), ("id",), "id")
    assert unpack(LogOptions, pack(options), "x") == options
    assert parse_log({}, "model.toml") == LogOptions()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "expected a table"),
        ({"drops": ["a"]}, "did you mean drop"),
        ({"drop": "name"}, "log.drop is 'name', expected a list"),
        ({"hash": [1]}, r"log.hash\[0\] is 1, expected the name of an input or output"),
        ({"subject": 1}, "expected the name of an input"),
        ({"drop": ["a"], "hash": ["a"]}, "expected one"),
        ({"drop": ["a"], "subject": "a"}, "which is dropped"),
    ],
)
def test_what_is_not_understood_is_refused(table, message):
    with pytest.raises(ConfigError, match=message):
        parse_log(table, "model.toml")


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    key = log_key(tmp_path)
    assert len(key) == 32
    assert log_key(tmp_path) == key
    assert [one.name for one in tmp_path.iterdir()] == [KEY_FILE]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_without_anything_private_nothing_is_done(tmp_path):
    assert privacy_of(LogOptions(subject="id"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_same_value_has_the_same_hash_under_the_same_key(tmp_path):
    first = privacy_of(LogOptions(hash=("id",)), tmp_path)
    second = privacy_of(LogOptions(hash=("id",)), tmp_path)
    assert first == second
    assert hash_value(b"ann", first.key) == hash_value(b"ann", second.key)
    assert hash_value(b"ann", first.key) != hash_value(b"ann", bytes(32))
    assert hash_value(7, first.key) == hash_value(b"7", first.key)
