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


class Service:
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

    def assess(self, seconds=0.0, **known):
        self.now += seconds
        roots = roots_of(self.registry)
        result = self.intake.assess(Candidate(KEY, self.version, None, roots, **known))
        self.intake.settle([KEY])
        return result

    def arrive(self, history=6):
        """Look until nothing is waited for."""
        for _ in range(history):
            result = self.assess(WINDOW)
            if not result.waiting:
                return result
        return result


@pytest.fixture
def service(tmp_path, onnx_file):
    made = Service(tmp_path)
    made.put = lambda kind="Relu": onnx_file(
        made.version / "model.onnx", [(kind, ["x"], ["y"])], *TENSORS
    )
    made.put()
    return made


def publish(service):
    manifest = Manifest("m", 1, hash_files(service.version))
    (service.version / "manifest.json").write_bytes(encode_manifest(manifest))


def test_a_copy_by_hand_is_taken_when_it_kept_still_and_was_read_twice(service):
    results = [service.assess(), service.assess(WINDOW), service.assess(WINDOW)]
    assert [one.waiting for one in results] == [True, True, False]
    assert "second time" in results[1].reason
    assert hash_files(results[2].directory) == hash_files(service.version)


def test_content_that_changes_without_its_times_is_not_taken(service, monkeypatch):
    """As a writer through a memory map on a network file system, whose times are coarse."""
    facts = intake_module.look(service.version)
    monkeypatch.setattr(intake_module, "look", lambda *_: facts)
    service.assess()
    assert service.assess(WINDOW).waiting  # read for the first time
    service.put("Neg ")  # the same size, and for all that is looked at the same times
    result = service.assess(WINDOW)
    assert result.waiting
    assert "changed while it was copied" in result.reason


@pytest.mark.parametrize("how", ["hole", "fallocate", "zeros"])
def test_a_file_of_full_size_that_is_half_written_is_waited_for(service, how):
    size = 1 << 20
    with (service.version / "w.bin").open("wb") as file:
        if how == "hole":
            file.truncate(size)
        elif how == "fallocate":
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(bytes(size))
        file.seek(0)
        file.write(os.urandom(size // 2))
    for _ in range(8):
        result = service.assess(WINDOW)
    assert result.waiting
    assert "w.bin has" in result.reason
    assert "`penstock push`" in result.reason
    with (service.version / "w.bin").open("r+b") as file:
        file.write(os.urandom(size))
    assert service.arrive().directory is not None


def test_a_file_that_is_sparse_by_right_is_taken_in_the_end(service):
    with (service.version / "w.bin").open("wb") as file:
        file.truncate(1 << 20)
    assert service.assess(WINDOW).waiting
    assert service.assess(WINDOW).waiting
    assert service.assess(600.0).directory is not None


def test_with_a_manifest_a_sparse_file_is_taken_at_once(service):
    with (service.version / "w.bin").open("wb") as file:
        file.truncate(1 << 20)
    publish(service)
    assert service.assess().directory is not None


def test_a_published_version_that_is_still_coming_is_waited_for(service):
    content = (service.version / "model.onnx").read_bytes()
    publish(service)
    (service.version / "model.onnx").write_bytes(content[:-10])
    result = service.assess()
    assert result.waiting
    assert f"{len(content) - 10} of the {len(content)} bytes" in result.reason
    (service.version / "model.onnx").write_bytes(content)
    assert service.assess().directory is not None


def test_files_that_change_before_anything_was_served_are_taken_again(service):
    first = service.arrive()
    service.put("Neg")
    during = service.assess()
    assert (during.directory, during.waiting) == (first.directory, True)
    second = service.arrive()
    assert second.digest != first.digest
    assert hash_files(second.directory) == hash_files(service.version)


@pytest.mark.parametrize("restart", [False, True])
def test_files_that_change_after_a_request_was_answered_are_told_and_not_taken(service, restart):
    first = service.arrive()
    service.assess(served=True)
    if restart:
        service.start()
    service.put("Neg")
    result = service.arrive()
    assert result.directory == first.directory
    assert "changed since it was taken" in result.reason


def test_a_published_version_never_changes(service):
    publish(service)
    first = service.assess()
    service.put("Neg")
    result = service.arrive()
    assert (result.directory, result.waiting) == (first.directory, False)
    assert "changed since it was taken" in result.reason


def test_a_damaged_private_copy_is_made_again(service):
    before = service.arrive()
    damage(before.directory / "model.onnx")
    assert service.assess(broken=False).directory == before.directory  # nobody has looked
    after = service.assess(broken=True)
    assert after.directory not in (None, before.directory)
    assert after.digest == before.digest
    assert hash_files(after.directory) == hash_files(service.version)
    service.start()
    assert service.assess().directory == after.directory
    assert service.assess(broken=True).directory == after.directory  # that one is whole


def test_a_damaged_copy_of_which_nothing_is_left_is_refused_and_says_so(service):
    before = service.arrive()
    damage(before.directory / "model.onnx")
    (service.version / "model.onnx").write_bytes(b"junk")
    result = service.assess(broken=True)
    assert result.directory is None
    assert result.reason


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
def test_an_error_of_the_machine_is_never_remembered_as_a_refusal(service, monkeypatch, error):
    publish(service)
    tries = []

    def fail(*_, **__):
        tries.append(service.now)
        raise error

    copy = intake_module.private_copy
    monkeypatch.setattr(intake_module, "private_copy", fail)
    for _ in range(60):
        result = service.assess(1.0)
        assert result.waiting
        assert result.reason.startswith("waiting: ")
        assert "again in" in result.reason
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == sorted(pauses)
    assert len(tries) < 10
    assert max(pauses) <= TRANSIENT_SECONDS[1] + 1
    monkeypatch.setattr(intake_module, "private_copy", copy)
    assert service.assess(TRANSIENT_SECONDS[1]).directory is not None


def test_a_refusal_is_looked_at_again_although_no_time_changed(service, monkeypatch):
    whole = (service.version / "model.onnx").read_bytes()
    publish(service)
    (service.version / "model.onnx").write_bytes(bytes(len(whole)))
    facts = intake_module.look(service.version)
    monkeypatch.setattr(intake_module, "look", lambda *_: facts)
    assert "SHA-256 differs" in service.assess().reason
    (service.version / "model.onnx").write_bytes(whole)
    assert service.assess(1.0).directory is None  # not read again and again
    assert service.assess(REFUSED_SECONDS[0]).directory is not None


def test_a_directory_that_is_not_there_and_one_that_is_gone_are_told_apart(service):
    first = service.arrive()
    (service.version / "model.onnx").unlink()
    service.version.rmdir()
    assert (service.assess().directory, service.assess().reason) == (
        first.directory,
        "its directory is gone; what was taken from it still serves",
    )
    service.intake.settle([])
    assert service.assess().directory is None


def damage(path):
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
