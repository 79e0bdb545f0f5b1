"""The layout of a counter file: the position of each figure.

A file is one header block followed by `MAX_BLOCKS` counter blocks, all `BLOCK_BYTES` long. A block
is a label area (an int64 length, then that many bytes of JSON) and `SLOTS` int64 slots. The length
is written last: a block whose length is zero does not exist yet, and blocks are taken in order, so
that a reader stops at the first zero. The file is sparse; blocks never used cost nothing.

A histogram takes one slot per bucket (the last is +Inf) and one for the sum; its buckets are not
cumulative here.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

#: Changes whenever a slot moves, so that a file of another release is never misread.
MAGIC: Final = b"PENSTOCK counters 6\n"

BLOCK_BYTES: Final = 2048
LABEL_BYTES: Final = 512
MAX_BLOCKS: Final = 4096
FILE_BYTES: Final = BLOCK_BYTES * (1 + MAX_BLOCKS)

#: Upper bounds in seconds of latency, queue and compute time; +Inf follows.
SECONDS: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
#: The same in nanoseconds.
NANOSECONDS: Final = tuple(round(bound * 1e9) for bound in SECONDS)
#: Upper bounds of rows per batch; +Inf follows.
ROWS: Final = tuple(1 << power for power in range(13))

#: HTTP statuses with a slot of their own; every other one shares the slot after them.
STATUSES: Final = (
    200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 499, 500, 502, 503, 504,
)  # fmt: skip
STATUS_LABELS: Final = (*(str(status) for status in STATUSES), "other")

#: Why a request was dropped before it ran; an unknown reason counts as the last.
DROP_REASONS: Final = (
    "queue_full",
    "queue_time",
    "early_drop",
    "replaced",
    "deadline",
    "cancelled",
    "draining",
    "other",
)

#: Why a row that reached the monitor is not in the prediction log: the directory is full with the
#: present day, or would be by its end; the disk is full, cannot be written, or gave back something
#: else; the frame could not be read; the server keeps no log.
LOG_DROP_REASONS: Final = (
    "limit",
    "thinned",
    "disk_full",
    "unwritable",
    "damaged",
    "unreadable",
    "off",
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A run of slots: ``len(bounds) + 1`` buckets from `first`, then the sum at `total`."""

    first: int
    bounds: tuple[float, ...]

    @property
    def total(self) -> int:
        """The slot of the sum."""
        return self.first + len(self.bounds) + 1

    def bucket(self, value: float) -> int:
        """The position of the bucket that counts a value."""
        return bisect_left(self.bounds, value)

    @property
    def end(self) -> int:
        """The first slot that is no longer ours."""
        return self.total + 1


