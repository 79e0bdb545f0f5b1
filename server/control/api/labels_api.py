"""Labels on the admin port: a file, taken row by row, with a report by line."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.feedback.label_file import LabelFile, LabelFileError
from penstock.server.auth.tokens import PREDICT
from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import check_media_type

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.monitoring.feedback.label_file import FileRow
    from penstock.server.worker.feedback_client import FeedbackClient

    from .routes import Handler

#: Of a file: some hundred thousand labels.
MAX_FILE_BYTES: Final = 8 << 20
#: Rows that are read, and labels that the monitor takes, at once.
CHUNK_ROWS: Final = 2_000
#: Rows that a report names.
_MAX_PROBLEMS: Final = 100
_MAX_IGNORED: Final = 20
_SUFFIXES: Final = {"text/csv": ".csv", "application/x-ndjson": ".jsonl"}
_UPLOAD: Final = Endpoint(
    "POST", "/admin/labels", "upload_labels",
    "Take a file of labels, CSV or JSON lines; the report names the rows that are none", PREDICT,
)  # fmt: skip


class LabelsApi:
    """Its endpoint and who answers it.

    Args:
        client: Hands labels over to the monitor, which keeps them.
    """

    def __init__(self, client: FeedbackClient) -> None:
        self._client = client

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_UPLOAD: self._upload}

    async def _upload(self, request: Request, _: str) -> Response:
        kind = check_media_type(request.headers.get("content-type"), tuple(_SUFFIXES))
        body = await read_body(request, MAX_FILE_BYTES, "; send the file in parts")
        report = _Report()
        # Ends with its last reference: a thread may still read when this request is cancelled.
        chunks = chunks_of(body, _SUFFIXES[kind], report.ignored)
        while rows := await asyncio.to_thread(next, chunks, None):
            report.take(rows)
            await self._hand_over([one for one in rows if one.label is not None], report)
        return wire.answer(report.to_json())

    async def _hand_over(self, labels: Sequence[FileRow], report: _Report) -> None:
        if not labels:
            return
        content = json.dumps([one.label for one in labels]).encode()
        try:
            told = await self._client.hand_over(content, packed=False, partial=True)
        except Unavailable as away:
            kept = report.counts["accepted"]
            raise Unavailable(
                f"{away.message}: {kept} labels were accepted; what is sent twice counts once"
            ) from None
        report.add(told, labels)


class _Report:
    """What became of the rows of a file.

    Attributes:
        counts: Rows by what became of them.
        ignored: Names of columns that say nothing of a label.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(accepted=0, refused=0, without_label=0)
        self.ignored: set[str] = set()
        self._problems: list[dict[str, Any]] = []

    def take(self, rows: Sequence[FileRow]) -> None:
        """Tell of the rows that are no labels."""
        for row in rows:
            if row.problem:
                self._refuse(row.line, row.problem)
            elif row.label is None:
                self.counts["without_label"] += 1

    def add(self, told: dict[str, Any], rows: Sequence[FileRow]) -> None:
        """Tell what the monitor made of labels."""
        for one in told.pop("problems", ()):
            self._name(rows[one["item"]].line, one["problem"])
        self.counts.update(told)

    def to_json(self) -> dict[str, Any]:
        """For an answer."""
        problems = sorted(self._problems, key=lambda one: one["line"])
        ignored = sorted(self.ignored)[:_MAX_IGNORED]
        return {**self.counts, "ignored": ignored, "problems": problems}

    def _refuse(self, line: int, problem: str) -> None:
        self.counts["refused"] += 1
        self._name(line, problem)

    def _name(self, line: int, problem: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append({"line": line, "problem": problem})


def chunks_of(body: bytes, suffix: str, ignored: set[str]) -> Generator[list[FileRow], None, None]:
    """The rows of a file, so many at a time: all of them would take a hundred times its bytes.

    Args:
        body: The file.
        suffix: Of its name, which says what it is.
        ignored: Takes the names of columns that say nothing of a label, once all rows are read.

    Raises:
        InvalidRequest: It is no file of labels; raised before the first row.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{suffix}"
        path.write_bytes(body)
        file = LabelFile(path)
        rows = file.rows()
        try:
            while chunk := list(islice(rows, CHUNK_ROWS)):
                yield chunk
        except LabelFileError as error:
            message = str(error).replace(str(path), "the file")
            raise InvalidRequest(message) from None
        ignored |= file.ignored
