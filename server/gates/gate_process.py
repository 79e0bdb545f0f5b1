"""Runs the gates of a version in a process that may crash, hang, or take too much."""

from __future__ import annotations

import os
import pickle
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.decoding import ContentError, unpack
from penstock.server.isolation.child_process import ChildEnded, ChildProcess
from penstock.server.isolation.limits import ProcessLimits
from penstock.server.processes.memory_limits import available_bytes

from .gate_report import GateReport, GateResult, Verdict
from .run_gates import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.config.config import ServerConfig

    from .gate_order import GateOrder

_TARGET: Final = "penstock.server.gates.run_gates:serve"
PROCESS: Final = "process"
#: Of all memory that is free, what the process may take, and what it may take in any case.
_MEMORY_SHARE: Final = 0.9
_LEAST_BYTES: Final = 512 << 20
_SEND_SECONDS: Final = 10.0


def gate_report(
    config: ServerConfig,
    order: GateOrder,
    clock: Callable[[], float] = time.time,
    started: Callable[[ChildProcess], object] = lambda _: None,
) -> GateReport:
    """The report of a version. Blocking; a crash and an endless run are reports, too.

    Args:
        config: Configuration of the server.
        order: What to run.
        clock: Unix seconds.
        started: Called with the process, which may be killed from any thread.

    Raises:
        OSError: No process could be started.
    """
    began = clock()
    memory = max(_LEAST_BYTES, int(_MEMORY_SHARE * available_bytes()))
    with Path(os.devnull).open("wb") as nothing:  # a model may print
        child = ChildProcess(_TARGET, ProcessLimits(memory), output=nothing.fileno())
    seconds = order.config.gates.timeout_seconds
    try:
        started(child)
        path = [one for one in sys.path if isinstance(one, str)]
        child.send(ORDER, pickle.dumps((config.to_json(), path, order)), _SEND_SECONDS)
        return unpack(GateReport, child.receive(seconds)[1], "the report")
    except (ChildEnded, ContentError) as end:
        how = end.death.detail if isinstance(end, ChildEnded) else f"sent what is no report: {end}"
        result = GateResult(PROCESS, Verdict.FAILED, f"the process of the gates {how}")
    finally:
        child.close()
    return order.report([result], at=began, seconds=clock() - began)
