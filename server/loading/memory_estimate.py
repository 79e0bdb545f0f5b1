"""Estimates the memory of a version before it is loaded. Pure but for reading the file.

The factors are upper bounds of the growth of a process (peak of the resident set) while onnxruntime
1.31 loaded models of 25 to 104 MB on CPU with arenas on, and ran them once:

    what holds the bytes                            measured    factor
    tensors in the model file, MatMul, Gather       1.5 - 2.0   2
    tensors in external data, mapped by the loader  1.1         1.5
    either, with Conv (weights are laid out anew)   3.0 - 3.1   3.25
    anything else in the file, such as trees        12.1        12.5

The memory of requests is not included, because it depends on their rows.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.server.onnx_file.inspection import Inspection

SESSION_BYTES: Final = 4 << 20

_INLINE: Final = 2.0
_EXTERNAL: Final = 1.5
_CONVOLVED: Final = 3.25
_OTHER: Final = 12.5


def estimate(inspection: Inspection) -> int:
    """The estimated memory of an inspected version, in bytes."""
    summary = inspection.summary
    external = sum(one.length for one in summary.external)
    inline = summary.tensor_bytes - external
    sizes = {fact.path: fact.size for fact in inspection.files}
    other = max(0, sizes[inspection.model_file] - inline)
    convolved = any(operator.name.endswith("Conv") for operator in summary.operators)
    weights = (
        _CONVOLVED * (inline + external) if convolved else _INLINE * inline + _EXTERNAL * external
    )
    return SESSION_BYTES + round(weights + _OTHER * other)


@dataclass(frozen=True, slots=True)
class LoadMemory:
    """The memory of a loaded version in one process, in bytes.

    Attributes:
        estimated: Before it was loaded; this is what counts against ``max_memory_bytes``.
        measured: By how much the resident set grew until the version was warmed up. What others did
            meanwhile is in it, and memory that was free in the process before is not.
    """

    estimated: int = 0
    measured: int = 0


class MemoryBudget:
    """The memory budget of all loaded versions, by their estimates. For several threads.

    Args:
        limit: In bytes; 0 is none.

    Attributes:
        loaded_bytes: The estimates of what is loaded, together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._loaded: dict[Hashable, int] = {}
        self.loaded_bytes = 0

    def reserve(self, key: Hashable, size: int) -> None:
        """Count a version in before it is loaded.

        Raises:
            ModelRefused: It would be too much; nothing was counted.
        """
        with self._lock:
            loaded = self.loaded_bytes
            if self._limit and loaded + size > self._limit:
                raise ModelRefused(
                    f"loading it would take about {_mebibytes(size)}; with the "
                    f"{len(self._loaded)} versions loaded, which take {_mebibytes(loaded)}, that "
                    f"is {_mebibytes(loaded + size)}, and max_memory_bytes allows a worker "
                    f"{_mebibytes(self._limit)}"
                )
            self.loaded_bytes += size - self._loaded.get(key, 0)
            self._loaded[key] = size

    def release(self, key: Hashable) -> None:
        """Count it out again; one that is not counted is no error."""
        with self._lock:
            self.loaded_bytes -= self._loaded.pop(key, 0)


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
