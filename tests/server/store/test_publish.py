"""A version in a store is there whole or not at all, and none is lost."""

from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.server.config.store_url import parse_store_url
from penstock.server.errors import Conflict
from penstock.server.registry.manifest import parse_manifest
from penstock.server.registry.mlflow_version import MlflowVersion
from penstock.server.store.index import INDEX_FILE, Index, encode_index, parse_index
from penstock.server.store.index_reader import read_index
from penstock.server.store.object_store import ObjectStore
from penstock.server.store.publish import PublishedBefore, Publisher
from penstock.server.store.store_error import StoreError


def whole(store, model, number):
    """The files of a version that the index names, each compared with its hash."""
    index, _ = read_index(store)
    entry = index.of(model)[number]
    manifest = store.read(f"{model}/{number}/manifest.json").content
    assert entry.manifest in {hashlib.sha256(manifest).hexdigest(), ""}
    parsed = parse_manifest(manifest)
    assert (parsed.model, parsed.version) == (model, number)
    assert entry.digest in {parsed.digest, ""}
    files = {one.path: store.read(f"{model}/{number}/{one.path}").content for one in parsed.files}
    for one in parsed.files:
        assert hashlib.sha256(files[one.path]).hexdigest() == one.sha256
    return files


def test_versions_get_the_next_numbers_and_are_whole(store, push):
    assert [push(store, a=b"1").version, push(store, a=b"2").version] == [1, 2]
    assert push(store, "other").version == 1
    assert whole(store, "m", 2) == {"a": b"2"}
    assert parse_index(store.read(INDEX_FILE).content, "index").generation == 3


def test_a_number_is_given_once(store, push):
    assert push(store, wanted=7, token="first").version == 7
    with pytest.raises(Conflict, match="version 7 of model 'm' exists"):
        push(store, wanted=7, token="second")
    assert push(store).version == 8


def test_the_number_of_a_killed_push_is_not_given_again(store, push, bucket):
    def kill(method, path):
        if method == "PUT" and path.endswith("weights"):
            raise ConnectionError
        return ""

    bucket.faults = kill
    with pytest.raises(StoreError, match="cannot write m/1/weights"):
        push(store, token="killed", weights=b"half", more=b"of a version")
    bucket.faults = lambda *_: ""
    assert read_index(store)[0].of("m") == {}, "without an index, too, it is not there"
    assert push(store, token="next").version == 2
    assert list(read_index(store)[0].of("m")) == [2]


def test_a_push_that_dies_before_it_is_named_is_never_seen(store, push, bucket):
    """Also where it is the first one, and a reader has to list the objects."""
    manifest = "registry/m/1/manifest.json"

    def refuse(method, path):
        named = method == "PUT" and path.endswith(INDEX_FILE) and manifest in bucket.objects
        return "AccessDenied" if named else ""

    bucket.faults = refuse
    with pytest.raises(StoreError):
        push(store, token="killed", a=b"1")
    assert manifest in bucket.objects
    assert read_index(store)[0].of("m") == {}


def test_a_list_counts_only_if_there_is_no_index_after_it(store, bucket):
    """A push may begin between a reader's look for the index and its list."""

    def begin(method, path):
        if method == "GET" and not path:
            bucket.objects[f"registry/{INDEX_FILE}"] = encode_index(Index())
            bucket.objects["registry/m/1/manifest.json"] = b"{}"
        return ""

    bucket.faults = begin
    assert read_index(store)[0] == Index()


def test_a_write_whose_answer_is_lost_is_ours(store, push, bucket):
    lost = set()

    def lose(method, path):
        if method == "PUT" and path not in lost:
            lost.add(path)
            return "lost"
        return ""

    bucket.faults = lose
    assert push(store, a=b"1").version == 1
    assert len(lost) == 4  # claim, file, manifest, index
    assert whole(store, "m", 1) == {"a": b"1"}


def test_a_store_without_conditions_is_refused_by_name(store, push, bucket):
    bucket.conditions = False
    with pytest.raises(StoreError, match="takes no notice of If-None-Match"):
        push(store)
    assert not any(path.endswith("manifest.json") for path in bucket.objects)


def test_what_another_tool_has_put_there_is_kept_and_found(store, push, bucket):
    bucket.objects["registry/m/1/model.onnx"] = b"by hand"
    assert push(store, wanted=None).version == 2
    assert set(read_index(store)[0].of("m")) == {1, 2}
    bucket.objects["registry/m/3/model.onnx"] = b"later, by hand"
    with pytest.raises(Conflict):
        push(store, wanted=3, token="u")
    assert push(store, token="v").version == 4
    assert bucket.objects["registry/m/3/model.onnx"] == b"later, by hand"


