"""``python -m penstock.loadtests.log_size --rows 10000000``: a large prediction log.

The rows go through the real writer, day after day, are sealed, and then asked for: one by its
request id, and all of them by hour. Prints the time that each takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.prediction_log.lookup import find
from penstock.monitoring.prediction_log.prediction_log import PredictionLog
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.seal import seal
from penstock.monitoring.prediction_log.tally import Tally
from penstock.monitoring.samples.books import BooksFile
from penstock.monitoring.samples.received_frames import ReceivedFrames
from penstock.monitoring.samples.samples import BatchSample

if TYPE_CHECKING:
    from collections.abc import Callable

_FEATURES: Final = 30
_FRAME: Final = 500
_START: Final = 1_700_006_400.0  # the beginning of a day
_DAY: Final = 86_400.0
_BY_HOUR: Final = (
    "select cast(floor(time / 3600) as bigint) as hour, count(*), avg(latency), max(label)"
    " from model group by hour order by hour"
)


def frames(rows: int, days: int) -> Any:
    """Samples of `_FRAME` rows each, spread evenly over the days."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(_FRAME, _FEATURES)).astype(np.float32)
    labels, scores = rng.integers(0, 2, _FRAME), rng.random((_FRAME, 2)).astype(np.float32)
    count = rows // _FRAME
    for number in range(count):
        now = _START + number * days * _DAY / count
        first = number * _FRAME
        yield BatchSample(
            model="model",
            version="3",
            time=now,
            request_ids=[b"%024x" % (first + one) for one in range(_FRAME)],
            offsets=range(_FRAME + 1),
            statuses=[200] * _FRAME,
            latencies=(rng.random(_FRAME) / 100).tolist(),
            input_names=("features",),
            inputs=[features + number % 97],
            output_names=("label", "probabilities"),
            outputs=[labels, scores],
            times=[now] * _FRAME,
        )


def write(state: Path, rows: int, days: int) -> float:
    """Write all rows; gives the CPU seconds that it took."""
    now = _START
    counters = CounterFile.anonymous("monitor")
    tally = Tally(counters, {}, BooksFile(state.with_name("books.msgpack")))
    log = PredictionLog(state, "epoch", tally, 1 << 40, 10_000, lambda: now, lambda *_: "sha256:0")
    received_frames = ReceivedFrames()
    received_frames.restore(log.restore())
    spent = 0.0
    with closing(log):
        for number, sample in enumerate(frames(rows, days)):
            began = time.process_time()
            now = sample.time
            full = log.append([sample], {("model", "3"): _FRAME})
            received_frames.receive("worker", number + 1, {("model", "3"): _FRAME})
            if full or number % 100 == 99:  # noqa: PLR2004  as often as a busy server does
                log.commit(received_frames, now)
            spent += time.process_time() - began
        log.commit(received_frames, now)
    return spent


def main(arguments: list[str] | None = None) -> int:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.log_size")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--directory", type=Path, help="for the files; a temporary one by default")
    options = parser.parse_args(arguments)
    table = Table(title=f"{options.rows:,} rows of {_FEATURES} features")
    for column in ("what", "seconds", "note"):
        table.add_column(column, justify="right" if column == "seconds" else "left")

    def timed(what: str, do: Callable[[], Any], note: Callable[[Any], str]) -> None:
        began = time.perf_counter()
        found = do()
        table.add_row(what, f"{time.perf_counter() - began:.2f}", note(found))

    with tempfile.TemporaryDirectory(prefix="penstock-log-", dir=options.directory) as scratch:
        state = Path(scratch)
        wanted = f"{options.rows // 3:024x}"
        timed(
            "written",
            lambda: write(state, options.rows, options.days),
            lambda spent: f"{options.rows / spent:,.0f} rows per CPU second, {_size(state)}",
        )
        timed("by id, day files", lambda: find(state, wanted), lambda got: f"{len(got[0])} row")
        timed(
            "by hour, one day file",
            lambda: query(_last_day(state), _BY_HOUR, 10_000, "sqlite"),
            lambda got: f"{len(got.rows)} hours",
        )
        days = sorted(path.name[12:22] for path in (state / "log").glob("*.db"))
        timed(
            "sealed",
            lambda: [seal(state, day, 1 << 40) for day in days],
            lambda _: f"{len(days)} days, {_size(state)}",
        )
        timed("by id, sealed", lambda: find(state, wanted), lambda got: f"{len(got[0])} row")
        timed(
            "by hour, sealed",
            lambda: query(state, _BY_HOUR, 10_000),
            lambda got: f"{len(got.rows)} hours, {sum(row[1] for row in got.rows):,} rows",
        )
    Console().print(table)
    return 0


def _last_day(state: Path) -> Path:
    """A state with the last day file alone."""
    place = state / "one" / "log"
    place.mkdir(parents=True)
    last = max((state / "log").glob("*.db"))
    (place / last.name).hardlink_to(last)
    return place.parent


def _size(state: Path) -> str:
    total = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    return f"{total / 2**20:,.0f} MiB"


if __name__ == "__main__":
    raise SystemExit(main())
