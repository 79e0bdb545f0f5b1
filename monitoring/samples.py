"""Samples as the monitor's consumers see them: requests of one version, with their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Any tensor; strings are object arrays of ``bytes``.
Array = NDArray[Any]


@dataclass(slots=True)
class BatchSample:
    """Requests of one version that were answered one after the other, or failed alike.

    Attributes:
        model: Name of the model.
        version: Version that ran.
        time: Unix seconds when the last of them was answered.
        request_ids: One per request.
        offsets: Rows of request ``i`` are ``offsets[i]`` up to ``offsets[i + 1]``.
        statuses: HTTP status of each request.
        latencies: Seconds of each request.
        input_names: As the model calls them. Rows over 4 KiB do not travel: an input ``x`` is then
            replaced by ``x.norm``, ``x.mean`` and so on, see `penstock.monitoring.derived`.
        inputs: One array per name, ``None`` where left out; axis 0 is rows.
        output_names: As the model calls them; empty when the requests failed.
        outputs: One array per name, ``None`` where it may not leave the worker; axis 0 is rows.
        times: Unix seconds when each request was answered.
        arm: Of the rollout that chose the version; empty without one.
        error: Code of the error that all of them were answered with. Such a sample has one row per
            request and no arrays.
        fraction: Share of requests that was sampled, for whoever extrapolates.
    """

    model: str
    version: str
    time: float
    request_ids: Sequence[bytes]
    offsets: Sequence[int]
    statuses: Sequence[int]
    latencies: Sequence[float]
    input_names: tuple[str, ...]
    inputs: Sequence[Array | None]
    output_names: tuple[str, ...]
    outputs: Sequence[Array | None]
    times: Sequence[float]
    arm: str = ""
    error: str = ""
    fraction: float = 1.0

    @property
    def rows(self) -> int:
        """Rows of all requests."""
        return self.offsets[-1]