STATUS: Final = 0
LATENCY: Final = Histogram(STATUS + len(STATUS_LABELS), SECONDS)
QUEUE: Final = Histogram(LATENCY.end, SECONDS)
COMPUTE: Final = Histogram(QUEUE.end, SECONDS)
BATCH_ROWS: Final = Histogram(COMPUTE.end, tuple(map(float, ROWS)))
DROPPED: Final = BATCH_ROWS.end
SAMPLED_ROWS: Final = DROPPED + len(DROP_REASONS)
SAMPLED_ROWS_DROPPED: Final = SAMPLED_ROWS + 1
#: Of a split between two versions, whose arm the version tells: requests, and how many of them were
#: bad in which way. A request may be bad in several.
ARM_REQUESTS: Final = SAMPLED_ROWS_DROPPED + 1
ARM_ERRORS: Final = ARM_REQUESTS + 1
ARM_TIMEOUTS: Final = ARM_REQUESTS + 2
ARM_INVALID: Final = ARM_REQUESTS + 3
ARM_SLOW: Final = ARM_REQUESTS + 4
ARM_FALLBACKS: Final = ARM_REQUESTS + 5
#: Of the failures (errors and timeouts), invalid and slow answers above, those that repeat an
#: earlier one of their unit, and are no evidence of their own.
ARM_REPEATED_FAILURES: Final = ARM_REQUESTS + 6
ARM_REPEATED_INVALID: Final = ARM_REQUESTS + 7
ARM_REPEATED_SLOW: Final = ARM_REQUESTS + 8
#: Of the fallbacks, timeouts aside: answered by stable; failed by stable, too.
ARM_RESCUED: Final = ARM_REQUESTS + 9
ARM_BOTH_FAILED: Final = ARM_REQUESTS + 10
#: Slow answers that are not counted, as they came while the version warmed up.
ARM_WARM_UP_SLOW: Final = ARM_REQUESTS + 11
#: Of a shadow, under the candidate, in requests: chosen to be copied; not arrived or not run, in
#: requests and in rows; computed twice or failed at; of those, the ones that differ or that the
#: shadow failed at; of those, failed at, and invalid. The first three are counted by the workers,
#: too. Last, what the candidate took of a processor, and the primary for the same batches.
SHADOW_COPIED: Final = ARM_WARM_UP_SLOW + 1
SHADOW_DROPPED: Final = SHADOW_COPIED + 1
SHADOW_DROPPED_ROWS: Final = SHADOW_COPIED + 2
PAIRS: Final = SHADOW_COPIED + 3
DISAGREEMENTS: Final = SHADOW_COPIED + 4
SHADOW_ERRORS: Final = SHADOW_COPIED + 5
SHADOW_INVALID: Final = SHADOW_COPIED + 6
SHADOW_CPU_NANOSECONDS: Final = SHADOW_COPIED + 7
PRIMARY_CPU_NANOSECONDS: Final = SHADOW_COPIED + 8
#: Of the prediction log, in rows: written; not written, by reason; gone with a killed worker.
LOG_WRITTEN: Final = PRIMARY_CPU_NANOSECONDS + 1
LOG_DROPPED: Final = LOG_WRITTEN + 1
LOG_LOST: Final = LOG_DROPPED + len(LOG_DROP_REASONS)
#: Part of the sum of `LATENCY` that belongs to requests that were not answered with 200.
FAILED_NANOSECONDS: Final = LOG_LOST + 1
#: Unix nanoseconds at which the last run ended; of several processes the latest counts, not a sum.
LAST_RUN: Final = FAILED_NANOSECONDS + 1
#: Gauges come last: the sum of a dead process's gauges means nothing and is left out.
IN_FLIGHT: Final = LAST_RUN + 1
SLOTS: Final = IN_FLIGHT + 1

#: Slots of a block with the units that fail most in a rollout, laid out by who fills it.
UNIT_SLOTS: Final = (BLOCK_BYTES - LABEL_BYTES) // 8
#: Runs by their rows have blocks of their own: two slots for each number of rows, the count of such
#: runs and their nanoseconds on a thread. Block 0 has the runs of 1 to 96 rows, and so on.
ROWS_PER_BLOCK: Final = UNIT_SLOTS // 2
#: Runs of more rows are not counted by their rows.
MOST_COUNTED_ROWS: Final = 8 * ROWS_PER_BLOCK
#: Shared memory for units that failed before.
UNIT_MEMORY_BYTES: Final = 1 << 19

#: Slots of the header block: gauges of the process itself.
MODELS_LOADED: Final = 0
LOOP_LAG_NANOSECONDS: Final = 1
CONNECTIONS: Final = 2
#: Of the monitor.
LOG_BYTES: Final = 3
MONITOR_LAG_NANOSECONDS: Final = 4
#: Errors in this process that no caller was told of.
INTERNAL_ERRORS: Final = 5
HEADER_SLOTS: Final = 6

_INDEX: Final = {status: STATUS + index for index, status in enumerate(STATUSES)}
_OTHER: Final = STATUS + len(STATUSES)
_DROP_INDEX: Final = {reason: DROPPED + index for index, reason in enumerate(DROP_REASONS)}


def status_index(status: int) -> int:
    """The slot that counts responses with this HTTP status."""
    return _INDEX.get(status, _OTHER)


def drop_index(reason: str) -> int:
    """The slot that counts requests dropped for this reason."""
    return _DROP_INDEX.get(reason, DROPPED + len(DROP_REASONS) - 1)


def block_offset(number: int) -> int:
    """Byte offset of a block; number 0 is the header."""
    return number * BLOCK_BYTES
