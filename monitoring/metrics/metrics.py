"""Counters that outlive the process: int64 slots in a memory-mapped file.

The writer adds to slots in place; nothing is sent and nobody is asked. The pages belong to the
kernel, so a reader in another process sees exact figures even of a writer that was killed. The
writer holds an exclusive ``flock`` for as long as it runs: that is how a reader tells the living
from the dead without trusting process ids.

One thread writes (the event loop's); any number of processes read. An aligned int64 is never torn.

    counters = CounterFile.create(directory, "worker-0")
    model = counters.model("breast-cancer", "3")      # once per loaded version
    model.enter()                                     # per request admitted
    model.observe_batch(rows, compute_nanoseconds)    # per run
    model.observe_many(status, arrivals, formed_at, now)  # per batch answered
    model.leave(len(arrivals))
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import time
from typing import TYPE_CHECKING

from penstock.monitoring.quality.field_counters import SLOTS, FieldCounters

from . import layout
from .model_counters import ModelCounters
from .unit_blocks import UnitBlocks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".counters"

#: Labels of what matched no model. Names that clients invent never become labels.
NO_MODEL = ("", "")
#: Labels of everything beyond the last free block.
OVERFLOW = ("_overflow", "")


class CounterFile:
    """All counters of one process: a header with gauges of the process, then a block per version.

    Attributes:
        process: Name of the process, for example ``worker-0``.
        incarnation: Unique name of this life of it; the file's stem.
        directory: Directory of the file; ``None`` without a file.
    """

    def __init__(
        self,
        process: str,
        incarnation: str,
        memory: mmap.mmap,
        fd: int | None,
        directory: Path | None = None,
    ) -> None:
        self.process = process
        self.incarnation = incarnation
        self.directory = directory
        self._memory = memory
        self._fd = fd
        self._used = 1
        self._models: dict[tuple[str, str], ModelCounters] = {}
        self._fields: dict[tuple[str, str, str], FieldCounters] = {}
        self._unit_blocks = UnitBlocks(self._new_block, directory)
        header = {"process": process, "pid": os.getpid(), "started_at": time.time()}
        memory[layout.LABEL_BYTES - len(layout.MAGIC) : layout.LABEL_BYTES] = layout.MAGIC
        self._gauges = self._label(0, json.dumps(header).encode())
        self.model(*NO_MODEL)
        self.model(*OVERFLOW)

    @classmethod
    def create(cls, directory: Path, process: str) -> CounterFile:
        """A file for this process, visible to readers only once it is whole and locked.

        Raises:
            OSError: The directory cannot be written or its disk is full.
        """
        incarnation = f"{process}.{os.getpid()}.{time.time_ns()}"
        draft = directory / f"{incarnation}.new"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, layout.FILE_BYTES)
        os.posix_fallocate(fd, 0, layout.block_offset(3))
        memory = mmap.mmap(fd, layout.FILE_BYTES)
        counters = cls(process, incarnation, memory, fd, directory)
        draft.rename(directory / f"{incarnation}{SUFFIX}")
        return counters

    @classmethod
    def anonymous(cls, process: str = "server") -> CounterFile:
        """The same without a file, for a server that is a single process."""
        return cls(process, process, mmap.mmap(-1, layout.FILE_BYTES), None)

    @property
    def unmatched(self) -> ModelCounters:
        """Counts requests that matched no model."""
        return self._models[NO_MODEL]

    def model(self, model: str, version: str) -> ModelCounters:
        """The counters of a version; the same ones when it is loaded again.

        Call it for versions of the registry only, never with what a client sent. When blocks,
        or the disk under them, run out, what comes later shares one set of counters.
        """
        known = self._models.get((model, version))
        if known is not None:
            return known
        label = json.dumps([model, version]).encode()
        try:
            slots = self._new_block(label)
        except OSError:
            return self._models[OVERFLOW]
        counters = ModelCounters(model, version, slots, self._unit_blocks, time.time_ns)
        self._models[model, version] = counters
        return counters

    def field(self, model: str, version: str, name: str) -> FieldCounters:
        """The counters of a declared field of a version, in a block of their own.

        Where blocks run out nothing is counted in the file.
        """
        known = self._fields.get((model, version, name))
        if known is None:
            try:
                slots = self._new_block(json.dumps([model, version, name]).encode())
            except OSError:
                slots = memoryview(bytearray(8 * SLOTS)).cast("q")
            known = self._fields[model, version, name] = FieldCounters(slots)
        return known

    def set_models_loaded(self, count: int) -> None:
        """Set the number of versions that this process serves."""
        self._gauges[layout.MODELS_LOADED] = count

    def set_loop_lag(self, nanoseconds: int) -> None:
        """Set the delay of the event loop at its last timer."""
        self._gauges[layout.LOOP_LAG_NANOSECONDS] = nanoseconds

    def set_connections(self, count: int) -> None:
        """Set the number of open client connections."""
        self._gauges[layout.CONNECTIONS] = count

    def set_errors(self, count: int) -> None:
        """Set the number of errors that no caller was told of."""
        self._gauges[layout.INTERNAL_ERRORS] = count

    def set_gauge(self, slot: int, value: int) -> None:
        """Any other figure of the process itself; see `layout.HEADER_SLOTS`."""
        self._gauges[slot] = value

    def data(self) -> memoryview:
        """The raw bytes, as a reader would map them."""
        return memoryview(self._memory).toreadonly()

    def close(self) -> None:
        """Give up the lock; from now on a reader counts this process as dead."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # the map holds a duplicate that keeps it
            os.close(self._fd)
            self._fd = None

    def _new_block(self, label: bytes) -> memoryview:
        number = self._used
        if number > layout.MAX_BLOCKS or len(label) + 8 > layout.LABEL_BYTES:
            raise OSError("no counter block left")
        if self._fd is not None:
            # A store into a hole of a full disk is a SIGBUS; this is where that becomes an error.
            os.posix_fallocate(self._fd, layout.block_offset(number), layout.BLOCK_BYTES)
        self._used += 1
        return self._label(number, label)

    def _label(self, number: int, label: bytes) -> memoryview:
        start = layout.block_offset(number)
        self._memory[start + 8 : start + 8 + len(label)] = label
        block = memoryview(self._memory)[start : start + layout.BLOCK_BYTES].cast("q")
        block[0] = len(label)  # the commit: a reader ignores the block until now
        return block[layout.LABEL_BYTES // 8 :]
