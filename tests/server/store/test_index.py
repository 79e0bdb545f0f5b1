"""The index is checked: it comes from elsewhere, and its names become directories."""

from __future__ import annotations

import json

import pytest

from penstock.monitoring.files.decoding import ContentError
from penstock.server.store.index import Index, IndexEntry, encode_index, parse_index
from penstock.server.store.layout import arrange
from penstock.server.store.object_store import Listed

ENTRY = IndexEntry("a" * 64, "sha256:x")


def test_an_index_is_read_as_it_was_written():
    index = Index().with_version("m", 2, ENTRY).with_version("m", 10, ENTRY)
    index = index.with_version("other", 1, IndexEntry())
    assert parse_index(encode_index(index), "index") == index
    assert index.generation == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"generation": -1}, "generation"),
        ({"models": {"../etc": {"1": {}}}}, "expected names of models"),
        ({"models": {"m": {"../1": {}}}}, "expected whole numbers from 1"),
        ({"models": {"m": {"01": {}}}}, "expected whole numbers from 1"),
        ({"models": {"m": {"1": {"manifest": "no"}}}}, "64 hexadecimal digits"),
        ({"models": []}, "models"),
    ],
)
def test_an_index_that_cannot_be_believed_is_refused(change, message):
    content = {"format": 1, "generation": 0, "models": {}, **change}
    with pytest.raises(ContentError, match=message):
        parse_index(json.dumps(content).encode(), "index")
    with pytest.raises(ContentError):
        parse_index(json.dumps(content).encode()[:-1], "index")


def test_a_list_of_objects_shows_versions_and_leaves_out_pushes_that_did_not_end():
    paths = [
        "penstock-index.json",
        "m/model.toml",
        "m/1/model.onnx",
        "m/2/model.onnx",
        "m/2/manifest.json",
        "m/.claims/2",
        "m/3/model.onnx",
        "m/.claims/3",
        "m/.claims/4",
        "m/v5/model.onnx",
        "m/01/model.onnx",
        ".hidden/1/model.onnx",
        "loose.onnx",
    ]
    found = arrange(Listed(path, 1) for path in paths)
    assert {model: list(one) for model, one in found.models.items()} == {"m": [1, 2]}
