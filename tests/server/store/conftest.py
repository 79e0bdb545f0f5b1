"""A bucket, and versions to publish in it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.server.config.store_url import parse_store_url
from penstock.server.registry.manifest import Manifest
from penstock.server.registry.verification import hash_files
from penstock.server.store.object_store import ObjectStore, open_store
from penstock.server.store.publish import Publisher

HERE = Path(__file__).parent


def load(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"store_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    return made


module = load("bucket")


@pytest.fixture(scope="session")
def publishes():
    """Many publishes beside readers."""
    return load("publishes")


@pytest.fixture
def bucket(monkeypatch):
    made = module.Bucket()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture
def url(bucket):
    return f"s3://{module.NAME}/registry"


@pytest.fixture
def store(url):
    return open_store(parse_store_url(url))


@pytest.fixture
def memory():
    """A store in this process: the library's own, which honours conditions."""
    from obstore.store import MemoryStore

    return ObjectStore(parse_store_url("s3://models/memory"), MemoryStore(), lambda _: None)


@pytest.fixture
def version(tmp_path):
    """Makes a directory of files; its manifest."""

    def make(model="m", **files):
        directory = tmp_path / f"version-{len(list(tmp_path.iterdir()))}"
        for name, content in (files or {"weights": b"w" * 1000, "labels": b"l"}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return SimpleNamespace(
            directory=directory, manifest=Manifest(model, 1, hash_files(directory))
        )

    return make


@pytest.fixture
def push(version):
    """Publishes a version with this content; its manifest."""

    def publish(store, model="m", wanted=None, token="t", **files):
        made = version(model, **files)
        publisher = Publisher(store, token, sleep=lambda _: None)
        return publisher.publish(made.directory, made.manifest, wanted)

    return publish
