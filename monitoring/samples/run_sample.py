"""What a worker offers to the monitor: the requests of a run, or one that failed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .samples import rows_of_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .privacy import Privacy
    from .samples import Array


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A version that samples come from; made once when it is loaded.

    Attributes:
        model: Name of the model.
        version: Its number, as text.
        input_names: As the model calls them.
        privacy: What must not leave the worker as it is; ``None`` if everything may.
    """

    model: str
    version: str
    input_names: tuple[str, ...]
    privacy: Privacy | None = None


class RunSample(NamedTuple):
    """The requests of one run.

    Attributes:
        origin: What ran.
        output_names: As the model calls them.
        time: Unix seconds when they were answered.
        answered: The same moment on the clock of `arrivals`.
        rows: Rows of all of them.
        ids: One per request.
        arrivals: When each arrived.
        firsts: The row in which each begins; ``None`` if each has exactly one.
        arms: Of the rollout, one per request; ``None`` without one.
        inputs: One array per name of `origin`, ``None`` where left out; axis 0 is rows, or
            `rows` is 1 and the whole array is the row; another one cannot be told apart by rows.
        outputs: One array per name.
    """

    origin: Origin
    output_names: tuple[str, ...]
    time: float
    answered: float
    rows: int
    ids: Sequence[bytes]
    arrivals: Sequence[float]
    firsts: Sequence[int] | None
    arms: Sequence[str] | None
    inputs: Sequence[Array | None]
    outputs: Sequence[Array | None]

    def only(self, picked: Sequence[int]) -> RunSample:
        """Some of its requests, by their positions, in order."""
        firsts = self.firsts
        if firsts is None:
            rows, cut_firsts = np.asarray(picked, np.int64), None
        else:
            rows, offsets = rows_of_requests((*firsts, self.rows), picked)
            cut_firsts = offsets[:-1]

        def take(array: Array | None) -> Array | None:
            # Where axis 0 is not rows, the one request is the whole array.
            by_rows = array is not None and array.shape[:1] == (self.rows,)
            return array[rows] if array is not None and by_rows else array

        return self._replace(
            ids=[self.ids[one] for one in picked],
            arrivals=[self.arrivals[one] for one in picked],
            rows=len(rows),
            firsts=cut_firsts,
            arms=None if self.arms is None else [self.arms[one] for one in picked],
            inputs=[take(array) for array in self.inputs],
            outputs=[take(array) for array in self.outputs],
        )

    def beginning(self, max_rows: int) -> RunSample:
        """Its first requests that have at most so many rows together.

        If already the first has more, the first rows of that one. A request whose arrays cannot be
        cut into rows is left out.
        """
        ends = [*(self.firsts or range(self.rows))[1:], self.rows]
        count = bisect_right(ends, max_rows)
        if count:
            return self.only(range(count))
        first = self if len(self.ids) == 1 else self.only([0])
        arrays = (*first.inputs, *first.outputs)
        if any(one is not None and one.shape[:1] != (first.rows,) for one in arrays):
            return self.only([])
        return first._replace(
            rows=max_rows,
            inputs=[None if one is None else one[:max_rows] for one in first.inputs],
            outputs=[None if one is None else one[:max_rows] for one in first.outputs],
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was answered with an error; it counts as one row.

    Attributes:
        origin: What was asked for.
        time: Unix seconds when it was answered.
        request_id: Request id of it.
        status: HTTP status.
        error: Stable code of the error.
        latency: Seconds.
        arm: Arm of the rollout; empty without one.
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
