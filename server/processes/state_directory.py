"""The directory of all that must survive a server: desired state, audit log, admin token, copies.

By default it is hidden in the registry, so that it goes where the registry goes. Where that cannot
be written, the server runs with a temporary one, which begins with the desired state that is kept
there, and says so: which version answers never depends on whether a directory can be written. A
state that another server has, or that cannot be read, is no reason to guess: the server does not
start.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from socket import gethostname
from typing import Final

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded

DEFAULT_NAME: Final = ".penstock"
TOKEN_FILE: Final = "admin-token"  # noqa: S105  the name of a file

#: As `penstock.server.desired_state.state_file` names it, which is large for a supervisor.
STATE_FILE: Final = "state.json"

_TOKEN_BYTES: Final = 32
_MAX_LOCK_BYTES: Final = 4096
_MAX_STATE_BYTES: Final = 64 << 20


class StateDirectoryInUse(Exception):
    """Another server keeps its state there; the message says which."""


class StateDirectory:
    """The directory, locked for as long as its server runs.

    Attributes:
        path: Path of it, mode 0700.
        note: Reason for which it is a temporary one; empty if it is not.
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
            StateDirectoryInUse: It is another server's.
            OSError: The configured one cannot be written, or lies in a model directory; or the
                usual one can neither be written nor read, or there is no room for a temporary one.
        """
        if path is not None:
            _check_place(path, registry)
            return cls(path, _prepare(path))
        usual = registry / DEFAULT_NAME
        try:
            return cls(usual, _prepare(usual))
        except OSError as error:
            note = f"{usual} cannot be used: {error.strerror or error}"
        kept = _kept_state(usual)
        import tempfile  # rarely needed, and large for a supervisor

        temporary = Path(tempfile.mkdtemp(prefix="penstock-state-"))
        lock = _prepare(temporary)
        for name, content in kept.items():
            (temporary / name).write_bytes(content)
        which = (
            "the versions that were in production there answer"
            if kept
            else "no state is kept there, so the newest version that loads answers"
        )
        return cls(temporary, lock, f"{note}; {which}, and changes are lost at the end")

    def announce(self, admin_url: str) -> None:
        """Say in the directory who has it, for a second server that is refused."""
        about = json.dumps({"pid": os.getpid(), "host": gethostname(), "admin_url": admin_url})
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, about.encode(), 0)

    def close(self) -> None:
        """Let another server have it; a temporary one disappears."""
        if self.note:
            from penstock.server.files.durable import remove_tree  # only here: shutil is large

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
            f"another server{_owner(path / 'lock')} keeps its state in {path}: two servers would "
            "decide differently which version answers. For more processes start that one with more "
            "--workers; for a server with aliases of its own give this one its own --state-dir"
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _owner(lock: Path) -> str:
    """Who holds it, as far as that is written there."""
    try:
        about = json.loads(read_bounded(lock, _MAX_LOCK_BYTES))
        return f" (process {about['pid']} on {about['host']}, {about['admin_url']})"
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _kept_state(usual: Path) -> dict[str, bytes]:
    """The desired state in a directory that cannot be written.

    Raises:
        OSError: It may be there and cannot be read: guessing could put another version before
            everybody than the one in production.
    """
    kept = {}
    for name in (STATE_FILE, f"{STATE_FILE}.previous"):
        try:
            kept[name] = read_bounded(usual / name, _MAX_STATE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise OSError(
                f"{usual / name} says which versions are in production, and cannot be read: "
                f"{error.strerror or error}; run as its owner, or give --state-dir"
            ) from error
    return kept


def _make_token(path: Path) -> None:
    if path.exists():
        return
    replace_file(path, os.urandom(_TOKEN_BYTES).hex().encode() + b"\n", 0o600)


def _check_place(path: Path, registry: Path) -> None:
    """A directory among the models would be taken for one."""
    inside = path.resolve()
    root = registry.resolve()
    if inside == root:
        raise OSError(f"state_dir {path} is the registry itself")
    if inside.is_relative_to(root) and not inside.relative_to(root).parts[0].startswith("."):
        raise OSError(f"state_dir {path} lies in a model directory of the registry")
