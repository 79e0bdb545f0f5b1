"""A batch job: reads the rows of a file, has them answered by a running server, writes a file.

A few requests are under way at a time, so that memory is bounded whatever the size of the file. The
answers come in the order of the rows, and are put on disk in parts (`job_directory`). A job that is
started again goes on behind the last part, with the same version.
"""

from __future__ import annotations

import json
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.server.files.durable import locked

from .chunk import Answered, Chunk, Position
from .input_columns import choose
from .inputs import open_input
from .job_directory import JobDirectory, work_name
from .job_failed import JobFailed, NotNow
from .output_columns import OutputColumns
from .outputs import check_output, join, open_output
from .predictor import Predictor, rows_per_request
from .row_encoder import RowEncoder
from .served_model import read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from penstock.server.codecs.signature import WireSignature

    from .input_columns import InputColumns
    from .inputs import Input
    from .outputs import Output
    from .prediction_port import PredictionPort

#: Requests under way: one is run, one waits, one is read or written.
REQUESTS: Final = 3
#: A part is committed when it has so many rows, or took so long: a killed job does no more again.
PART_ROWS: Final = 1 << 16
PART_SECONDS: Final = 5.0
_FIRST: Final = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Order:
    """What a batch job is to do.

    Attributes:
        model: Name of the model.
        version: Number or alias; ``None`` for the version that answers now.
        source: Path of the input.
        output: Path of the output.
        keys: Columns of the input that are carried to the output.
        all_columns: Whether all columns are.
        kind: Suffix that says the format of the input; by default that of its path.
        work: Directory of the work, which is there; by default one beside the output.
    """

    model: str
    version: str | None
    source: Path
    output: Path
    keys: tuple[str, ...] = ()
    all_columns: bool = False
    kind: str = ""
    work: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch job has done.

    Attributes:
        version: The version that answered.
        rows: All rows of the output.
        failed: Rows that were not answered.
        resumed: Rows that an earlier run of the job had done.
    """

    version: str
    rows: int
    failed: int
    resumed: int


class BatchJob:
    """One batch job.

    Args:
        order: What it is to do.
        port: The server.
        note: Told what a person should know, in one line.
        part_rows: Rows of a part.
        clock: Monotonic seconds.
        on_commit: Told what is on disk, at the start and after each part, and whether that is the
            whole output, which is then put in place.
    """

    def __init__(
        self,
        order: Order,
        port: PredictionPort,
        note: Callable[[str], object],
        part_rows: int = PART_ROWS,
        clock: Callable[[], float] = time.monotonic,
        on_commit: Callable[[Outcome, bool], object] = lambda _, __: None,
    ) -> None:
        self._order = order
        self._on_commit = on_commit
        self._port = port
        self._note = note
        self._part_rows = part_rows
        self._clock = clock
        beside = order.output.with_name(work_name(order.output.name))
        self._directory = JobDirectory(order.work or beside)
        check_output(order.output)
        self._source: Input = open_input(order.source, order.kind or order.source.suffix)
        if order.source.resolve() == order.output.resolve():
            raise JobFailed("the output would replace the input; name another file")

    @property
    def total(self) -> int | None:
        """Number of rows; ``None`` if the input does not say."""
        return self._source.total

    def run(self, progress: Callable[[int], object]) -> Outcome:
        """Do the job, or what is left of it.

        Args:
            progress: Told of rows that are done, with their number.

        Raises:
            JobFailed: It cannot go on; what is done is kept.
            OSError: A file cannot be read or written; the same.
        """
        if self._order.work is None:
            self._directory.path.mkdir(exist_ok=True)
        try:
            with locked(self._directory.path, wait=False):
                return self._run(progress)
        except BlockingIOError:
            raise NotNow(f"another job writes {self._order.output} now") from None
        finally:
            self._port.close()

    def _run(self, progress: Callable[[int], object]) -> Outcome:
        order, directory = self._order, self._directory
        wire = self._prepare()
        columns = choose(self._source.names, wire, order.keys, all_columns=order.all_columns)
        named = OutputColumns(columns.carried, wire)
        output = open_output(order.output, wire, named)
        parts = directory.parts()
        start = parts[-1].end if parts else _FIRST
        progress(start.row)
        if start.row:
            self._note(f"goes on behind row {start.row:,}, which an earlier run has reached")
        done = Outcome(wire.model_version, start.row, sum(one.failed for one in parts), start.row)
        self._on_commit(done, False)  # noqa: FBT003  as its place in the signature says
        for answered in self._parts(wire, columns, start, progress, first=not parts):
            bad = sum(len(one.errors) for one in answered)
            self._commit(output, answered, bad)
            rows, failed = answered[-1].chunk.end.row, done.failed + bad
            done = replace(done, rows=rows, failed=failed)
            self._on_commit(done, False)  # noqa: FBT003
        paths = [part.path for part in directory.parts()]
        directory.finish(
            order.output,
            lambda path: join(output, path, paths),
            lambda: self._on_commit(done, True),  # noqa: FBT003
        )
        return done

    def _commit(self, output: Output, answered: list[Answered], bad: int) -> None:
        start, end = answered[0].chunk.start.row, answered[-1].chunk.end
        write = lambda path: output.write_part(path, answered)  # noqa: E731
        self._directory.commit(start, end, bad, write)

    def _prepare(self) -> WireSignature:
        """The model; begins the work anew if what is on disk belongs to another job."""
        order = self._order
        stat = order.source.stat()
        about: dict[str, Any] = {
            "input": [str(order.source.resolve()), stat.st_size, stat.st_mtime_ns],
            "model": order.model,
            "asked": order.version,
            "keys": list(order.keys),
            "all_columns": order.all_columns,
        }
        recorded = self._directory.about()
        goes_on = all(recorded.get(key) == value for key, value in about.items())
        described = self._described(recorded["version"] if goes_on else order.version, goes_on)
        wire = read_model(described)
        about["version"] = wire.model_version
        about["tensors"] = json.loads(json.dumps([described["inputs"], described["outputs"]]))
        if recorded != about:
            if recorded:
                self._note("begins anew: the work on disk is of another input, model or columns")
            self._directory.begin(about)
        return wire

    def _described(self, version: str | None, goes_on: bool) -> dict[str, Any]:  # noqa: FBT001
        try:
            return self._port.describe(self._order.model, version)
        except JobFailed as failure:
            if not goes_on:
                raise
            raise type(failure)(
                f"{failure}; the job began with version {version}: load it, or remove "
                f"{self._directory.path} to begin anew"
            ) from None

    def _parts(
        self,
        wire: WireSignature,
        columns: InputColumns,
        start: Position,
        progress: Callable[[int], object],
        *,
        first: bool,
    ) -> Iterator[list[Answered]]:
        """The answers of each part; of an input without rows one part without rows."""
        part: list[Answered] = []
        began = self._clock()
        for answered in self._answers(wire, columns, start):
            part.append(answered)
            progress(answered.chunk.count)
            rows = answered.chunk.end.row - part[0].chunk.start.row
            if rows >= self._part_rows or self._clock() - began >= PART_SECONDS:
                yield part
                part, began, first = [], self._clock(), False
        if part:
            yield part
        elif first:
            carried: dict[str, Any] = {name: [] for name in columns.carried}
            yield [Answered(Chunk(start, start, [], carried), [], [], {})]

    def _answers(
        self, wire: WireSignature, columns: InputColumns, start: Position
    ) -> Iterator[Answered]:
        """The answers of all chunks in their order; a few are asked for at a time."""
        answer = Predictor(self._port, wire, RowEncoder(wire, columns)).answer
        waiting: deque[Future[Answered]] = deque()
        with ThreadPoolExecutor(REQUESTS, "penstock-batch") as threads:
            try:
                size = min(rows_per_request(wire), self._part_rows)
                for chunk in self._source.chunks(start, size, columns, wire):
                    waiting.append(threads.submit(answer, chunk))
                    if len(waiting) > REQUESTS:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                for one in waiting:
                    one.cancel()
                self._port.close()  # what is under way need not be waited for
                raise
