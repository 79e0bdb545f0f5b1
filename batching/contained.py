"""Calls foreign code, and turns each exception of that code into an ordinary error.

An ordinary error ends one call. Some exceptions end more than that. `SystemExit` ends a thread or
the event loop. `CancelledError` ends the task that waits for the call. `StopIteration` cannot be
set on a future, so the task would wait for ever. Native libraries raise classes of their own below
`BaseException`.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

#: Subclasses of `Exception` that a future or a task does not take for an error.
_CONTROL_FLOW: Final = (StopIteration, StopAsyncIteration, CancelledError)


class Escaped(Exception):
    """Replaces an exception that would have ended more than one call; keeps it as the cause."""


def contained(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of foreign code.

    Raises:
        Exception: The function's ordinary error, or `Escaped` in place of any other exception.
    """
    try:
        return call(*args, **kwargs)
    except BaseException as error:
        known = ordinary(error)
        if known is error:
            raise
        raise known from error


def ordinary(error: BaseException) -> Exception:
    """The error itself if it ends one call only, else an `Escaped` that names it."""
    if isinstance(error, Exception) and not isinstance(error, _CONTROL_FLOW):
        return error
    escaped = Escaped(words(error))
    escaped.__cause__ = error
    return escaped


def words(error: BaseException) -> str:
    """Class and text of an error."""
    name, text = type(error).__name__, text_of(error)
    return name if text == name else f"{name}: {text}"


def text_of(error: BaseException) -> str:
    """The text of an error, or its class if it has none or its text cannot be made."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001  an exception of foreign code may be broken itself
        return type(error).__name__
