"""Files of versions are fetched when they are wanted, compared, and taken as private copies."""

from __future__ import annotations

import threading

import pytest

from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.intake import Intake
from penstock.server.registry.intake_result import Candidate, Waiting
from penstock.server.registry.verification import read_manifest
from penstock.server.store import fetcher as fetcher_module
from penstock.server.store.fetcher import Fetcher
from penstock.server.store.replica import Replica
from penstock.server.store.store_error import StoreError


@pytest.fixture
def fetcher(store, tmp_path):
    made = Fetcher(store, tmp_path / "area")
    made.ready = threading.Event()
    made.on_ready = made.ready.set
    yield made
    made.close()


def obtain(fetcher, manifest, key=None):
    """What comes of it in the end."""
    fetcher.ready.clear()
    with pytest.raises(Waiting, match="is fetched from s3://models/registry"):
        fetcher.obtain(key or (manifest.model, manifest.version), manifest)
    assert fetcher.ready.wait(60)
    return fetcher.obtain((manifest.model, manifest.version), manifest)


def test_files_lie_here_until_they_are_released(store, push, fetcher, tmp_path):
    manifest = push(store, a=b"1", b=b"")
    directory = obtain(fetcher, manifest)
    assert {one.name: one.read_bytes() for one in directory.iterdir()} == {"a": b"1", "b": b""}
    fetcher.release(manifest)
    fetcher.release(manifest)
    assert list((tmp_path / "area").iterdir()) == []


def test_a_file_that_is_not_the_published_one_is_refused(store, push, fetcher, bucket, tmp_path):
    manifest = push(store, a=b"right", b=b"b")
    for wrong in (b"wrong", b"longer than it was"):
        bucket.objects["registry/m/1/a"] = wrong
        with pytest.raises(ModelRefused, match="a in s3://models/registry is not the file"):
            obtain(fetcher, manifest)
    bucket.objects["registry/m/1/a"] = b"shrt"
    with pytest.raises(StoreError, match="has 4 of 5 bytes"):
        obtain(fetcher, manifest)
    assert list((tmp_path / "area").iterdir()) == []
    bucket.objects["registry/m/1/a"] = b"right"
    assert (obtain(fetcher, manifest) / "a").read_bytes() == b"right"


def test_few_versions_lie_here_at_once(store, push, fetcher, monkeypatch):
    monkeypatch.setattr(fetcher_module, "_MOST", 1)
    first, second = push(store, a=b"1"), push(store, a=b"2")
    obtain(fetcher, first)
    with pytest.raises(Waiting, match="until other versions"):
        fetcher.obtain(("m", 2), second)
    fetcher.release(first)
    assert (obtain(fetcher, second) / "a").read_bytes() == b"2"


def test_files_that_no_wanted_version_asks_for_make_room(store, push, fetcher, monkeypatch):
    monkeypatch.setattr(fetcher_module, "_MOST", 1)
    first, second = push(store, a=b"1"), push(store, a=b"2")
    directory = obtain(fetcher, first)
    fetcher.keep([("m", 1), ("m", 2)])
    assert (directory / "a").read_bytes() == b"1"
    fetcher.keep([("m", 2)])
    assert not directory.exists()
    assert (obtain(fetcher, second) / "a").read_bytes() == b"2"


def test_a_fetch_that_no_wanted_version_asks_for_ends(store, push, fetcher, monkeypatch):
    manifest = push(store, a=b"1")
    asked, go_on = threading.Event(), threading.Event()
    download = store.download

    def held(*args):
        asked.set()
        assert go_on.wait(60)
        return download(*args)

    monkeypatch.setattr(store, "download", held)
    with pytest.raises(Waiting, match="is fetched"):
        fetcher.obtain(("m", 1), manifest)
    assert asked.wait(60)
    fetcher.keep([])
    go_on.set()
    assert fetcher.ready.wait(60)
    with pytest.raises(InterruptedError, match="no version that is wanted has these files"):
        fetcher.obtain(("m", 1), manifest)
    assert (obtain(fetcher, manifest) / "a").read_bytes() == b"1"


def test_a_version_that_is_not_wanted_any_more_keeps_no_place(service, monkeypatch):
    monkeypatch.setattr(fetcher_module, "_MOST", 1)
    assert "is fetched from" in service.assess().reason
    assert service.fetcher.ready.wait(60)
    service.intake.settle([])
    assert list(service.fetcher._area.iterdir()) == []


def test_what_a_killed_server_left_is_removed(store, tmp_path):
    (tmp_path / "area" / "x").mkdir(parents=True)
    Fetcher(store, tmp_path / "area").close()
    assert list((tmp_path / "area").iterdir()) == []


class Service:
    """An intake over the replica of a store."""

    def __init__(self, store, tmp_path, fetcher):
        self.state = tmp_path / "state"
        self.state.mkdir(exist_ok=True)
        self.place, self.now = tmp_path / "registry", 0.0
        self.replica, self.fetcher = Replica(store, self.place), fetcher
        self.intake = Intake(self.state, 1 << 20, 2.0, remote=fetcher, clock=lambda: self.now)

    def assess(self, version=1):
        self.fetcher.ready.clear()
        result = self.intake.assess(Candidate(("m", version), self.place / "m" / str(version)))
        self.intake.settle([("m", version)])
        return result

    def arrive(self, version=1):
        """The result when nothing is fetched any more."""
        if "is fetched from" in self.assess(version).reason:
            assert self.fetcher.ready.wait(60)
        return self.assess(version)


@pytest.fixture
def service(store, tmp_path, fetcher, push, onnx_file):
    tensors = [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])]
    content = onnx_file(tmp_path / "made" / "model.onnx", [("Relu", ["x"], ["y"])], *tensors)
    push(store, **{"model.onnx": content.read_bytes()})
    made = Service(store, tmp_path, fetcher)
    made.replica.poll()
    return made


def test_a_wanted_version_is_fetched_once_and_served_from_its_copy(service, bucket):
    bucket.requests.clear()
    result = service.arrive()
    manifest = read_manifest(service.place / "m" / "1")
    assert (result.digest, result.reason) == (manifest.digest, "")
    assert result.directory.parent == service.state / "copies"
    assert [one.name for one in result.directory.iterdir()] == ["model.onnx"]
    assert bucket.requests == [("GET", "registry/m/1/model.onnx")]
    assert list((service.fetcher._area).iterdir()) == []


def test_a_later_life_needs_no_store(service, bucket, store, tmp_path):
    taken = service.arrive()
    bucket.down = True
    for lost in ((), ("taken.json",)):
        for name in lost:
            (service.state / name).unlink()
        later = Service(store, tmp_path, service.fetcher)
        assert later.assess().directory == taken.directory


def test_a_version_that_cannot_be_fetched_now_is_fetched_later(service, bucket):
    bucket.down = True
    result = service.arrive()
    assert (result.directory, result.waiting) == (None, True)
    assert "the store answers 503" in result.reason
    bucket.down = False
    assert service.assess().directory is None, "not at once"
    service.now += 2.0
    assert service.arrive().directory is not None


def test_a_hostile_file_in_a_store_is_inspected(service, store, push, bucket):
    push(store, **{"model.onnx": b"no model"})
    service.replica.poll()
    result = service.arrive(2)
    assert (result.directory, result.waiting) == (None, False)
    assert "not an ONNX model" in result.reason
