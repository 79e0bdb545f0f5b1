"""The directory shows what the store has, whole, and asks little."""

from __future__ import annotations

import pytest

from penstock.monitoring.files.decoding import ContentError
from penstock.server.config.store_url import parse_store_url
from penstock.server.registry.survey import scan
from penstock.server.registry.verification import read_manifest
from penstock.server.store.index import INDEX_FILE
from penstock.server.store.object_store import ObjectStore
from penstock.server.store.replica import Replica
from penstock.server.store.store_error import StoreError


@pytest.fixture
def place(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def replica(store, place):
    made = Replica(store, place, lambda: made.now)
    made.now = 0.0
    return made


def shown(place):
    return {name: list(one.versions) for name, one in scan(place).models.items()}


def test_versions_are_shown_with_their_manifests_only(replica, place, store, push):
    push(store)
    push(store)
    push(store, "other")
    assert replica.empty
    assert replica.poll()
    assert not replica.empty
    assert shown(place) == {"m": [1, 2], "other": [1]}
    assert [one.name for one in (place / "m" / "2").iterdir()] == ["manifest.json"]
    assert read_manifest(place / "m" / "2").version == 2
    assert not replica.poll()
    push(store)
    assert replica.poll()
    assert shown(place)["m"] == [1, 2, 3]


def test_an_idle_poll_costs_the_same_however_many_versions_there_are(replica, store, push, bucket):
    costs = []
    for count in (1, 40):
        for _ in range(count):
            push(store, token=str(count), a=b"1")
        replica.poll()
        bucket.requests.clear()
        for _ in range(5):
            assert not replica.poll()
        costs.append(len(bucket.requests))
    assert costs == [10, 10]


def test_settings_come_before_the_first_version_and_are_followed(
    replica, place, store, push, bucket
):
    push(store)
    bucket.objects["registry/m/model.toml"] = b'version_policy = "explicit"\n'
    seen = []
    place_version = replica._place
    replica._place = lambda *of: (
        seen.append((place / "m/model.toml").exists()),
        place_version(*of),
    )
    replica.poll()
    assert seen == [True]
    bucket.objects["registry/m/model.toml"] = b"# changed\n"
    assert replica.poll()
    assert (place / "m/model.toml").read_bytes() == b"# changed\n"
    del bucket.objects["registry/m/model.toml"]
    assert replica.poll()
    assert not (place / "m/model.toml").exists()
    assert not replica.poll()


def test_settings_of_each_model_are_asked_for_in_turn(replica, place, store, push, bucket):
    for model in "abc":
        push(store, model)
    replica.poll()
    for model in "abc":
        bucket.objects[f"registry/{model}/model.toml"] = b"# new\n"
    for _ in range(3):
        replica.poll()
    assert sorted(one.parent.name for one in place.glob("*/model.toml")) == ["a", "b", "c"]


def test_settings_that_the_store_hides_keep_no_version_away(replica, place, store, push, bucket):
    """S3 says of what is not there that it is forbidden, to who may not list."""
    push(store)
    hidden = {"registry/m/model.toml"}
    bucket.faults = lambda method, path: "AccessDenied" if path in hidden else ""
    assert replica.poll()
    assert shown(place) == {"m": [1]}
    ((path, reason),) = replica.problems().items()
    assert path == "s3://models/registry/m/model.toml"
    assert "s3:ListBucket" in reason

    hidden.clear()
    bucket.objects["registry/m/model.toml"] = b"# known\n"
    assert replica.poll()
    assert replica.problems() == {}
    hidden.add("registry/m/model.toml")
    for one in (replica, Replica(store, place)):
        one.poll()
        assert (place / "m/model.toml").read_bytes() == b"# known\n", "what was known stays"
        assert list(one.problems()) == [path]


def test_a_manifest_that_was_changed_is_not_shown_and_the_others_are(
    replica, place, store, push, bucket
):
    push(store)
    push(store)
    good = bucket.objects["registry/m/1/manifest.json"]
    bucket.objects["registry/m/1/manifest.json"] = good.replace(
        b'"data_hash": ""', b'"data_hash": "x"'
    )
    replica.poll()
    assert shown(place) == {"m": [2]}
    (problem,) = replica.problems().items()
    assert problem[0] == "s3://models/registry/m/1"
    assert "its SHA-256 differs" in problem[1]
    bucket.objects["registry/m/1/manifest.json"] = good
    assert not replica.poll(), "it is tried again after a while only"
    replica.now = 1.0
    assert replica.poll()
    assert (shown(place), replica.problems()) == ({"m": [1, 2]}, {})


def test_a_version_that_cannot_be_read_is_tried_again(replica, place, store, push, bucket):
    push(store)
    del bucket.objects["registry/m/1/manifest.json"]
    replica.poll()
    assert "is not there" in next(iter(replica.problems().values()))
    for _ in range(12):
        replica.now += 100.0
        bucket.requests.clear()
        assert not replica.poll()
        assert ("GET", "registry/m/1/manifest.json") in bucket.requests


def test_a_version_that_the_index_drops_is_shown_no_longer(replica, place, store, push, bucket):
    push(store)
    before = bucket.objects["registry/penstock-index.json"]
    push(store)
    push(store, "other")
    replica.poll()
    bucket.objects["registry/penstock-index.json"] = before
    assert replica.poll()
    assert shown(place) == {"m": [1]}
    assert [one.name for one in place.iterdir()] == ["m"]


def test_a_store_that_shows_nothing_any_more_changes_nothing(replica, place, store, push, bucket):
    push(store)
    replica.poll()
    bucket.objects.clear()
    with pytest.raises(StoreError, match="shows no version any more"):
        replica.poll()
    assert shown(place) == {"m": [1]}


def test_a_damaged_index_changes_nothing(replica, place, store, push, bucket):
    push(store)
    replica.poll()
    bucket.objects["registry/penstock-index.json"] = b"{"
    with pytest.raises(ContentError, match=INDEX_FILE):
        replica.poll()
    assert shown(place) == {"m": [1]}


def test_a_start_needs_no_store(replica, place, store, push, bucket):
    push(store)
    replica.poll()
    (place / ".draft-0").mkdir()
    bucket.down = True
    again = Replica(store, place)
    assert not again.empty
    assert not (place / ".draft-0").exists()
    with pytest.raises(StoreError, match="503"):
        again.poll()
    assert shown(place) == {"m": [1]}
    bucket.down = False
    push(store)
    bucket.requests.clear()
    assert again.poll()
    assert ("GET", "registry/m/1/manifest.json") not in bucket.requests, "it is here"
    assert shown(place) == {"m": [1, 2]}


def test_a_registry_that_another_tool_copied_is_listed(replica, place, store, push, bucket):
    push(store)
    push(store)
    del bucket.objects["registry/penstock-index.json"]
    bucket.objects["registry/m/3/model.onnx"] = b"no manifest"
    assert replica.poll()
    assert shown(place) == {"m": [1, 2]}
    assert "copied with its manifest" in replica.problems()["s3://models/registry/m/3"]
    assert not replica.poll()


def test_a_web_server_without_an_index_is_told_what_it_needs(place):
    from obstore.store import MemoryStore

    url = parse_store_url("https://example.com/registry")
    with pytest.raises(StoreError, match="a web server needs") as caught:
        Replica(ObjectStore(url, MemoryStore()), place).poll()
    assert caught.value.lasting


GATES = '[gates.evaluation]\ndata = "{}"\nlabel = "y"\nleast = 0.5\n'


def test_the_held_out_file_of_the_gates_is_copied_and_followed(replica, place, store, push, bucket):
    push(store)
    bucket.objects["registry/m/model.toml"] = GATES.format("rows.csv").encode()
    replica.poll()
    assert "registry/m/rows.csv is not there" in replica.problems()["s3://models/registry/m"]
    for content in (b"x,y\n1,1\n", b"x,y\n2,1\n"):
        bucket.objects["registry/m/rows.csv"] = content
        assert replica.poll()
        assert (place / "m/rows.csv").read_bytes() == content
        bucket.requests.clear()
        assert not replica.poll()
        assert len(bucket.requests) == 3
    assert replica.problems() == {}
    del bucket.objects["registry/m/rows.csv"]
    assert not replica.poll()
    assert (place / "m/rows.csv").exists(), "what was known stays"
    bucket.objects["registry/m/model.toml"] = b""
    replica.poll()
    assert not (place / "m/rows.csv").exists()
    assert replica.problems() == {}


@pytest.mark.parametrize("name", ["../../x.csv", "/tmp/x.csv", "a/b.csv", "..", "model.toml", "1"])
def test_a_store_chooses_no_place_on_this_machine(replica, place, store, push, bucket, name):
    push(store)
    bucket.objects["registry/m/model.toml"] = GATES.format(name).encode()
    replica.poll()
    assert sorted(one.name for one in (place / "m").iterdir()) == ["1", "model.toml"]
    assert not any(name in path for _, path in bucket.requests if name not in {"model.toml", "1"})
