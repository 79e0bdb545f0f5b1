"""A batch job of the server in a process of its own, seen from a thread of the parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import ContentError, unpack
from penstock.server.errors import Unavailable
from penstock.server.isolation.child_process import ChildEnded, ChildProcess

from .child import BROKEN, DONE, GO_ON, ORDER

if TYPE_CHECKING:
    from collections.abc import Callable

_TARGET: Final = "penstock.server.batch_queue.child:serve"
#: Longer than a request of a job may wait, and is tried again
#: (`penstock.server.batch_job.prediction_port`): a job has a new part of rows on disk before.
_SILENT_SECONDS: Final = 1200.0
_SEND_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class End:
    """How the process of a job ended.

    Attributes:
        error: Why the job broke off; empty if it is done.
        again: Whether it may go on later.
    """

    error: str = ""
    again: bool = False


def run_process(
    order: bytes,
    started: Callable[[ChildProcess], object],
    progress: Callable[[dict[str, Any]], bool],
) -> End:
    """Run a job in a process. Blocking.

    Args:
        order: As `penstock.server.batch_queue.child.order_of` has it.
        started: Called with the process, which may be killed from any thread.
        progress: Told how far the job is; gives whether it may go on.
    """
    try:
        child = ChildProcess(_TARGET)
    except OSError as error:
        return End(f"no process could be started: {error}", again=True)
    try:
        started(child)
        child.send(ORDER, order, _SEND_SECONDS)
        while True:
            kind, content = child.receive(_SILENT_SECONDS)
            told = unpack(dict[str, Any], content, "what the process tells")
            if kind == BROKEN:
                return End(told["error"], told["again"])
            if not progress(told):
                return End("it was cancelled")
            if kind == DONE:
                return End()
            child.send(GO_ON, b"", _SEND_SECONDS)
    except (ChildEnded, ContentError) as error:
        return End(f"the process of the job {error}", again=True)
    except Unavailable as trouble:
        return End(trouble.message, again=True)
    finally:
        child.close()
