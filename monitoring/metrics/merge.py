"""Reading counter files: the sum over all processes, dead ones included.

The files of dead processes are folded into one base file, so that their number stays bounded. The
base names the incarnations it holds and replaces its predecessor by one rename; a file is removed
only after that, and ignored while both exist. Killed at any instant, nothing is lost or counted
twice. One process folds; any number may read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.stamp import stamp_of

from . import layout
from .liveness import is_unlocked
from .metrics import SUFFIX
from .process_figures import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from .metrics import CounterFile
    from .process_figures import Blocks, Fields, ProcessFigures, Runs

BASE = "base.json"
#: Deaths amid requests that are remembered; the last ones.
MAX_FALLEN = 32


@dataclass(frozen=True, slots=True)
class Fallen:
    """A process that died with requests in flight: killed, or crashed by one of them.

    Attributes:
        incarnation: Its unique name.
        process: Its name, the same in every life.
        in_flight: Requests that were never answered, by model and version.
    """

    incarnation: str
    process: str
    in_flight: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Merged:
    """The counts of all processes together.

    Attributes:
        blocks: Totals; gauges in them are of the living only.
        live: The processes that are alive.
        starts: Process name -> how many times it was started.
        fallen: Those that died with requests in flight; the last `MAX_FALLEN`.
        fields: Totals of declared fields.
        runs: Totals of runs by their rows.
    """

    blocks: Blocks = field(default_factory=dict)
    live: list[ProcessFigures] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    fallen: list[Fallen] = field(default_factory=list)
    fields: Fields = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)

    def total(self, slot: int) -> int:
        """One slot summed over all versions."""
        return sum(slots[slot] for slots in self.blocks.values())


@dataclass(frozen=True, slots=True)
class _Base:
    folded: frozenset[str] = frozenset()
    starts: Mapping[str, int] = field(default_factory=dict)
    blocks: Blocks = field(default_factory=dict)
    fallen: Sequence[Fallen] = ()
    fields: Fields = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)


def snapshot(counters: CounterFile) -> Merged:
    """The figures of this very process alone."""
    return _sum(_Base(), [parse(counters.data(), counters.incarnation, live=True)])


def merge(directory: Path) -> Merged:
    """The sum over every process that ever counted in this directory."""
    while True:
        before = stamp_of(directory / BASE)
        base = _read_base(directory)
        figures = [one for one in _read_all(directory) if one.incarnation not in base.folded]
        if stamp_of(directory / BASE) == before:  # nobody folded while we read
            return _sum(base, figures)


def fold(directory: Path) -> Merged:
    """Like `merge`, and move the figures of the dead into the base file.

    Only one process of a directory may call this.
    """
    base = _read_base(directory)
    present = _read_all(directory)
    figures = [one for one in present if one.incarnation not in base.folded]
    dead = [one for one in figures if not one.live]
    leftovers = base.folded.intersection(one.incarnation for one in present)
    merged = _sum(base, figures)
    if dead:
        gone = leftovers.union(one.incarnation for one in dead)
        _write_base(directory, gone, _sum(base, dead))
        leftovers = gone
    for incarnation in leftovers:
        (directory / f"{incarnation}{SUFFIX}").unlink(missing_ok=True)
    return merged


def _sum(base: _Base, figures: Iterable[ProcessFigures]) -> Merged:
    merged = Merged(
        blocks={labels: list(slots) for labels, slots in base.blocks.items()},
        starts=dict(base.starts),
        fallen=list(base.fallen),
        fields={labels: list(slots) for labels, slots in base.fields.items()},
        runs={labels: list(slots) for labels, slots in base.runs.items()},
    )
    for one in figures:
        merged.starts[one.process] = merged.starts.get(one.process, 0) + 1
        if one.live:
            merged.live.append(one)
        elif in_flight := _in_flight(one):
            merged.fallen.append(Fallen(one.incarnation, one.process, in_flight))
        for labels, slots in one.blocks.items():
            totals = merged.blocks.setdefault(labels, [0] * layout.SLOTS)
            last_run = max(totals[layout.LAST_RUN], slots[layout.LAST_RUN])
            for index, value in enumerate(slots if one.live else slots[: layout.IN_FLIGHT]):
                totals[index] += value
            totals[layout.LAST_RUN] = last_run
        _add(merged.fields, one.fields)
        _add(merged.runs, one.runs)
    merged.live.sort(key=lambda one: one.process)
    del merged.fallen[:-MAX_FALLEN]
    return merged


def _add(
    totals: dict[tuple[str, str, str], list[int]],
    blocks: Mapping[tuple[str, str, str], Sequence[int]],
) -> None:
    for labels, slots in blocks.items():
        sums = totals.setdefault(labels, [0] * len(slots))
        sums[:] = map(sum, zip(sums, slots, strict=True))


def _in_flight(one: ProcessFigures) -> dict[tuple[str, str], int]:
    counts = {labels: slots[layout.IN_FLIGHT] for labels, slots in one.blocks.items()}
    return {labels: count for labels, count in counts.items() if count > 0}


def _read_all(directory: Path) -> list[ProcessFigures]:
    found = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # folded since the listing
        try:
            live = not is_unlocked(fd)
            # Read after the lock was tried: a process dead by then has written its last.
            data = memoryview(_read(fd))
            found.append(parse(data, path.name.removesuffix(SUFFIX), live=live))
        except ValueError:
            continue  # of another release, or not ours
        finally:
            os.close(fd)
    return found


def _read(fd: int) -> bytes:
    """The used part of a sparse file: up to the first block that does not exist."""
    parts = []
    for number in range(1 + layout.MAX_BLOCKS):
        part = os.pread(fd, layout.BLOCK_BYTES, layout.block_offset(number))
        parts.append(part)
        if not any(part[:8]):
            break
    return b"".join(parts)


def _read_base(directory: Path) -> _Base:
    try:
        content = json.loads((directory / BASE).read_bytes())
    except FileNotFoundError:
        return _Base()
    if content["magic"] != layout.MAGIC.decode():
        return _Base()
    blocks = {(model, version): slots for model, version, slots in content["blocks"]}
    fallen = [
        Fallen(incarnation, process, {(model, version): n for model, version, n in counts})
        for incarnation, process, counts in content["fallen"]
    ]
    fields = {(model, version, name): slots for model, version, name, slots in content["fields"]}
    runs = {(model, version, number): slots for model, version, number, slots in content["runs"]}
    return _Base(frozenset(content["folded"]), content["lives"], blocks, fallen, fields, runs)


def _write_base(directory: Path, folded: frozenset[str], merged: Merged) -> None:
    content = {
        "magic": layout.MAGIC.decode(),
        "folded": sorted(folded),
        "lives": merged.starts,
        "blocks": [[*labels, slots] for labels, slots in merged.blocks.items()],
        "fields": [[*labels, slots] for labels, slots in merged.fields.items()],
        "runs": [[*labels, slots] for labels, slots in merged.runs.items()],
        "fallen": [
            [one.incarnation, one.process, [[*key, n] for key, n in one.in_flight.items()]]
            for one in merged.fallen
        ],
    }
    replace_file(directory / BASE, json.dumps(content).encode(), synced=False)
