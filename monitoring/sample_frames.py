"""Samples as bytes: one msgpack list per frame, tensors as raw little-endian data.

The worker does as little as it can: arrays of all batches of a version are joined once, lists go as
they are, batch after batch. The monitor, which has the time, flattens them, so that its consumers
see few samples of many requests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import msgpack
import numpy as np

from .sample_parts import failed, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .privacy import Privacy
    from .samples import BatchSample
    from .taken import Array, Failure, Origin, Taken

#: First element of a part of a frame.
BATCHES: Final = 0
FAILURES: Final = 1


def encode(taken: Sequence[Taken], failures: Sequence[Failure], fraction: float) -> bytes:
    """Make the bytes of a frame; what may not leave the worker is not in it.

    Args:
        taken: Batches; only their picked requests are written.
        failures: Requests answered with an error.
        fraction: Share of requests that is sampled.
    """
    groups: dict[tuple[Origin, tuple[str, ...]], list[Taken]] = {}
    for one in taken:
        key = one.origin, one.output_names
        group = groups.get(key)
        if group is None:
            group = groups[key] = []
        group.append(one if one.picked is None else _cut(one))
    frame: list[Any] = []
    for (origin, _), group in groups.items():
        try:
            frame.append(_part(origin, group, fraction))
        except (TypeError, ValueError):  # not all alike: then each by itself
            frame += [_part(origin, [_by_rows(one)], fraction) for one in group]
    frame += [
        (
            FAILURES,
            one.origin.model,
            one.origin.version,
            one.time,
            one.request_id,
            one.status,
            one.error,
            one.latency,
            one.arm,
        )
        for one in failures
    ]
    return cast("bytes", msgpack.packb(frame))


def decode(frame: bytes) -> list[BatchSample]:
    """The reverse of `encode`, with batches of a version put together.

    Raises:
        ValueError: The frame is not one that `encode` made.
    """
    try:
        parts = msgpack.unpackb(frame, use_list=True)
        if not isinstance(parts, list):
            raise TypeError("not a list")
        samples = [sample for part in parts if part[0] == BATCHES for sample in joined(*part[1:])]
        samples += failed([part[1:] for part in parts if part[0] == FAILURES])
    except (msgpack.UnpackException, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a sample frame: {error!r}") from error
    return samples


def _part(origin: Origin, group: Sequence[Taken], fraction: float) -> tuple[Any, ...]:
    """Batches of one version as columns.

    Raises:
        TypeError, ValueError: Their arrays do not fit together.
    """
    rows = [one.rows for one in group]
    total = sum(rows)
    output_names = group[0].output_names
    firsts = [one.firsts for one in group]
    arms = [one.arms for one in group]
    privacy = origin.privacy
    return (
        BATCHES,
        origin.model,
        origin.version,
        origin.input_names,
        output_names,
        fraction,
        [one.time for one in group],
        [one.answered for one in group],
        rows,
        [one.ids for one in group],
        [one.arrivals for one in group],
        None if firsts.count(None) == len(firsts) else firsts,
        None if arms.count(None) == len(arms) else arms,
        [
            _column(name, [one.inputs[index] for one in group], total, privacy)
            for index, name in enumerate(origin.input_names)
        ],
        [
            _column(name, [one.outputs[index] for one in group], total, privacy)
            for index, name in enumerate(output_names)
        ],
    )


def _column(name: str, arrays: list[Any], total: int, privacy: Privacy | None) -> Any:
    """Type, shape and data of one array of all batches; ``None`` if it is left out."""
    first = arrays[0]
    if first is None:
        if arrays.count(None) < len(arrays):
            raise ValueError("some have it and some have not")
        return None
    joined = first
    if len(arrays) > 1:
        joined = np.concatenate(arrays, dtype=first.dtype, casting="no")
    if joined.shape[:1] != (total,):
        raise ValueError("axis 0 is not rows")
    if privacy is not None and not privacy.passes(name):
        joined = privacy.apply(name, joined)
        if joined is None:
            return None
    if joined.dtype.hasobject:
        return "O", joined.shape, joined.ravel().tolist()
    return joined.dtype.char, joined.shape, joined.tobytes()


def _by_rows(taken: Taken) -> Taken:
    """The same with axis 0 for rows everywhere; without what cannot be told apart by rows."""

    def fit(array: Array | None) -> Array | None:
        if array is None or array.shape[:1] == (taken.rows,):
            return array
        # Of a model without a batch axis, all of it belongs to one request.
        return array[None] if taken.rows == 1 else None

    return replace(
        taken,
        inputs=[fit(array) for array in taken.inputs],
        outputs=[fit(array) for array in taken.outputs],
    )


def _cut(taken: Taken) -> Taken:
    """The picked requests alone."""
    picked = taken.picked
    assert picked is not None
    firsts = taken.firsts
    if firsts is None:
        rows, cut_firsts = np.asarray(picked), None
    else:
        ends = (*firsts[1:], taken.rows)
        spans = [np.arange(firsts[one], ends[one]) for one in picked]
        rows = np.concatenate(spans)
        lengths = np.cumsum([0, *map(len, spans[:-1])])
        cut_firsts = lengths.tolist()

    def take(array: Array | None) -> Array | None:
        # Without a batch axis the one request is the whole array.
        by_rows = array is not None and array.shape[:1] == (taken.rows,)
        return array[rows] if array is not None and by_rows else array

    return replace(
        taken,
        ids=[taken.ids[one] for one in picked],
        arrivals=[taken.arrivals[one] for one in picked],
        rows=len(rows),
        firsts=cut_firsts,
        arms=None if taken.arms is None else [taken.arms[one] for one in picked],
        inputs=[take(array) for array in taken.inputs],
        outputs=[take(array) for array in taken.outputs],
        picked=None,
    )
