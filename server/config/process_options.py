"""``isolation`` and ``[process]`` of ``model.toml``: whether a model has processes of its own.

isolation = "process"            # or "worker"; otherwise as the runtime of the model wants it
[process]
count = 2                        # processes of each version in each worker
memory_bytes = "2GiB"            # private memory of one of them
cpu_seconds = 86400              # processor time of one of them, then it is started again
open_files = 1024
interpreter = "/srv/env-{version}"   # virtual environment of a model that may run code
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.files.option_decoder import ConfigError, option, options_of

#: Values of ``isolation``.
PROCESS: Final = "process"
WORKER: Final = "worker"
_MIB: Final = 1 << 20


@dataclass(frozen=True)
class ProcessOptions:
    """The processes of an isolated model."""

    count: int = option(1, "Processes of each version in each worker.", minimum=1, maximum=64)
    memory_bytes: int = option(
        0,
        "Private memory of a process; by default the share of max_memory_bytes, or nine tenths of "
        "the free memory.",
        minimum=64 * _MIB,
    )
    cpu_seconds: int = option(
        0, "Processor time of a process, then it is started again.", minimum=60
    )
    open_files: int = option(1024, "Open files of a process.", minimum=64, maximum=1 << 20)
    interpreter: str = option(
        "", "Virtual environment or interpreter of a model that may run code."
    )


_OPTIONS: Final = {one.name: one for one in options_of(ProcessOptions)}


def parse_isolation(value: Any, source: str) -> str | None:
    """Check ``isolation``; `source` names the file in errors.

    Raises:
        ConfigError: It is something else.
    """
    if value not in (None, PROCESS, WORKER):
        raise ConfigError(
            f"{source}: isolation is {shown(value)}, expected {PROCESS!r} or {WORKER!r}"
        )
    return str(value) if value else None


def parse_process(table: Any, source: str) -> ProcessOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: process is {shown(table)}, expected a table")
    values = {}
    for name, value in table.items():
        if name not in _OPTIONS:
            hint = did_you_mean(str(name), [one.name for one in fields(ProcessOptions)])
            raise ConfigError(f"{source}: unknown key process.{name}{hint}")
        values[name] = _OPTIONS[name].parse(value, f"{source}: process")
    return ProcessOptions(**values)
