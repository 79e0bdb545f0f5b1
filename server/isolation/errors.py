"""Errors on their way from the process of a model to the server: as JSON, and made again.

This module is used by the child, too.
"""

from __future__ import annotations

import errno
import json
import traceback
from typing import Any, Final

from penstock.batching.contained import text_of, words
from penstock.batching.errors import InvalidOutput, LostRows
from penstock.runtimes.contract import (
    ModelExecutionError,
    ModelLoadError,
    ResourcesExhausted,
    UnsuitableInput,
)

#: Errors whose class the server makes again; the more special ones first.
_KINDS: Final[dict[str, type[Exception]]] = {
    "unsuitable": UnsuitableInput,
    "exhausted": ResourcesExhausted,
    "execution": ModelExecutionError,
    "load": ModelLoadError,
    "rows": LostRows,
    "output": InvalidOutput,
}
_MAX_TEXT: Final = 4000
_MAX_CAUSES: Final = 10
_NO_FILES: Final = (errno.EMFILE, errno.ENFILE)


class RemoteFailure(Exception):
    """The model raised what no runtime should raise; its traceback is in the log."""


def pack_error(error: BaseException) -> bytes:
    """An error as JSON; the traceback of one that no runtime should raise is printed."""
    files = _is_of_files(error)
    if files or isinstance(error, MemoryError):
        error = ResourcesExhausted(words(error))
    kind = next((name for name, one in _KINDS.items() if isinstance(error, one)), "")
    if not kind:
        traceback.print_exception(error)
    text = text_of(error) if kind else words(error)
    return json.dumps({"kind": kind, "text": text[:_MAX_TEXT], "files": files}).encode()


def unpack_error(content: bytes) -> tuple[Exception, bool]:
    """The error that `pack_error` wrote, and whether the process has run out of open files.

    Raises:
        ValueError: The content is something else.
    """
    found: Any = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError("no error")
    kind = _KINDS.get(str(found.get("kind")), RemoteFailure)
    return kind(str(found.get("text"))), found.get("files") is True


def _is_of_files(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that no file can be opened any more."""
    seen = 0
    while error is not None and seen < _MAX_CAUSES:
        if isinstance(error, OSError) and error.errno in _NO_FILES:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
