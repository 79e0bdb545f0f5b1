"""The run directory of one server, shared by its processes: sockets, counters, samples, target.

It should be in memory: a page of a mapped file that is being written to disk blocks its next
writer, which is how a slow disk gets into the latency of a server that never reads it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Longest path of a Unix socket, less the name of ours.
_MAX_PATH_BYTES: Final = 107 - len("/control.sock")


#: Of directories that nobody has configured, and how much of their names is random.
_PREFIX: Final = "penstock-"
_NAME_BYTES: Final = 6


#: How the files end in `RunDirectory.pulses` that list deaths.
ISOLATED_DEATHS: Final = ".deaths"


class RunDirectoryInUse(Exception):
    """Another server runs in this directory."""


class RunDirectory:
    """The directory of one running server; its supervisor locks it for as long as it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._temporary = False

    @property
    def config(self) -> Path:
        """The configuration, as JSON."""
        return self.path / "config.json"

    @property
    def counters(self) -> Path:
        """Directory of the counter files."""
        return self.path / "counters"

    @property
    def samples(self) -> Path:
        """Directory of the samples on their way to the monitor."""
        return self.path / "samples"

    @property
    def books(self) -> Path:
        """The file with the frames that have arrived at the monitor, and the fate of their rows."""
        return self.path / "books.msgpack"

    @property
    def target(self) -> Path:
        """The last target that control sent."""
        return self.path / "target.msgpack"

    @property
    def address(self) -> Path:
        """The file with the URLs, the state directory and the container of the server, as JSON."""
        return self.path / "address.json"

    @property
    def histories(self) -> Path:
        """The file with the deaths of each process, as JSON."""
        return self.path / "lives.json"

    @property
    def pulses(self) -> Path:
        """Directory of the processes' signs of life, and of the last good certificate."""
        return self.path / "pulses"

    def pulse(self, process: str) -> Path:
        """Signs of life of a process."""
        return self.pulses / process

    def crash(self, process: str) -> Path:
        """The file with the stacks of a process whose native code crashed, by faulthandler."""
        return self.pulses / f"{process}.crash"

    @property
    def deaths(self) -> Path:
        """Deaths that a version may be to blame for, as JSON."""
        return self.path / "deaths.json"

    def isolated_deaths(self, process: str) -> Path:
        """Deaths of the processes of isolated versions that a worker has started, as JSON."""
        return self.pulses / f"{process}{ISOLATED_DEATHS}"

    @property
    def control_socket(self) -> Path:
        """The socket on which control listens for workers."""
        return self.path / "control.sock"

    @property
    def monitor_socket(self) -> Path:
        """The socket on which the monitor listens for workers that have labels."""
        return self.path / "monitor.sock"

    @property
    def shadow_socket(self) -> Path:
        """The socket on which the shadow process listens for workers that have copies."""
        return self.path / "shadow.sock"

    @classmethod
    def create(cls, path: Path | None) -> RunDirectory:
        """Make it, or clear what an earlier server left in it.

        Args:
            path: As configured; by default a directory in memory that is removed at the end.

        Raises:
            RunDirectoryInUse: A server runs in it.
            OSError: It cannot be written, or its path is too long for a socket.
        """
        if path is None:
            claim = _claim()
            directory = cls(claim.path)
            directory._lock, directory._temporary = claim.lock, True
        else:
            if len(os.fsencode(path.absolute())) > _MAX_PATH_BYTES:
                raise OSError(f"run_dir {path} is longer than {_MAX_PATH_BYTES} bytes")
            directory = cls(path)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory._lock = _try_lock(path)
            if directory._lock is None:
                raise RunDirectoryInUse(f"another server runs in {path}")
        directory._clear()
        directory.counters.mkdir(mode=0o700)
        directory.samples.mkdir(mode=0o700)
        directory.pulses.mkdir(mode=0o700)
        return directory

    def remove(self) -> None:
        """Clear it; a temporary one disappears."""
        self._clear()
        if self._temporary:
            _remove_tree(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _clear(self) -> None:
        _remove_tree(self.counters)
        _remove_tree(self.samples)
        _remove_tree(self.pulses)
        sockets = (self.control_socket, self.monitor_socket, self.shadow_socket)
        for path in (
            self.config,
            self.books,
            self.target,
            self.address,
            self.histories,
            self.deaths,
            *sockets,
        ):
            path.unlink(missing_ok=True)


def running_servers() -> list[RunDirectory]:
    """The directories of this user's servers that run now and chose no directory of their own."""
    found = []
    for path in sorted(_parent().glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if path.stat().st_uid == os.geteuid():
                lock = _try_lock(path)
                if lock is None:
                    found.append(RunDirectory(path))
                else:
                    os.close(lock)
    return found


def process_namespace() -> str:
    """A name of the container in which this process runs; empty where Linux does not tell."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _parent() -> Path:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", os.environ.get("TMPDIR"), "/tmp"]  # noqa: S108  mkdir fails if it exists
    usable = (Path(one) for one in candidates if one and os.access(one, os.W_OK | os.X_OK))
    found = next(usable, None)
    if found is None:
        tried = ", ".join(one for one in candidates if one)
        raise OSError(f"no directory for sockets can be written ({tried}); choose --run-dir")
    return found


@dataclass(frozen=True, slots=True)
class _Claim:
    """A new directory and its lock."""

    path: Path
    lock: int


def _claim() -> _Claim:
    """A directory in memory under a random name; what killed servers left there is removed.

    Containers may share the memory and give their processes the same ids, so a process id is no
    name. The directory gets its name when it is locked: until then nobody takes it for a dead
    server's.
    """
    parent = _parent()
    if len(os.fsencode(parent)) + len(_PREFIX) + 2 * _NAME_BYTES + 1 > _MAX_PATH_BYTES:
        raise OSError(f"the path of {parent} is too long for sockets; choose one with --run-dir")
    for stale in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if stale.stat().st_uid == os.geteuid() and (lock := _try_lock(stale)) is not None:
                _remove_tree(stale)
                os.close(lock)
    name = f"{_PREFIX}{os.urandom(_NAME_BYTES).hex()}"
    draft = parent / f".{name}"
    draft.mkdir(mode=0o700)
    lock = _try_lock(draft)
    assert lock is not None  # nobody else knows the name
    return _Claim(draft.rename(parent / name), lock)


def _try_lock(directory: Path) -> int | None:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove_tree(directory: Path) -> None:
    """Two levels are all we make; ``shutil`` would cost the supervisor megabytes."""
    with suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink(missing_ok=True)
        directory.rmdir()
