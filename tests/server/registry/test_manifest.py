"""manifest.json: read back as written, refused with the key that is wrong, verified to the byte."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.registry.manifest import (
    FileEntry,
    Manifest,
    ManifestError,
    Run,
    digest_of,
    encode_manifest,
    parse_manifest,
)
from penstock.server.registry.verification import hash_files, read_manifest, verify

SHA = "ab" * 32
SPEC = TensorSpec("x", "FP32", (-1, 4), optional=True)
FULL = Manifest(
    model="m",
    version=3,
    files=(FileEntry("model.onnx", 7, SHA), FileEntry("a/w.bin", 0, SHA)),
    signature=Signature((SPEC,), (), batch_axis=True),
    run=Run("r1", "c0ffee", {"lr": "0.1"}),
    data_hash="md5:1",
    metrics={"auc": 0.99},
    metadata={"ü": "\n"},
    created_at="2026-01-01T00:00:00+00:00",
)


def content(**changes):
    return json.dumps({**json.loads(encode_manifest(FULL)), **changes}).encode()


def test_what_is_written_is_read():
    assert parse_manifest(encode_manifest(FULL)) == FULL


@given(
    files=st.lists(
        st.builds(
            FileEntry,
            st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True),
            st.integers(0, 1 << 62),
            st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        ),
        min_size=1,
        unique_by=lambda entry: entry.path,
    ),
    texts=st.dictionaries(st.text(), st.text(), max_size=3),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_any_manifest_is_read_as_written(files, texts, metrics):
    manifest = Manifest(
        "m", 1, tuple(files), metadata=texts, metrics=metrics, run=Run(params=texts)
    )
    assert parse_manifest(encode_manifest(manifest)) == manifest


def test_the_digest_is_of_the_files_in_any_order():
    assert digest_of(FULL.files) == digest_of(FULL.files[::-1])
    assert digest_of(FULL.files) != digest_of(FULL.files[:1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (b"[]", r"it is \[\], expected an object"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (content(format=2), "format is 2, expected 1"),
        (content(version="3"), "version is '3', expected a whole number"),
        (content(version=True), "version is True, expected a whole number"),
        (content(files=[]), "files is .*, expected at least one file"),
        (content(files=[1]), r"files\[0\] is 1, expected an object"),
        (content(files=[{"path": "../x", "size": 1, "sha256": SHA}]), "leads upwards"),
        (content(files=[{"path": "manifest.json", "size": 1, "sha256": SHA}]), "not the manifest"),
        (content(files=[{"path": "x", "size": -1, "sha256": SHA}]), "a number of bytes"),
        (content(files=[{"path": "x", "size": 1, "sha256": "AB"}]), "64 hexadecimal digits"),
        (content(files=[{"path": "x", "size": 1, "sha256": SHA}]), "which its list of files has"),
        (content(metrics={"auc": "high"}), "metrics.auc is 'high', expected a number"),
        (content(metrics={"auc": float("nan")}), "NaN is no number"),
        (content(run={"params": {"lr": 1}}), "run.params.lr is 1, expected a text"),
        (content(signature={"inputs": []}), "signature.outputs is missing"),
        (
            content(signature={"inputs": [{"name": "x", "datatype": "F32", "shape": []}]}),
            "outputs is missing|expected one of BOOL",
        ),
    ],
)
def test_a_wrong_manifest_names_the_key(changed, message):
    with pytest.raises(ManifestError, match=message):
        parse_manifest(changed)


@pytest.fixture
def published(version):
    (version / "model.onnx").write_bytes(b"1234567")
    (version / "a").mkdir()
    (version / "a" / "w.bin").write_bytes(b"")
    manifest = Manifest("m", 1, hash_files(version))
    (version / "manifest.json").write_bytes(encode_manifest(manifest))
    return version, manifest


def test_a_version_as_published_has_no_problems(published):
    version, manifest = published
    seen = []
    assert read_manifest(version) == manifest
    assert verify(version, manifest, seen.append) == ()
    assert sum(seen) == manifest.total_bytes == 7


def test_every_difference_is_a_problem(published):
    version, manifest = published
    (version / "model.onnx").write_bytes(b"1234568")
    (version / "a" / "w.bin").unlink()
    (version / "more").write_bytes(b"")
    assert verify(version, manifest) == (
        "more is not in the manifest",
        "a/w.bin is missing",
        "model.onnx is not the file that was published: its SHA-256 differs",
    )
    (version / "model.onnx").write_bytes(b"12345678")
    assert "has 8 bytes, the manifest says 7" in verify(version, manifest)[-1]


def test_a_link_is_a_problem(published, tmp_path):
    version, manifest = published
    (tmp_path / "same").write_bytes(b"1234567")
    (version / "model.onnx").unlink()
    (version / "model.onnx").symlink_to(tmp_path / "same")
    assert "symbolic link" in verify(version, manifest)[0]


def test_no_manifest_is_not_an_error_but_a_link_to_one_is(version, tmp_path):
    assert read_manifest(version) is None
    (tmp_path / "manifest.json").write_bytes(encode_manifest(FULL))
    (version / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(ManifestError, match="symbolic link"):
        read_manifest(version)


def test_a_manifest_is_bounded(version):
    with (version / "manifest.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ManifestError, match="larger than"):
        read_manifest(version)


def test_a_pipe_in_place_of_the_manifest_does_not_wait(version):
    os.mkfifo(version / "manifest.json")
    with pytest.raises(ManifestError, match="named pipe"):
        read_manifest(version)
