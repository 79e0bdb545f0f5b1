"""What one process has counted, read from its counter file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import layout
from .unit_blocks import RUNS, SEGMENTS

#: (model, version) -> one total per slot.
Blocks = dict[tuple[str, str], list[int]]
#: (model, version, field) -> the same for a declared field.
Fields = dict[tuple[str, str, str], list[int]]
#: (model, version, number of the block) -> one total per slot, see `layout.ROWS_PER_BLOCK`.
Runs = dict[tuple[str, str, str], list[int]]
#: (model, version) -> the block of one process with the units that fail most.
Units = dict[tuple[str, str], list[int]]
#: (model, version) -> the blocks of one process with the counts of segments.
SegmentBlocks = dict[tuple[str, str], list[list[int]]]


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """One life of one process.

    Attributes:
        incarnation: Its unique name.
        process: Its name, the same in every life.
        pid: Its process id.
        started_at: Unix seconds.
        live: Whether it still holds its file.
        gauges: `layout.HEADER_SLOTS` figures.
        blocks: Counters of each model and version.
        fields: Counters of declared fields.
        units: Units that failed most in rollouts; not summed, and gone with the process.
        segments: Counts of segments in rollouts; the same.
        runs: Counts of runs by their rows.
    """

    incarnation: str
    process: str
    pid: int
    started_at: float
    live: bool
    gauges: list[int]
    blocks: Blocks
    fields: Fields = field(default_factory=dict)
    units: Units = field(default_factory=dict)
    segments: SegmentBlocks = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)


def parse(data: memoryview, incarnation: str, *, live: bool) -> ProcessFigures:
    """Read the bytes of a counter file.

    Raises:
        ValueError: They are not a counter file of this release.
    """
    magic = data[layout.LABEL_BYTES - len(layout.MAGIC) : layout.LABEL_BYTES]
    header = _block(data, 0, layout.HEADER_SLOTS)
    if bytes(magic) != layout.MAGIC or header is None:
        raise ValueError(f"{incarnation} is not a counter file of this release")
    label, gauges = header
    blocks: Blocks = {}
    fields: Fields = {}
    units: Units = {}
    segments: SegmentBlocks = {}
    runs: Runs = {}
    for number in range(1, min(layout.MAX_BLOCKS, len(data) // layout.BLOCK_BYTES - 1) + 1):
        block = _block(data, number, layout.UNIT_SLOTS)
        if block is None:
            break
        (model, version, *declared), slots = block
        if declared[1:] == [SEGMENTS]:
            segments.setdefault((model, version), []).append(slots)
        elif declared[1:] == [RUNS]:
            runs[model, version, declared[0]] = slots
        elif len(declared) > 1:
            units[model, version] = slots
        elif declared:
            fields[model, version, declared[0]] = slots[: layout.SLOTS]
        else:
            blocks[model, version] = slots[: layout.SLOTS]
    return ProcessFigures(
        incarnation,
        label["process"],
        label["pid"],
        label["started_at"],
        live,
        gauges,
        blocks,
        fields,
        units,
        segments,
        runs,
    )


def _block(data: memoryview, number: int, slots: int) -> tuple[Any, list[int]] | None:
    start = layout.block_offset(number)
    length = data[start : start + 8].cast("q")[0]
    if length == 0:
        return None
    label = json.loads(bytes(data[start + 8 : start + 8 + length]))
    values = data[start + layout.LABEL_BYTES :][: 8 * slots].cast("q")
    return label, values.tolist()
