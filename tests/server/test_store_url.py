"""The addresses of registries in stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.server.config.config import ServerConfig, load_config
from penstock.server.config.store_options import located, name_of
from penstock.server.config.store_url import parse_store_url
from penstock.server.files.config_error import ConfigError

HOME = {"HOME": "/home-of-nobody"}


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/a/b/", "bucket", "a/b"),
        ("gs://bucket/a", "bucket", "a"),
        ("az://container/a", "container", "a"),
        ("https://models.example.com:8443/registry", "models.example.com:8443", "registry"),
        ("http://127.0.0.1:9000/r", "127.0.0.1:9000", "r"),
        ("http://[::1]:9000/r", "[::1]:9000", "r"),
        ("http://localhost/r", "localhost", "r"),
    ],
)
def test_a_url_names_bucket_and_prefix(text, bucket, prefix):
    url = parse_store_url(text)
    assert (url.bucket, url.prefix) == (bucket, prefix)
    assert str(url) == text.rstrip("/")
    assert url.read_only == text.startswith("http")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://", "expected s3://BUCKET"),
        ("ftp://host/x", "expected s3://BUCKET"),
        ("s3://bucket/../x", "between single slashes"),
        ("s3://bucket/a//b", "between single slashes"),
        ("s3://bucket/a b", "between single slashes"),
        ("http://models.example.com/x", "expected https"),
        ("https://me:hunter2@host/x", "without user, password"),
        ("https://hunter2@host/x", "without user, password"),
        ("az://c/x?sig=hunter2", "without user, password"),
        ("https://host/x#hunter2", "without user, password"),
        ("https://[hunter2/x", "cannot be read"),
    ],
)
def test_a_url_that_is_none_or_holds_a_secret_is_refused_without_it(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_store_url(text)
    assert "hunter2" not in str(caught.value)


def test_a_registry_may_be_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config({"registry": "s3://bucket/r"}, HOME)
    home = Path("/home-of-nobody/.local/state/penstock") / name_of("s3://bucket/r")
    assert (config.store, config.state_dir) == ("s3://bucket/r", home)
    assert config.registry == home / "stores" / name_of("s3://bucket/r")
    assert ServerConfig.from_json(config.to_json()) == config
    moved = load_config({"registry": "s3://bucket/r", "state_dir": "s"}, HOME)
    assert moved.registry == Path("s/stores") / name_of("s3://bucket/r")
    assert load_config({}, {**HOME, "PENSTOCK_STORE": "gs://b"}).store == "gs://b"


def test_a_later_source_wins_over_the_other_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text('store = "s3://bucket/r"\n')
    assert load_config({"registry": "/models"}, HOME).store == ""
    assert load_config({"registry": "/models"}, HOME).registry == Path("/models")
    (tmp_path / "penstock.toml").write_text('registry = "/models"\n')
    assert load_config({"store": "s3://bucket/r"}, HOME).store == "s3://bucket/r"


def test_a_file_url_is_a_directory():
    assert located({"registry": "file:///srv/my%20models"}, "x")["registry"] == "/srv/my models"
    with pytest.raises(ConfigError, match="file:///PATH"):
        located({"registry": "file://host/srv"}, "x")


def test_two_places_at_once_are_refused():
    with pytest.raises(ConfigError, match="not both"):
        located({"registry": "/models", "store": "s3://b"}, "environment")


def test_a_state_needs_a_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="give state_dir"):
        load_config({"registry": "s3://bucket/r"}, {})
