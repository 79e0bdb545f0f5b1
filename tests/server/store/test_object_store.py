"""Objects come whole, and go on where they broke off."""

from __future__ import annotations

import hashlib
import io

import pytest

from penstock.server.store.object_store import ObjectTaken
from penstock.server.store.store_error import StoreError


def test_an_unchanged_object_is_the_one_that_is_known(store, bucket):
    bucket.objects["registry/x"] = b"1"
    found = store.read("x")
    assert found.content == b"1"
    assert store.read("x", found) is found
    bucket.objects["registry/x"] = b"2"
    assert store.read("x", found).content == b"2"
    assert store.read("y") is None


def test_a_write_on_a_condition_that_does_not_hold_changes_nothing(store, bucket):
    store.write("x", b"1", None)
    with pytest.raises(ObjectTaken):
        store.write("x", b"2", None)
    found = store.read("x")
    store.write("x", b"3", found)
    with pytest.raises(ObjectTaken):
        store.write("x", b"4", found)
    assert bucket.objects["registry/x"] == b"3"


def test_a_download_goes_on_where_it_broke_off(store, bucket):
    content = bytes(range(256)) * 20_000
    bucket.objects["registry/x"] = content
    cuts = iter(["cut", "cut", "error", "cut"])
    bucket.faults = lambda *_: next(cuts, "")
    target = io.BytesIO()
    assert store.download("x", target, len(content)) == hashlib.sha256(content).hexdigest()
    assert target.getvalue() == content


def test_a_download_that_never_comes_whole_is_given_up(store, bucket):
    bucket.objects["registry/x"] = b"short"
    with pytest.raises(StoreError, match="x has 5 of 9 bytes"):
        store.download("x", io.BytesIO(), 9)
    with pytest.raises(StoreError, match="y is not there"):
        store.download("y", io.BytesIO(), 9)


def test_a_download_is_no_larger_than_it_may_be(store, bucket):
    bucket.objects["registry/x"] = b"x" * (8 << 20)
    target = io.BytesIO()
    store.download("x", target, 10)
    assert len(target.getvalue()) < 4 << 20


def test_an_object_that_is_too_large_for_memory_is_refused(store, bucket):
    bucket.objects["registry/x"] = bytes((32 << 20) + 1)
    with pytest.raises(StoreError, match="expected at most"):
        store.read("x")
