"""Signs of life of a process, in a file of the run directory that outlives it.

The process counts its event loop's heartbeats and writes which version is loaded or run by which
thread; each is a store into mapped memory. The supervisor reads the file once a second, and again
when the process has died: see `penstock.server.processes.watchdog`.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.batching.marks import RunMarks

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = 0x31304B5453504E50
#: Magic, process id, heartbeats, slots, labels, whether it serves.
_HEADER: Final = struct.Struct("=qqqqqq")
_BEATS: Final = 2
_LABELS: Final = 4
_SERVES: Final = 5
_HEADER_BYTES: Final = 64
_LABEL_BYTES: Final = 512
MAX_LABELS: Final = 4096
_MAX_SLOTS: Final = 2048
#: Labels are given room in the file so many at a time.
_CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class Label:
    """The version that a mark stands for.

    Attributes:
        model: Name of the model.
        version: Its version.
        limit_seconds: Seconds that the run, or the load, may take.
    """

    model: str
    version: str
    limit_seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A load or a run in progress.

    Attributes:
        slot: 0 is the event loop; the last one loads; those between are execution threads.
        label: Label of the version.
        since: Time at which it began, monotonic seconds.
        thread: Identity of the thread, as Python has it.
        loading: Whether it is a load.
    """

    slot: int
    label: Label
    since: float
    thread: int
    loading: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of the file at one moment.

    Attributes:
        pid: Id of the process that writes it.
        beats: Heartbeats of its event loop so far.
        marks: Loads and runs in progress.
        serves: Whether the process has loaded its models and answers predictions.
    """

    pid: int
    beats: int
    marks: tuple[Mark, ...] = ()
    serves: bool = False


class Pulse:
    """The file as its process writes it.

    Attributes:
        marks: Marks of the event loop, the execution threads, and last the loading thread.
    """

    def __init__(self, memory: mmap.mmap, descriptor: int | None, slots: int) -> None:
        self._memory = memory
        self._descriptor = descriptor
        self._slots = slots
        self._labels: dict[Label, int] = {}
        view = memoryview(memory)
        self._header = view[:_HEADER_BYTES].cast("q")
        starts = [_HEADER_BYTES + number * 8 * slots for number in range(3)]
        running, since, threads = (view[start : start + 8 * slots] for start in starts)
        self.marks = RunMarks(running.cast("q"), since.cast("d"), threads.cast("q"))

    @classmethod
    def create(cls, path: Path, execution_threads: int) -> Pulse:
        """Make the file, in place of that of an earlier incarnation.

        Args:
            path: Path of the file.
            execution_threads: Most execution threads.

        Raises:
            OSError: The directory cannot be written, or is full.
        """
        slots = min(execution_threads + 2, _MAX_SLOTS)
        size = _labels_offset(slots) + MAX_LABELS * _LABEL_BYTES
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            # A store into a hole of a full disk would kill the process: room is made here.
            os.posix_fallocate(descriptor, 0, _labels_offset(slots))
            memory = mmap.mmap(descriptor, size)
            memory[: _HEADER.size] = _HEADER.pack(_MAGIC, os.getpid(), 0, slots, 0, 0)
            draft.replace(path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(memory, descriptor, slots)

    @classmethod
    def private(cls, execution_threads: int) -> Pulse:
        """Signs of life that nobody reads, for a server that is one process."""
        slots = min(execution_threads + 2, _MAX_SLOTS)
        size = _labels_offset(slots) + MAX_LABELS * _LABEL_BYTES
        return cls(mmap.mmap(-1, size), None, slots)

    @property
    def loading_slot(self) -> int:
        """The slot of the thread that loads."""
        return self._slots - 1

    def beat(self) -> None:
        """Count a heartbeat of the event loop."""
        self._header[_BEATS] += 1

    def serve(self) -> None:
        """Note that the process has loaded its models."""
        self._header[_SERVES] = 1

    def clear(self) -> None:
        """Note that nothing is loaded or run any more: the process ends by itself."""
        self._header[_SERVES] = 0
        for slot in range(self._slots):
            self.marks.running[slot] = 0

    def mark(self, label: Label) -> int:
        """The number that stands for a version; 0, which says nothing, where there is no room."""
        known = self._labels.get(label)
        if known is not None:
            return known
        content = json.dumps([label.model, label.version, label.limit_seconds]).encode()
        number = len(self._labels)
        if number >= MAX_LABELS or len(content) > _LABEL_BYTES - 8:
            return 0
        start = _labels_offset(self._slots) + number * _LABEL_BYTES
        if self._descriptor is not None and number % _CHUNK == 0:
            try:
                os.posix_fallocate(self._descriptor, start, _CHUNK * _LABEL_BYTES)
            except OSError:
                return 0
        self._memory[start : start + 8 + len(content)] = struct.pack("=q", len(content)) + content
        self._labels[label] = self._header[_LABELS] = number + 1
        return number + 1


def read_pulse(path: Path) -> Reading | None:
    """The signs of life in a file; ``None`` if there is none that can be read."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEADER.size)
            magic, pid, beats, slots, labels, serves = _HEADER.unpack(head)
            if magic != _MAGIC or not 0 < slots <= _MAX_SLOTS or not 0 <= labels <= MAX_LABELS:
                return None
            file.seek(_HEADER_BYTES)
            body = file.read(3 * 8 * slots)
            running = struct.unpack_from(f"={slots}q", body, 0)
            since = struct.unpack_from(f"={slots}d", body, 8 * slots)
            threads = struct.unpack_from(f"={slots}q", body, 16 * slots)
            marks = []
            for slot, number in enumerate(running):
                if 0 < number <= labels:
                    file.seek(_labels_offset(slots) + (number - 1) * _LABEL_BYTES)
                    label = _label(file.read(_LABEL_BYTES))
                    loading = slot == slots - 1
                    marks.append(Mark(slot, label, since[slot], threads[slot], loading))
            return Reading(pid, beats, tuple(marks), serves=bool(serves))
    except (OSError, struct.error, ValueError, TypeError):
        return None


def _label(content: bytes) -> Label:
    (length,) = struct.unpack_from("=q", content)
    model, version, limit_seconds = json.loads(content[8 : 8 + max(0, length)])
    return Label(str(model), str(version), float(limit_seconds))


def _labels_offset(slots: int) -> int:
    return _HEADER_BYTES + 3 * 8 * slots
