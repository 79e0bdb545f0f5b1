"""What a worker keeps of answered requests until it is flushed: references, and no work yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .privacy import Privacy

#: Any tensor; strings are object arrays of ``bytes``.
Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A version that samples come from; made once when it is loaded.

    Attributes:
        model: Its name.
        version: Its number, as text.
        input_names: As the model calls them.
        privacy: What must not leave the worker as it is; ``None`` if everything may.
    """

    model: str
    version: str
    input_names: tuple[str, ...]
    privacy: Privacy | None = None


@dataclass(slots=True)
class Taken:
    """The requests of one run.

    Attributes:
        origin: What ran.
        time: Unix seconds when they were answered.
        answered: The same moment on the clock of `arrivals`.
        ids: One per request.
        arrivals: When each arrived.
        rows: Of all of them.
        firsts: The row in which each begins; ``None`` if each has exactly one.
        arms: Of the rollout, one per request; ``None`` without one.
        inputs: One array per name of `origin`, ``None`` where left out; axis 0 is rows where the
            model has a batch axis.
        output_names: As the model calls them.
        outputs: One array per name.
        picked: Which requests are sampled; ``None`` means all.
        held: Bytes that waiting takes; the buffer's.
    """

    origin: Origin
    time: float
    answered: float
    ids: Sequence[bytes]
    arrivals: Sequence[float]
    rows: int
    firsts: Sequence[int] | None
    arms: Sequence[str] | None
    inputs: Sequence[Array | None]
    output_names: tuple[str, ...]
    outputs: Sequence[Array | None]
    picked: Sequence[int] | None = None
    held: int = 0

    @property
    def picked_rows(self) -> int:
        """Rows of the picked requests."""
        if self.picked is None:
            return self.rows
        if self.firsts is None:
            return len(self.picked)
        ends = (*self.firsts[1:], self.rows)
        return sum(ends[one] - self.firsts[one] for one in self.picked)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was answered with an error; it counts as one row.

    Attributes:
        origin: What was asked for.
        time: Unix seconds when it was answered.
        request_id: Of it.
        status: HTTP status.
        error: Stable code of the error.
        latency: Seconds.
        arm: Of the rollout; empty without one.
    """

    origin: Origin
    time: float
    request_id: bytes
    status: int
    error: str
    latency: float
    arm: str = ""


def array_bytes(arrays: Sequence[Array | None]) -> int:
    """What these hold; the bytes of strings, not the pointers to them."""
    total = 0
    for array in arrays:
        if array is not None:
            total += array.nbytes
            if array.dtype.hasobject:
                total += sum(map(len, array.ravel().tolist()))
    return total
