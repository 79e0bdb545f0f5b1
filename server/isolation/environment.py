"""The environment of a child process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from penstock.server.processes.descendants import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How many threads the libraries of a model start by themselves.
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: Options and tokens of the server, which no model has to know.
_OWN: Final = "PENSTOCK_"


def model_environment(threads: int) -> dict[str, str]:
    """That of this process without what is the server's own, for so many threads in a run."""
    return {
        **foreign_environment(),
        **dict.fromkeys(_THREADS, str(threads)),
        "PYTHONUNBUFFERED": "1",
    }


def foreign_environment() -> dict[str, str]:
    """That of this process without what is the server's own."""
    # A child inherits the environment of its parent as a whole, and cannot be given less otherwise.
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}


def marked_environment(environ: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """An environment with the mark by which all that is started in it is found.

    Args:
        environ: The environment; ``None`` for that of this process.
        mark: See `penstock.server.processes.descendants`.
    """
    return {**(os.environ if environ is None else environ), MARK: mark}
