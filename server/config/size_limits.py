"""How long loads and runs may take, and how many workers there may be."""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from penstock.server.files.config_error import ConfigError

#: A load: opening, golden requests, warm-up. Waiting for a processor does not count.
LOAD_TIMEOUT_SECONDS: Final = 60.0
#: A run, unless the owner says how long or the model was measured to be slow.
RUN_TIMEOUT_SECONDS: Final = 60.0
#: The least that a run may take of a model that was measured to be fast.
_FAST_RUN_SECONDS: Final = 8.0
#: So many times what the slowest run took when the version was measured: more is a fault of a fast
#: model, and less is none of a slow one.
_MOST_TIMES: Final = 100.0
_LEAST_TIMES: Final = 20.0
#: What an operator may say of either.
Timeout = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
#: More would only take turns on the CPUs; each worker has a copy of every model.
MAX_WORKERS_PER_CPU: Final = 4


def check_workers(workers: int, cpus: int, *, force: bool) -> None:
    """Whether an operator can mean so many workers.

    Raises:
        ConfigError: They are more than the CPUs can use, and that is not forced.
    """
    most = MAX_WORKERS_PER_CPU * cpus
    if workers > most and not force:
        raise ConfigError(
            f"workers is {workers}, expected at most {most}: each is a process with a copy of "
            f"every model, and {cpus} CPUs are available; --force-workers starts as many anyway"
        )


def run_limit_seconds(asked: float | None, slowest_seconds: float | None) -> float:
    """How long a run may take before its worker is started again. Pure.

    Args:
        asked: Limit by the owner, of the model or of the server; it holds as it is.
        slowest_seconds: The slowest run when the version was measured; ``None`` where a request may
            be much larger than what was measured, or nothing was.
    """
    if asked is not None:
        return asked
    if slowest_seconds is None:
        return RUN_TIMEOUT_SECONDS
    fast = max(_FAST_RUN_SECONDS, math.ceil(_MOST_TIMES * slowest_seconds))
    return max(min(RUN_TIMEOUT_SECONDS, fast), math.ceil(_LEAST_TIMES * slowest_seconds))
