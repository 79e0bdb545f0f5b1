"""What workers do to samples because of ``[log]``, and the key that they do it with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from penstock.monitoring.samples.privacy import Privacy

if TYPE_CHECKING:
    from pathlib import Path

    from .model_log import LogOptions

#: In the state directory, mode 0600. Its reader can try values until a hash fits.
KEY_FILE: Final = "log-key"
_KEY_BYTES: Final = 32


def privacy_of(options: LogOptions, state_dir: Path | None) -> Privacy | None:
    """What the worker does to samples; ``None`` if they may leave as they are.

    Without a state directory, or if the key cannot be kept there, it is made up: the same value
    then has another hash after a restart.
    """
    if not options.drop and not options.hash:
        return None
    key = os.urandom(_KEY_BYTES) if state_dir is None else log_key(state_dir)
    return Privacy(frozenset(options.drop), frozenset(options.hash), key)


def log_key(state_dir: Path) -> bytes:
    """The key of the hashes, made when it is first asked for, by whichever process that is."""
    path = state_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError:
        return os.urandom(_KEY_BYTES)
    draft = path.with_name(f".{KEY_FILE}.{os.getpid()}")
    key = os.urandom(_KEY_BYTES)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)  # fails if another process was faster
        finally:
            draft.unlink()
        return path.read_bytes()
    except FileExistsError:
        return path.read_bytes()
    except OSError:
        return key
