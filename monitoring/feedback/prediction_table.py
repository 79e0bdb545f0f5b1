"""Predictions in a file that is never changed: columns, sorted by the hash of their request.

A reader maps the file, so that finding a key touches a few pages and keeps nothing in memory. The
layout is a header of int64 and then one column after the other::

    magic, rows, scores
    keys      uint64   hash of request id and row, ascending; the newest of equal ones is last
    times     float64  Unix seconds
    values    float64  number, or number of the class
    slots     uint32   model, version and arm
    segments  uint32   segments of the row, see `segment_ids`; not in files of `_OLD_MAGIC`
    starts    uint32   where the row's scores begin; one more than rows
    scores    float32  of all rows
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from penstock.monitoring.files.atomic_file import drafted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .outputs import Floats

Keys = NDArray[np.uint64]
_MAGIC: Final = int.from_bytes(b"pntruth2", "little")
_OLD_MAGIC: Final = int.from_bytes(b"pntruth1", "little")
_HEADER: Final = 3
#: Place of the column that old files do not have.
_SEGMENTS: Final = 4
#: Spreads the rows of a request over the range of keys; odd, so that no two of them meet.
_ROW_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """Predictions, one per row; see the layout."""

    keys: Keys
    times: Floats
    values: Floats
    slots: NDArray[np.uint32]
    segments: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Row of each key, -1 where it is not here."""
        rows = np.searchsorted(self.keys, keys, side="right").astype(np.int64) - 1
        rows[rows >= 0] = np.where(
            self.keys[rows[rows >= 0]] == keys[rows >= 0], rows[rows >= 0], -1
        )
        return rows

    def scores_of(self, row: int) -> NDArray[np.float32]:
        """Probabilities of a row."""
        return self.scores[self.starts[row] : self.starts[row + 1]]


def make_keys(request_ids: Iterable[bytes], indexes: Sequence[int] | NDArray[Any]) -> Keys:
    """The key of each row: a hash of its request id, moved on by its index."""
    hashes = b"".join(hashlib.blake2b(one, digest_size=8).digest() for one in request_ids)
    with np.errstate(over="ignore"):
        moved = np.asarray(indexes, dtype=np.uint64) * _ROW_STEP
        found: Keys = np.frombuffer(hashes, "<u8") + moved
    return found


def keys_of_rows(request_ids: Sequence[bytes], counts: NDArray[np.int64]) -> Keys:
    """The key of each row of requests that have so many rows."""
    rows = int(counts.sum())
    if rows == len(request_ids):
        return make_keys(request_ids, np.zeros(rows, np.int64))
    ids = [
        one for one, count in zip(request_ids, counts.tolist(), strict=True) for _ in range(count)
    ]
    return make_keys(ids, np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts))


def join_tables(parts: Sequence[PredictionTable]) -> PredictionTable:
    """One table of several, given in the order of time; equal keys keep the newest only."""
    keys = np.concatenate([one.keys for one in parts])
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ordered[:-1] != ordered[1:]
    order = order[last]
    lengths = np.concatenate([np.diff(one.starts) for one in parts]).astype(np.int64)
    offsets = np.cumsum([0, *(len(one.scores) for one in parts)])[:-1]
    firsts = np.concatenate(
        [one.starts[:-1].astype(np.int64) + at for one, at in zip(parts, offsets, strict=True)]
    )[order]
    lengths = lengths[order]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], lengths)
    return PredictionTable(
        keys[order],
        np.concatenate([one.times for one in parts])[order],
        np.concatenate([one.values for one in parts])[order],
        np.concatenate([one.slots for one in parts])[order],
        np.concatenate([one.segments for one in parts])[order],
        starts.astype(np.uint32),
        np.concatenate([one.scores for one in parts])[places],
    )


def write_table(path: Path, table: PredictionTable) -> None:
    """Make the file at once, so that no reader sees half of it.

    Raises:
        OSError: A file cannot be read or written.
    """
    header = np.array([_MAGIC, len(table), len(table.scores)], "<i8")
    with drafted(path, synced=False) as draft, draft.open("wb") as file:
        for column in (header, *_columns(table)):
            file.write(column.tobytes())


def open_table(path: Path) -> PredictionTable:
    """Map a file.

    Raises:
        ValueError: It is not a whole table.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if size < 8 * _HEADER:
        raise ValueError(f"{path} is cut short")
    memory = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    magic, rows, scores = (int(one) for one in memory[: 8 * _HEADER].view("<i8"))
    at = 8 * _HEADER
    old = magic == _OLD_MAGIC
    kinds = [("<u8", rows), ("<f8", rows), ("<f8", rows), ("<u4", rows), ("<u4", rows + 1)]
    if not old:
        kinds.insert(_SEGMENTS, ("<u4", rows))
    columns: list[Any] = []
    for kind, count in (*kinds, ("<f4", scores)):
        width = np.dtype(kind).itemsize * count
        if (magic != _MAGIC and not old) or count < 0 or at + width > size:
            raise ValueError(f"{path} is not a table of predictions of this release")
        columns.append(memory[at : at + width].view(kind))
        at += width
    if old:
        columns.insert(_SEGMENTS, np.zeros(rows, np.uint32))
    return PredictionTable(*columns)


def _columns(table: PredictionTable) -> tuple[NDArray[Any], ...]:
    return (
        table.keys.astype("<u8", copy=False),
        table.times.astype("<f8", copy=False),
        table.values.astype("<f8", copy=False),
        table.slots.astype("<u4", copy=False),
        table.segments.astype("<u4", copy=False),
        table.starts.astype("<u4", copy=False),
        table.scores.astype("<f4", copy=False),
    )
