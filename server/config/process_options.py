"""``[process]`` of ``model.toml``: the processes of a model that is isolated.

[process]
count = 2                        # processes of each version in each worker
memory_bytes = "2GiB"            # private memory of one of them
cpu_seconds = 86400              # processor time of one of them, then it is started again
open_files = 1024
interpreter = "/srv/env-{version}"   # virtual environment of a model that may run code
priority = "idle"                # run only when no other process wants the processor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.server.files.config_error import ConfigError
from penstock.server.files.size import Size

#: The value of ``isolation`` of a model in processes of its own.
PROCESS: Final = "process"
IDLE: Final = "idle"
Priority = Literal["normal", "idle"]


@dataclass(frozen=True)
class ProcessOptions:
    """The processes of an isolated model; 0 stands for a default that is not a number.

    Attributes:
        count: Processes of each version in each worker.
        memory_bytes: Private memory of a process; by default the share of
            ``max_memory_bytes``, or nine tenths of the free memory.
        cpu_seconds: Processor time of a process, then it is started again; by default without end.
        open_files: Open files of a process.
        interpreter: Virtual environment or interpreter of a model that may run code.
        priority: ``normal``, or ``idle`` for processes that run only when nobody else wants to.
    """

    count: int = 1
    memory_bytes: int = 0
    cpu_seconds: int = 0
    open_files: int = 1024
    interpreter: str = ""
    priority: Priority = "normal"


_DEFAULT: Final = ProcessOptions()


class _Memory(Size, least=64 << 20):
    """Memory in which a model and its library have room."""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `ProcessOptions`, whose defaults these are."""

    count: Annotated[int, msgspec.Meta(ge=1, le=64)] = _DEFAULT.count
    memory_bytes: _Memory = _Memory(_DEFAULT.memory_bytes)
    cpu_seconds: Annotated[int, msgspec.Meta(ge=60)] = _DEFAULT.cpu_seconds
    open_files: Annotated[int, msgspec.Meta(ge=64, le=1 << 20)] = _DEFAULT.open_files
    interpreter: Annotated[str, msgspec.Meta(description="a path")] = _DEFAULT.interpreter
    priority: Priority = _DEFAULT.priority


def parse_process(table: Any, source: str) -> ProcessOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(_Table, table, source, "process", noun="a table", error=ConfigError)
    values = msgspec.structs.asdict(found)
    return ProcessOptions(**{**values, "memory_bytes": int(found.memory_bytes)})
