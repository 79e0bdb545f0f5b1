"""Where a server keeps what must survive it: desired state, audit log, admin token, copies.

By default it is hidden in the registry, so that it goes where the registry goes. Where that cannot
be written, or another server has it, the server runs with a temporary one and says so: serving does
not depend on it, and nobody is told that something is kept which is not.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

DEFAULT_NAME: Final = ".penstock"
TOKEN_FILE: Final = "admin-token"  # noqa: S105  the name of a file

_TOKEN_BYTES: Final = 32


class StateDirectoryInUse(Exception):
    """Another server keeps its state there."""


class StateDirectory:
    """The directory, locked for as long as its server lives.

    Attributes:
        path: Of it, mode 0700.
        note: Why it is a temporary one; empty if it is not.
    """

    def __init__(self, path: Path, lock: int, note: str = "") -> None:
        self.path = path
        self.note = note
        self._lock = lock

    @classmethod
    def open(cls, path: Path | None, registry: Path) -> StateDirectory:
        """Make it, or go on with what is there; the admin token is made with it.

        Args:
            path: As configured; by default hidden in the registry, else temporary.
            registry: The model repository.

        Raises:
            StateDirectoryInUse: The configured one is another server's.
            OSError: The configured one cannot be written, or lies in a model directory.
        """
        if path is not None:
            _check_place(path, registry)
            return cls(path, _prepare(path))
        usual = registry / DEFAULT_NAME
        try:
            return cls(usual, _prepare(usual))
        except StateDirectoryInUse:
            note = f"another server keeps its state in {usual}"
        except OSError as error:
            note = f"{usual} cannot be used: {error.strerror or error}"
        import tempfile  # rarely needed, and large for a supervisor

        temporary = Path(tempfile.mkdtemp(prefix="penstock-state-"))
        return cls(temporary, _prepare(temporary), note)

    def close(self) -> None:
        """Let another server have it; a temporary one disappears."""
        if self.note:
            from penstock.server.registry.durable import remove_tree  # only here: shutil is large

            remove_tree(self.path)
        os.close(self._lock)


def _prepare(path: Path) -> int:
    """Make the directory and the token; returns the lock."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = path.stat()
    if facts.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        path.chmod(0o700)
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _make_token(path / TOKEN_FILE)
    except BlockingIOError:
        os.close(lock)
        raise StateDirectoryInUse(
            f"another server keeps its state in {path}; give this one its own with --state-dir"
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _make_token(path: Path) -> None:
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.urandom(_TOKEN_BYTES).hex() + "\n")
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)


def _check_place(path: Path, registry: Path) -> None:
    """A directory among the models would be taken for one."""
    inside = path.resolve()
    root = registry.resolve()
    if inside == root:
        raise OSError(f"state_dir {path} is the registry itself")
    if inside.is_relative_to(root) and not inside.relative_to(root).parts[0].startswith("."):
        raise OSError(f"state_dir {path} lies in a model directory of the registry")
