"""Links in a registry end in it or in an allowed directory, and are judged by what they opened."""

from __future__ import annotations

import os

import pytest

from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import OWN, roots_of
from penstock.server.onnx_file.inspection import inspect_version
from penstock.server.registry.copy_completeness import look
from penstock.server.registry.manifest import Manifest, encode_manifest
from penstock.server.registry.private_copy import private_copy
from penstock.server.registry.survey import scan
from penstock.server.registry.verification import hash_files, read_manifest, verify


@pytest.fixture
def registry(tmp_path, onnx_model):
    made = tmp_path / "registry"
    (made / "m" / "1").mkdir(parents=True)
    (made / ".blobs").mkdir()
    (made / ".blobs" / "abc").write_bytes(onnx_model().SerializeToString())
    return made


def paths(version, roots):
    return [one.path for one in look(version, roots)]


def test_a_config_map_is_read_through_its_links(registry):
    version = registry / "m" / "1"
    config_map(version, "..2026", registry / ".blobs" / "abc")
    roots = roots_of(registry)
    assert paths(version, roots) == ["model.onnx"]
    inspect_version(version, None, roots)
    copy = private_copy(
        version, registry / ".c", hash_files(version, roots), max_bytes=9**9, roots=roots
    )
    assert paths(copy, OWN) == ["model.onnx"]
    assert not (copy / "model.onnx").is_symlink()
    before = look(version, roots)
    config_map(version, "..2027", registry / ".blobs" / "abc")
    assert look(version, roots) != before


def test_a_hugging_face_cache_in_the_registry_is_read(registry):
    version = registry / "m" / "1"
    (version / "model.onnx").symlink_to("../../.blobs/abc")
    roots = roots_of(registry)
    inspect_version(version, None, roots)
    (version / "manifest.json").write_bytes(
        encode_manifest(Manifest("m", 1, hash_files(version, roots)))
    )
    manifest = read_manifest(version, roots)
    assert verify(version, manifest, None, roots) == ()


def test_a_link_that_leads_out_is_refused_unless_its_end_is_allowed(registry, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (registry / ".blobs" / "abc").rename(elsewhere / "abc")
    (registry / "m" / "1" / "model.onnx").symlink_to(elsewhere / "abc")
    with pytest.raises(
        ModelRefused, match=f"leads out of the registry, to {elsewhere}.*allowed_roots"
    ):
        paths(registry / "m" / "1", roots_of(registry))
    assert paths(registry / "m" / "1", roots_of(registry, [elsewhere])) == ["model.onnx"]
    missing = tmp_path / "registry-2"  # a neighbour whose name begins like the registry's
    missing.mkdir()
    (missing / "abc").write_bytes(b"x")
    (registry / "m" / "1" / "w").symlink_to(missing / "abc")
    with pytest.raises(ModelRefused, match="leads out"):
        paths(registry / "m" / "1", roots_of(registry, [elsewhere, tmp_path / "absent"]))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda at: at.symlink_to("nowhere"), "symbolic link to 'nowhere', which is not there"),
        (lambda at: at.symlink_to(at.name), "leads back to itself"),
        (lambda at: at.symlink_to("."), "leads back to itself"),
        (lambda at: at.symlink_to(".."), "leads back to itself|nested deeper"),
        (lambda at: at.symlink_to("/dev/zero"), "leads out of the registry, to /dev/zero"),
        (os.mkfifo, "a named pipe"),
    ],
)
def test_each_reason_is_a_clear_one(registry, make, reason):
    version = registry / "m" / "1"
    (version / "model.onnx").symlink_to("../../.blobs/abc")
    make(version / "odd")
    with pytest.raises(ModelRefused, match=reason):
        paths(version, roots_of(registry))


def test_a_pipe_behind_a_link_is_not_opened(registry):
    os.mkfifo(registry / ".blobs" / "pipe")
    (registry / "m" / "1" / "model.onnx").symlink_to("../../.blobs/pipe")
    with pytest.raises(ModelRefused, match="a named pipe"):
        paths(registry / "m" / "1", roots_of(registry))


def test_a_version_behind_a_link_is_judged_when_it_is_opened(registry, tmp_path):
    """It was inside when the registry was scanned, and is swapped before it is read."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.onnx").write_bytes((registry / ".blobs" / "abc").read_bytes())
    (registry / "m" / "2").symlink_to("1")
    snapshot = scan(registry)
    assert list(snapshot.models["m"].versions) == [1, 2]
    (registry / "m" / "2").unlink()
    (registry / "m" / "2").symlink_to(outside)
    with pytest.raises(ModelRefused, match="leads out of the registry"):
        look(registry / "m" / "2", snapshot.roots)


def test_a_backup_by_hard_links_does_no_harm(registry, tmp_path):
    version = registry / "m" / "1"
    (version / "model.onnx").write_bytes((registry / ".blobs" / "abc").read_bytes())
    roots = roots_of(registry)
    os.link(version / "model.onnx", tmp_path / "backup")
    inspect_version(version, None, roots)
    entries = hash_files(version, roots)
    copy = private_copy(version, registry / ".c", entries, max_bytes=9**9, roots=roots)
    mode = (version / "model.onnx").stat().st_mode
    assert not (copy / "model.onnx").samefile(version / "model.onnx")
    with (tmp_path / "backup").open("r+b") as file:  # a writer in place
        file.write(b"other")
    assert hash_files(copy, OWN) == entries
    os.link(copy / "model.onnx", tmp_path / "backup of the state")
    assert hash_files(copy, OWN) == entries
    assert (version / "model.onnx").stat().st_mode == mode


def test_a_second_name_of_a_file_beside_the_model_alone_is_refused(registry, tmp_path):
    """It may be the name of a secret, which the model would answer with."""
    version = registry / "m" / "1"
    (version / "model.onnx").write_bytes((registry / ".blobs" / "abc").read_bytes())
    (version / "w.bin").write_bytes(b"weights")
    os.link(version / "w.bin", tmp_path / "secret")
    with pytest.raises(ModelRefused, match=r"w\.bin is a hard link.*copy it"):
        look(version, roots_of(registry))
    os.link(version / "model.onnx", tmp_path / "backup")  # all files, as a backup does it
    assert len(look(version, roots_of(registry))) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_hard_link_to_a_file_of_another_user_is_refused(registry):
    version = registry / "m" / "1"
    os.chown(registry / ".blobs" / "abc", 12345, -1)
    os.link(registry / ".blobs" / "abc", version / "model.onnx")
    with pytest.raises(ModelRefused, match="hard link to a file of another user"):
        paths(version, roots_of(registry))


def test_without_roots_no_link_is_followed(registry):
    (registry / "m" / "1" / "model.onnx").symlink_to("../../.blobs/abc")
    with pytest.raises(ModelRefused, match="is a symbolic link, expected a regular file"):
        inspect_version(registry / "m" / "1")
    with pytest.raises(ModelRefused, match="leads out"):
        inspect_version(registry / "m" / "1", None, OWN)


def config_map(version, name, model):
    """As Kubernetes does it: a new directory, then one rename."""
    (version / name).mkdir()
    (version / name / "model.onnx").write_bytes(model.read_bytes())
    (version / "..data_tmp").symlink_to(name)
    (version / "..data_tmp").rename(version / "..data")
    if not (version / "model.onnx").is_symlink():
        (version / "model.onnx").symlink_to("..data/model.onnx")
