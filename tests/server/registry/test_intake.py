"""What is taken in, from where it is loaded, and what becomes of what could not be taken."""

from __future__ import annotations

import errno
import itertools
import os

import pytest

from penstock.server.files.roots import roots_of
from penstock.server.registry import intake as intake_module
from penstock.server.registry.attempts import REFUSED_SECONDS, TRANSIENT_SECONDS
from penstock.server.registry.intake import Intake
from penstock.server.registry.intake_result import Candidate
from penstock.server.registry.manifest import Manifest, encode_manifest
from penstock.server.registry.private_copy import NoRoom
from penstock.server.registry.verification import hash_files

WINDOW = 2.0
KEY = "m", 1
TENSORS = [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])]


class Desk:
    """An intake with clocks of its own, and one version in a registry."""

    def __init__(self, tmp_path, max_bytes=1 << 30):
        self.state, self.registry = tmp_path / "state", tmp_path / "registry"
        self.state.mkdir(exist_ok=True)
        self.version = self.registry / "m" / "1"
        self.now, self.max_bytes = 1000.0, max_bytes
        self.start()

    def start(self):
        """A new life of the server on the same state."""
        self.intake = Intake(
            self.state,
            self.max_bytes,
            WINDOW,
            clock=lambda: self.now,
            wall_clock=lambda: self.newest() + 1,
        )

    def newest(self):
        """The wall clock stands just behind the last change, as while somebody is copying."""
        return max((one.stat().st_ctime_ns for one in self.registry.rglob("*")), default=0)

    def offer(self, seconds=0.0, **known):
        self.now += seconds
        roots = roots_of(self.registry)
        offer = self.intake.offer(Candidate(KEY, self.version, None, roots, **known))
        self.intake.settle([KEY])
        return offer

    def arrive(self, looks=6):
        """Look until nothing is waited for."""
        for _ in range(looks):
            offer = self.offer(WINDOW)
            if not offer.waiting:
                return offer
        return offer


@pytest.fixture
def desk(tmp_path, onnx_file):
    made = Desk(tmp_path)
    made.put = lambda kind="Relu": onnx_file(
        made.version / "model.onnx", [(kind, ["x"], ["y"])], *TENSORS
    )
    made.put()
    return made


def publish(desk):
    manifest = Manifest("m", 1, hash_files(desk.version))
    (desk.version / "manifest.json").write_bytes(encode_manifest(manifest))


def test_a_copy_by_hand_is_taken_when_it_kept_still_and_was_read_twice(desk):
    offers = [desk.offer(), desk.offer(WINDOW), desk.offer(WINDOW)]
    assert [one.waiting for one in offers] == [True, True, False]
    assert "second time" in offers[1].reason
    assert hash_files(offers[2].directory) == hash_files(desk.version)


def test_content_that_changes_without_its_times_is_not_taken(desk, monkeypatch):
    """As a writer through a memory map on a network file system, whose times are coarse."""
    facts = intake_module.look(desk.version)
    monkeypatch.setattr(intake_module, "look", lambda *_: facts)
    desk.offer()
    assert desk.offer(WINDOW).waiting  # read for the first time
    desk.put("Neg ")  # the same size, and for all that is looked at the same times
    offer = desk.offer(WINDOW)
    assert offer.waiting
    assert "changed while it was copied" in offer.reason