class Schedule:
    """Lets one of several threads make one request at a time, in an order that is drawn."""

    def __init__(self, seed, writers):
        self.random = random.Random(seed)
        self.waiting = {}
        self.left = writers
        self.condition = threading.Condition()

    def step(self, name, kill):
        """Wait for the turn of this thread."""
        with self.condition:
            turn = self.waiting[name] = threading.Event()
            self.choose()
        assert turn.wait(30)
        if kill and self.random.random() < kill:
            raise Killed

    def end(self):
        with self.condition:
            self.left -= 1
            self.choose()

    def choose(self):
        if self.waiting and len(self.waiting) == self.left:
            name = self.random.choice(sorted(self.waiting))
            self.waiting.pop(name).set()


class Killed(BaseException):
    """The end of a process."""


class Scheduled(ObjectStore):
    """A store each of whose requests waits for its turn."""

    def __init__(self, store, schedule, name, kill=0.0):
        super().__init__(store.url, store._client, lambda _: None)
        self.turn = lambda: schedule.step(name, kill)

    def read(self, *arguments):
        self.turn()
        return super().read(*arguments)

    def write(self, *arguments):
        self.turn()
        return super().write(*arguments)

    def upload(self, path, file):
        super().upload(path, file)  # from threads of its own, and nobody reads it yet

    def listing(self, *arguments):
        self.turn()
        return super().listing(*arguments)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), writers=st.integers(2, 4), kill=st.sampled_from([0.0, 0.15]))
def test_in_any_order_of_requests_no_version_is_lost_half_or_doubled(
    seed, writers, kill, tmp_path_factory
):
    from obstore.store import MemoryStore

    directory = tmp_path_factory.mktemp("files")
    (directory / "a").write_bytes(b"a" * 10)
    store = ObjectStore(parse_store_url("s3://models/x"), MemoryStore())
    schedule = Schedule(seed, writers + 1)
    published: list[int] = []
    seen: list[dict[int, str]] = []

    def write(number):
        from penstock.server.registry.manifest import Manifest
        from penstock.server.registry.verification import hash_files

        try:
            mine = Scheduled(store, schedule, f"writer-{number}", kill)
            publisher = Publisher(mine, f"token-{number}", sleep=lambda _: None)
            manifest = Manifest("m", 1, hash_files(directory), data_hash=str(number))
            published.append(publisher.publish(directory, manifest, None).version)
        except Killed:
            pass
        finally:
            schedule.end()

    def read():
        mine = Scheduled(store, schedule, "reader")
        try:
            for _ in range(6):
                known = read_index(mine)[0].of("m")
                for version in known:
                    whole(store, "m", version)
                seen.append({version: one.manifest for version, one in known.items()})
        finally:
            schedule.end()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    threads.append(threading.Thread(target=read))
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    final = read_index(store)[0].of("m")
    assert len(set(published)) == len(published)
    assert set(published) <= set(final)
    assert kill or sorted(final) == list(range(1, writers + 1))
    for version in final:
        whole(store, "m", version)
    for before, after in zip(
        seen, [*seen[1:], {n: e.manifest for n, e in final.items()}], strict=True
    ):
        assert before.items() <= after.items(), "a version that was seen stays as it is"


CHURN = MlflowVersion("churn", "3", "1732000000000")


def of_mlflow(version, source=CHURN):
    made = version(a=b"1")
    manifest = replace(made.manifest, metadata=source.metadata)
    return made.directory, manifest


def test_a_version_of_mlflow_is_published_once(store, version):
    directory, manifest = of_mlflow(version)
    publisher = Publisher(store, "first", sleep=lambda _: None)
    assert publisher.publish(directory, manifest, None).version == 1
    with pytest.raises(PublishedBefore) as raised:
        Publisher(store, "second", sleep=lambda _: None).publish(directory, manifest, None)
    assert raised.value.version == 1
    again = replace(manifest, metadata=replace(CHURN, created="1733000000000").metadata)
    assert Publisher(store, "third").publish(directory, again, None).version == 2
    known = read_index(store)[0]
    assert known.made_of("m", str(CHURN)) == 1
    assert parse_index(encode_index(known), "index") == known


def test_a_version_of_mlflow_that_two_push_at_once_is_published_once(store, version, bucket):
    """The second one has read the index, taken a number and uploaded before the first is named."""
    directory, manifest = of_mlflow(version)
    other = Publisher(store, "other", sleep=lambda _: None)
    done = []

    def overtake(method, path):
        if method == "PUT" and path.endswith(INDEX_FILE) and not done:
            done.append(None)
            done.append(other.publish(directory, manifest, None).version)
        return ""

    bucket.objects[f"registry/{INDEX_FILE}"] = encode_index(Index())
    bucket.faults = overtake
    with pytest.raises(PublishedBefore) as raised:
        Publisher(store, "mine", sleep=lambda _: None).publish(directory, manifest, None)
    assert raised.value.version == done[1] == 2
    assert list(read_index(store)[0].of("m")) == [2]
