"""The prediction log: it takes samples, writes day files, keeps its limits, and survives faults.

Rows and the accounts of received frames are committed together once a second. After any error (a
full disk, a directory that cannot be written, a damaged file) the rows of the open transaction are
counted as dropped, with the reason, and the log tries again a second later.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.layout import LOG_BYTES
from penstock.monitoring.samples.books import largest, newest

from .budget import reserve, share, transaction_is_full, wal_bytes
from .columns import row_bytes, rows_of
from .day_file import BadRows, DayFile
from .faults import reason_of
from .log_directory import LogDirectory, day_of, seconds_left
from .recovery import recover
from .retention import advance, first_mark, too_old
from .thinning import thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.monitoring.samples.received_frames import Account, Labels, ReceivedFrames
    from penstock.monitoring.samples.samples import BatchSample

    from .tally import Tally

LOG = logging.getLogger("penstock.log")

#: Seconds from a fault to the next attempt.
RETRY_SECONDS: Final = 1.0
#: The same fault is told once in so many seconds.
COMPLAIN_SECONDS: Final = 60.0
#: The mark of retention is kept so often; a kill costs so much of it.
MARK_SECONDS: Final = 600.0
#: The speed at which rows come is averaged over about this long.
_SPEED_SECONDS: Final = 60.0


class PredictionLog:
    """Implements `penstock.monitoring.samples.receiver.Journal`.

    Args:
        state: ``state_dir/monitor``.
        epoch: Names this run of the server.
        tally: Counts rows.
        max_bytes: Of everything in ``log`` and ``parquet``.
        max_days: Days kept, the present one among them.
        clock: Unix seconds.
        digest_of: The digest of a model's version, for people who trace a prediction.
        monotonic: Seconds that no correction of the clock changes.
    """

    def __init__(
        self,
        state: Path,
        epoch: str,
        tally: Tally,
        max_bytes: int,
        max_days: int,
        clock: Callable[[], float],
        digest_of: Callable[[str, str], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = LogDirectory(state)
        self._epoch = epoch
        self._tally = tally
        self._max_bytes = max_bytes
        self._max_days = max_days
        self._clock = clock
        self._digest_of = digest_of
        self._named: set[Labels] = set()
        self._file: DayFile | None = None
        self._day = ""
        self._fresh = True
        self._fault = ""
        self._retry_at = 0.0
        self._told: dict[str, float] = {}
        self._samples: list[BatchSample] = []
        self._reserved = 0
        self._used = 0
        self._share = 1.0
        self._speed = 0.0
        self._came = 0
        self._committed_at = clock()
        self._monotonic = monotonic
        newest = max(self._directory.days(), default=None)
        self._mark = first_mark(
            self._directory.read_mark(), newest, self._committed_at, monotonic()
        )
        self._kept_mark = 0.0

    def restore(self) -> Mapping[str, Account]:
        """See `Journal.restore`; counts also the rows that earlier incarnations did not count."""
        accounts, totals = recover(self._directory.day_files().values(), self._epoch)
        more, counted = self._tally.read_books()
        newest(accounts, more)
        largest(totals, counted)
        return self._tally.catch_up(accounts, totals)

    def append(self, samples: Sequence[BatchSample], rows: Mapping[Labels, int]) -> bool:
        """See `Journal.append`. Each of `rows` is counted once, also after an error."""
        unread = dict(rows)
        for sample in samples:
            labels = sample.model, sample.version
            unread[labels] = unread.get(labels, 0) - sample.rows
            try:
                self._append(sample)
            except Exception as error:  # noqa: BLE001  whatever it is, it is counted and told
                self._tell("unreadable", error)
                self._tally.count(labels, "unreadable", sample.rows)
        for labels, count in unread.items():
            self._tally.count(labels, "unreadable", max(0, count))
        return transaction_is_full(self._reserved, self._max_bytes)

    def commit(self, received_frames: ReceivedFrames, now: float) -> None:
        """See `Journal.commit`."""
        if self._open(now):
            try:
                self._write(received_frames)
            except Exception as error:  # noqa: BLE001  whatever it is, it is counted and told
                self._fail(error)
        self._samples.clear()
        self._reserved = 0
        self._tally.settle(received_frames)
        received_frames.keep()
        self._look(now)

    def close(self) -> None:
        """See `Journal.close`."""
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.close()
            self._file = None

    def _append(self, sample: BatchSample) -> None:
        """Keep a sample until the commit, so that the file is locked for as short as can be.

        Nothing is counted before everything that can fail is done.
        """
        labels = sample.model, sample.version
        if not self._open(self._clock()):
            self._tally.count(labels, self._fault, sample.rows)
            return
        size = row_bytes(sample)
        kept = sample if self._share >= 1.0 else thinned(sample, self._share)
        need = reserve(kept.rows, size) if kept.rows else 0
        room = not need or self._make_room(need)
        self._came += sample.rows * size
        self._tally.count(labels, "thinned", sample.rows - kept.rows)
        if not room:
            self._tally.count(labels, "limit", kept.rows)
        elif kept.rows:
            self._samples.append(kept)
            self._tally.count(labels, "written", kept.rows)
            self._reserved += need

    def _insert(self, file: DayFile, sample: BatchSample) -> None:
        labels = sample.model, sample.version
        try:
            if labels not in self._named:
                self._named.add(labels)
                file.name_version(*labels, self._digest_of(*labels))
            rows = rows_of(sample, self._share)
            if not file.has_room(sample.model, rows):
                rows = rows_of(sample, self._share, named=False)
            file.insert(sample.model, rows)
        except BadRows as error:
            self._tell("unreadable", error)
            self._tally.count(labels, "written", -sample.rows)
            self._tally.count(labels, "unreadable", sample.rows)

    def _open(self, now: float) -> bool:
        """Whether there is the present day's file to write to; tries to open it if it is time."""
        day = day_of(now)
        if self._file is not None and day == self._day:
            return True
        if self._fault and now < self._retry_at:
            return False
        self.close()
        path = self._directory.day_file(day)
        try:
            self._directory.make()
            self._file = DayFile(path, wal_bytes(self._max_bytes))
        except (sqlite3.Error, OSError) as error:
            self._fail(error, path)
            return False
        self._day, self._fault, self._fresh = day, "", True
        self._named.clear()
        self._used = self._directory.used_bytes()
        return True

    def _write(self, received_frames: ReceivedFrames) -> None:
        """Write rows, accounts and totals in one transaction."""
        assert self._file is not None
        for sample in self._samples:
            self._insert(self._file, sample)
        changed = received_frames.accounts if self._fresh else received_frames.changed
        if changed:
            self._file.keep(
                self._epoch,
                [
                    (incarnation, account.last, model, version, rows)
                    for incarnation in changed
                    for account in (received_frames.accounts[incarnation],)
                    for (model, version), rows in account.received.items()
                ],
            )
        if totals := self._tally.changed():
            self._file.keep_totals(self._epoch, totals)
        self._file.commit()
        self._fresh = False

    def _fail(self, error: Exception, path: Path | None = None) -> None:
        """Give up the open transaction, log the error, and try again later."""
        reason = reason_of(error)
        if self._file is not None:
            path = self._file.path
            self._file.abandon()
            self._file = None
        self._tell(reason, error)
        self._tally.give_up(reason)
        self._samples.clear()
        self._reserved = 0
        self._fault = reason
        self._retry_at = self._clock() + RETRY_SECONDS
        if reason == "damaged" and path is not None:
            with suppress(OSError):
                self._directory.move_aside(path, error, self._clock)

    def _make_room(self, need: int) -> bool:
        """Make room for `need` bytes by removing old days; returns whether there is room."""
        if self._used + self._reserved + need <= self._max_bytes:
            return True
        while (gone := self._directory.drop_oldest(self._day)) is not None:
            LOG.info("the prediction log is full; %s was removed", gone)
            self._used = self._directory.used_bytes()
            if self._used + self._reserved + need <= self._max_bytes:
                return True
        return False

    def _look(self, now: float) -> None:
        """Measure the directory, and decide the share of rows to write from now on."""
        self._used = self._directory.used_bytes()
        self._tally.counters.set_gauge(LOG_BYTES, self._used)
        elapsed = max(now - self._committed_at, 1e-3)
        weight = min(1.0, elapsed / _SPEED_SECONDS)
        self._speed += weight * (self._came / elapsed - self._speed)
        self._came, self._committed_at = 0, now
        today = self._directory.day_bytes(self._day)
        self._share = share(today, self._max_bytes, self._speed, seconds_left(now))
        self._mark = advance(self._mark, now, self._monotonic())
        if self._mark.unix - self._kept_mark >= MARK_SECONDS:
            self._kept_mark = self._mark.unix
            self._directory.write_mark(self._mark.unix)
        for day in too_old(self._directory.days(), self._mark, now, self._max_days):
            self._directory.drop(day)
            LOG.info("%s is older than %d days and was removed", day, self._max_days)

    def _tell(self, reason: str, error: Exception) -> None:
        now = self._clock()
        if now - self._told.get(reason, -COMPLAIN_SECONDS) >= COMPLAIN_SECONDS:
            self._told[reason] = now
            LOG.error("rows of the prediction log are dropped (%s): %s", reason, error)
