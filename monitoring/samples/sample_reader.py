"""Decodes frames in the monitor, and joins the runs that a worker wrote one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np

from penstock.monitoring.segments.field import SegmentField

from .sample_frames import FAILURE, ORIGIN, ROWS, RUN
from .samples import BatchSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .samples import Array


#: Elements of a part of kind `RUN` behind its kind; an earlier release wrote no clients.
_PARTS_OF_RUN: Final = 12


def decode(frame: bytes) -> list[BatchSample]:
    """The samples of a frame, with the runs of a version joined.

    Raises:
        ValueError: The frame is not one that `sample_frames.FrameWriter` made.
    """
    origins: dict[int, list[Any]] = {}
    runs: dict[int, list[Any]] = {}
    failures: list[Any] = []
    try:
        parts = msgpack.unpackb(frame, use_list=True)
        if not isinstance(parts, list):
            raise TypeError("not a list")
        for part in parts:
            kind, *content = part
            if kind == RUN:
                runs[content[0]].append(content + [None] * (_PARTS_OF_RUN - len(content)))
            elif kind == ROWS:
                runs[content[0]].append(run_of_rows(origins[content[0]], content))
            elif kind == ORIGIN:
                origins[content[0]] = content
                runs[content[0]] = []
            elif kind == FAILURE:
                failures.append(content)
            else:
                raise ValueError(f"a part of kind {kind!r}")
        samples = [one for number, own in runs.items() for one in joined(origins[number], own)]
        samples += failed(failures)
    except (msgpack.UnpackException, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a sample frame: {error!r}") from error
    return samples


def run_of_rows(origin: Sequence[Any], content: Sequence[Any]) -> list[Any]:
    """A part of kind `ROWS` as one of kind `RUN`."""
    number, answered, ids, arrivals, data, *clients = content
    _, _, _, input_names, _, _, shift, columns, *_ = origin
    rows = len(ids)
    arrays = [(char, [rows, *shape], own) for (char, shape), own in zip(columns, data, strict=True)]
    count = len(input_names)
    run = [number, answered + shift, answered, rows, ids, arrivals, None, None]
    return [*run, arrays[:count], arrays[count:], None, *(clients or [None])]


def joined(origin: Sequence[Any], runs: Sequence[Sequence[Any]]) -> list[BatchSample]:
    """Join the runs of a version into one sample, or into one sample for each arm.

    Args:
        origin: The origin as it was written, without its kind.
        runs: The runs as they were written, without their kinds.

    Raises:
        ValueError: The size of an array contradicts its shape.
    """
    if not runs:
        return []
    *run_columns, inputs, outputs, header_segments, clients = zip(*runs, strict=True)
    try:
        arrays = [
            [_join(column) for column in zip(*several, strict=True)]
            for several in (inputs, outputs)
        ]
    except _Unlike:  # then each run is a sample
        return [sample for run in runs for sample in joined(origin, [run])]
    _, times, answered, rows, ids, arrivals, firsts, arms = run_columns
    _, model, version, input_names, output_names, fraction, _, _, fields, *columns = origin
    input_columns, output_columns = columns or ({}, {})  # a worker of an earlier release has none
    counts = [len(one) for one in ids]
    total = sum(rows)
    if any(array is not None and len(array) != total for array in chain(*arrays)):
        raise ValueError("axis 0 is not rows")
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
        inputs=arrays[0],
        output_names=tuple(output_names),
        outputs=arrays[1],
        times=np.repeat(times, counts).tolist(),
        fraction=fraction,
        segment_fields=tuple(SegmentField(*one) for one in fields),
        input_columns=input_columns,
        output_columns=output_columns,
        header_segments=_header_segments(header_segments),
        clients=_clients(clients, counts),
    )
    if all(one is None for one in arms):
        return [sample]
    flat = list(
        chain.from_iterable(
            ("",) * count if one is None else one for one, count in zip(arms, counts, strict=True)
        )
    )
    return [_of_arm(sample, flat, arm) for arm in sorted(set(flat))]


def failed(failures: Sequence[Any]) -> list[BatchSample]:
    """Join failures of one version with the same error into one sample each."""
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


class _Unlike(Exception):
    """The arrays differ in type or shape, or some are left out."""


def _join(columns: Sequence[Any]) -> Array | None:
    """One array of all runs; a view of the data if possible."""
    first = columns[0]
    if first is None:
        if columns.count(None) < len(columns):
            raise _Unlike
        return None
    char, (_, *sizes), _ = first
    if any(one is None or one[0] != char or one[1][1:] != sizes for one in columns):
        raise _Unlike
    shape = [sum(one[1][0] for one in columns), *sizes]
    parts = [one[2] for one in columns]
    if char == "O":
        strings = list(chain.from_iterable(parts))
        array = np.empty(len(strings), dtype=object)
        array[:] = strings
        return array.reshape(shape)
    data: bytes = parts[0] if len(parts) == 1 else b"".join(parts)
    return np.frombuffer(data, char).reshape(shape)


def _offsets(rows: Sequence[int], firsts: Sequence[Sequence[int] | None]) -> Sequence[int]:
    total = sum(rows)
    if all(one is None for one in firsts):
        return range(total + 1)
    offsets: list[int] = []
    base = 0
    for count, own in zip(rows, firsts, strict=True):
        offsets += range(base, base + count) if own is None else [base + first for first in own]
        base += count
    return [*offsets, total]


def _header_segments(runs: Sequence[Sequence[Sequence[str]] | None]) -> list[list[str]]:
    """Of each field, the names of all requests; nothing where a run has none."""
    own = [one for one in runs if one is not None]
    if len(own) < len(runs):
        return []
    return [list(chain.from_iterable(names)) for names in zip(*own, strict=True)]


def _clients(parts: Sequence[Any], counts: Sequence[int]) -> Sequence[bytes]:
    """Client of each request; empty if none is known."""
    if all(one is None for one in parts):
        return ()
    found: list[bytes] = []
    for one, count in zip(parts, counts, strict=True):
        found += one if isinstance(one, list) else [one or b""] * count
    if len(found) != sum(counts):
        raise ValueError("clients are not those of the requests")
    return found


def _of_arm(sample: BatchSample, arms: Sequence[str], arm: str) -> BatchSample:
    """The sample with the requests of one arm only."""
    chosen = [index for index, one in enumerate(arms) if one == arm]
    if len(chosen) == len(arms):
        return replace(sample, arm=arm)
    return replace(sample.only(chosen), arm=arm, time=sample.times[chosen[-1]])
