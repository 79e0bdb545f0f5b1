"""The monitor's half of a frame: batches that a worker wrote one by one, put together."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from .samples import BatchSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .taken import Array


def joined(
    model: str,
    version: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    fraction: float,
    times: Sequence[float],
    answered: Sequence[float],
    rows: Sequence[int],
    ids: Sequence[Sequence[bytes]],
    arrivals: Sequence[Sequence[float]],
    firsts: Sequence[Sequence[int] | None] | None,
    arms: Sequence[Sequence[str] | None] | None,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
) -> list[BatchSample]:
    """One sample, or one for each arm, of all batches of a part.

    Args:
        model: Name of the model.
        version: Version that ran.
        input_names: Of `inputs`.
        output_names: Of `outputs`.
        fraction: Share of requests sampled.
        times: Unix seconds of each batch's answer.
        answered: The same on the clock of `arrivals`.
        rows: Of each batch.
        ids: Of the requests of each batch.
        arrivals: Of the requests of each batch.
        firsts: The row in which each request of a batch begins; ``None`` if each has one row.
        arms: Of the requests of each batch; ``None`` without a rollout.
        inputs: Type, shape and data of all batches together.
        outputs: The same.
    """
    counts = [len(one) for one in ids]
    latencies = np.repeat(answered, counts) - list(chain.from_iterable(arrivals))
    sample = BatchSample(
        model=model,
        version=version,
        time=times[-1],
        request_ids=list(chain.from_iterable(ids)),
        offsets=_offsets(rows, firsts),
        statuses=[200] * len(latencies),
        latencies=latencies.tolist(),
        input_names=tuple(input_names),
        inputs=[unpack(one) for one in inputs],
        output_names=tuple(output_names),
        outputs=[unpack(one) for one in outputs],
        times=np.repeat(times, counts).tolist(),
        fraction=fraction,
    )
    if arms is None:
        return [sample]
    flat = list(
        chain.from_iterable(
            ("",) * count if one is None else one for one, count in zip(arms, counts, strict=True)
        )
    )
    return [_of_arm(sample, flat, arm) for arm in sorted(set(flat))]


def failed(failures: Sequence[Any]) -> list[BatchSample]:
    """One sample for all failures that are alike."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for model, version, time, request_id, status, error, latency, arm in failures:
        key = model, version, status, error, arm
        groups.setdefault(key, []).append((time, request_id, latency))
    samples = []
    for (model, version, status, error, arm), group in groups.items():
        times, ids, latencies = map(list, zip(*group, strict=True))
        samples.append(
            BatchSample(
                model=model,
                version=version,
                time=times[-1],
                request_ids=ids,
                offsets=range(len(ids) + 1),
                statuses=[status] * len(ids),
                latencies=latencies,
                input_names=(),
                inputs=(),
                output_names=(),
                outputs=(),
                times=times,
                arm=arm,
                error=error,
            )
        )
    return samples


def unpack(packed: Any) -> Array | None:
    """An array from its type, shape and data; a view of the data where it can be."""
    if packed is None:
        return None
    char, shape, data = packed
    if char == "O":
        array = np.empty(len(data), dtype=object)
        array[:] = data
        return array.reshape(shape)
    return np.frombuffer(data, char).reshape(shape)


def _offsets(rows: Sequence[int], firsts: Sequence[Sequence[int] | None] | None) -> Sequence[int]:
    total = sum(rows)
    if firsts is None:
        return range(total + 1)
    offsets: list[int] = []
    base = 0
    for count, own in zip(rows, firsts, strict=True):
        offsets += range(base, base + count) if own is None else [base + first for first in own]
        base += count
    return [*offsets, total]


def _of_arm(sample: BatchSample, arms: Sequence[str], arm: str) -> BatchSample:
    """The requests of one arm alone."""
    chosen = [index for index, one in enumerate(arms) if one == arm]
    if len(chosen) == len(arms):
        return replace(sample, arm=arm)
    offsets = sample.offsets
    spans = [np.arange(offsets[one], offsets[one + 1]) for one in chosen]
    rows = np.concatenate(spans)
    return replace(
        sample,
        arm=arm,
        time=sample.times[chosen[-1]],
        request_ids=[sample.request_ids[one] for one in chosen],
        offsets=np.cumsum([0, *map(len, spans)]).tolist(),
        statuses=[sample.statuses[one] for one in chosen],
        latencies=[sample.latencies[one] for one in chosen],
        times=[sample.times[one] for one in chosen],
        inputs=[None if array is None else array[rows] for array in sample.inputs],
        outputs=[None if array is None else array[rows] for array in sample.outputs],
    )
