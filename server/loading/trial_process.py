"""``python -m penstock.server.loading.trial_process FD PARENT``: where a version is loaded first.

It loads a version as the worker would, with the modules that the worker finds, and says how that
went. The worker has hashed and inspected the files before, once for the trial and its own load. The
trial may hang or crash: `penstock.server.loading.trial` watches it, and kills it in time.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from penstock.batching.contained import contained, text_of
from penstock.runtimes.contract import ModelLoadError
from penstock.server.config.config import ServerConfig
from penstock.server.processes.memory_limits import available_bytes
from penstock.server.processes.parent import die_with_parent
from penstock.server.processes.priority import lower_priority

from .loading import Loader
from .proofs import ERROR, LOADS, REFUSED
from .trial import EARLY_SECONDS, IDLE_SECONDS

#: The kernel ends a process with this score first when memory runs out.
_OOM_SCORE: Final = "1000"
#: Of all that may be allocated, what a trial may take, and what it may take in any case.
_MEMORY_SHARE: Final = 0.9
_LEAST_BYTES: Final = 512 << 20
_MAX_REASON_CHARACTERS: Final = 4000


def main(arguments: list[str]) -> None:
    """Make one trial after the other, until the connection ends or is idle for long."""
    descriptor, parent = map(int, arguments)
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    _sacrifice()
    logging.disable()  # the worker says the same when it loads what passed
    link = Connection(descriptor)
    config = ServerConfig.from_json(link.recv_bytes().decode())
    sys.path[:] = json.loads(link.recv_bytes())
    loader = Loader(config)
    try:
        idle_seconds = EARLY_SECONDS
        while link.poll(idle_seconds):
            idle_seconds = IDLE_SECONDS
            order, copy = pickle.loads(link.recv_bytes())  # noqa: S301  from the worker, not from a model
            if order.busy:  # predictions go first; at a start there are none
                lower_priority()
            _limit_memory(config)
            link.send_bytes(json.dumps(_try(loader, order, copy)).encode())
    except EOFError:
        pass
    finally:
        os._exit(0)  # what a model has left running is nobody's concern


def _try(loader: Loader, order: Any, copy: Any) -> dict[str, Any]:
    try:
        loaded = contained(loader.load_copy, copy, order)
    except ModelLoadError as error:
        return _failed(REFUSED, error)
    except Exception as error:  # noqa: BLE001  a plug-in may raise anything
        return _failed(ERROR, error)
    with suppress(Exception):  # how it is unloaded is another question
        contained(loader.unload, order.name, order.version, loaded.model)
    if loaded.costs is None:
        return {"end": LOADS}
    return {"end": LOADS, "rows": loaded.costs.sizes, "seconds": loaded.costs.seconds}


def _failed(end: str, error: Exception) -> dict[str, str]:
    return {"end": end, "reason": text_of(error)[:_MAX_REASON_CHARACTERS]}


def _limit_memory(config: ServerConfig) -> None:
    """Have an allocation fail that is larger than what the machine or the operator has."""
    most = config.max_memory_bytes // config.workers or int(_MEMORY_SHARE * available_bytes())
    if not most:
        return
    limit = max(most, _LEAST_BYTES)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _sacrifice() -> None:
    """Go first when memory runs out, and leave no file of it all."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


if __name__ == "__main__":
    main(sys.argv[1:])