@pytest.mark.parametrize("how", ["hole", "fallocate", "zeros"])
def test_a_file_of_full_size_that_is_half_written_is_waited_for(desk, how):
    size = 1 << 20
    with (desk.version / "w.bin").open("wb") as file:
        if how == "hole":
            file.truncate(size)
        elif how == "fallocate":
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(bytes(size))
        file.seek(0)
        file.write(os.urandom(size // 2))
    for _ in range(8):
        offer = desk.offer(WINDOW)
    assert offer.waiting
    assert "w.bin has" in offer.reason
    assert "`penstock push`" in offer.reason
    with (desk.version / "w.bin").open("r+b") as file:
        file.write(os.urandom(size))
    assert desk.arrive().directory is not None


def test_a_file_that_is_sparse_by_right_is_taken_in_the_end(desk):
    with (desk.version / "w.bin").open("wb") as file:
        file.truncate(1 << 20)
    assert desk.offer(WINDOW).waiting
    assert desk.offer(WINDOW).waiting
    assert desk.offer(600.0).directory is not None


def test_with_a_manifest_a_sparse_file_is_taken_at_once(desk):
    with (desk.version / "w.bin").open("wb") as file:
        file.truncate(1 << 20)
    publish(desk)
    assert desk.offer().directory is not None


def test_a_published_version_that_is_still_coming_is_waited_for(desk):
    content = (desk.version / "model.onnx").read_bytes()
    publish(desk)
    (desk.version / "model.onnx").write_bytes(content[:-10])
    offer = desk.offer()
    assert offer.waiting
    assert f"{len(content) - 10} of the {len(content)} bytes" in offer.reason
    (desk.version / "model.onnx").write_bytes(content)
    assert desk.offer().directory is not None


def test_files_that_change_before_anything_was_served_are_taken_again(desk):
    first = desk.arrive()
    desk.put("Neg")
    during = desk.offer()
    assert (during.directory, during.waiting) == (first.directory, True)
    second = desk.arrive()
    assert second.digest != first.digest
    assert hash_files(second.directory) == hash_files(desk.version)


@pytest.mark.parametrize("restart", [False, True])
def test_files_that_change_after_a_request_was_answered_are_told_and_not_taken(desk, restart):
    first = desk.arrive()
    desk.offer(served=True)
    if restart:
        desk.start()
    desk.put("Neg")
    offer = desk.arrive()
    assert offer.directory == first.directory
    assert "changed since it was taken" in offer.reason


def test_a_published_version_never_changes(desk):
    publish(desk)
    first = desk.offer()
    desk.put("Neg")
    offer = desk.arrive()
    assert (offer.directory, offer.waiting) == (first.directory, False)
    assert "changed since it was taken" in offer.reason


def test_a_damaged_private_copy_is_made_again(desk):
    before = desk.arrive()
    damage(before.directory / "model.onnx")
    assert desk.offer(broken=False).directory == before.directory  # nobody has looked
    after = desk.offer(broken=True)
    assert after.directory not in (None, before.directory)
    assert after.digest == before.digest
    assert hash_files(after.directory) == hash_files(desk.version)
    desk.start()
    assert desk.offer().directory == after.directory
    assert desk.offer(broken=True).directory == after.directory  # that one is whole


def test_a_damaged_copy_of_which_nothing_is_left_is_refused_and_says_so(desk):
    before = desk.arrive()
    damage(before.directory / "model.onnx")
    (desk.version / "model.onnx").write_bytes(b"junk")
    offer = desk.offer(broken=True)
    assert offer.directory is None
    assert offer.reason


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EMFILE, "Too many open files"),
        PermissionError(errno.EACCES, "Permission denied"),
        NoRoom("no room for a private copy: 7 bytes are in use"),
    ],
    ids=lambda error: type(error).__name__ + str(error.errno or ""),
)
def test_an_error_of_the_machine_is_never_remembered_as_a_refusal(desk, monkeypatch, error):
    publish(desk)
    tries = []

    def fail(*_, **__):
        tries.append(desk.now)
        raise error

    copy = intake_module.private_copy
    monkeypatch.setattr(intake_module, "private_copy", fail)
    for _ in range(60):
        offer = desk.offer(1.0)
        assert offer.waiting
        assert offer.reason.startswith("waiting: ")
        assert "again in" in offer.reason
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == sorted(pauses)
    assert len(tries) < 10
    assert max(pauses) <= TRANSIENT_SECONDS[1] + 1
    monkeypatch.setattr(intake_module, "private_copy", copy)
    assert desk.offer(TRANSIENT_SECONDS[1]).directory is not None


def test_a_refusal_is_looked_at_again_although_no_time_changed(desk, monkeypatch):
    whole = (desk.version / "model.onnx").read_bytes()
    publish(desk)
    (desk.version / "model.onnx").write_bytes(bytes(len(whole)))
    facts = intake_module.look(desk.version)
    monkeypatch.setattr(intake_module, "look", lambda *_: facts)
    assert "SHA-256 differs" in desk.offer().reason
    (desk.version / "model.onnx").write_bytes(whole)
    assert desk.offer(1.0).directory is None  # not read again and again
    assert desk.offer(REFUSED_SECONDS[0]).directory is not None


def test_a_directory_that_is_not_there_and_one_that_is_gone_are_told_apart(desk):
    first = desk.arrive()
    (desk.version / "model.onnx").unlink()
    desk.version.rmdir()
    assert (desk.offer().directory, desk.offer().reason) == (
        first.directory,
        "its directory is gone; what was taken from it still serves",
    )
    desk.intake.settle([])
    assert desk.offer().directory is None


def damage(path):
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
