"""Hands labels over to the prediction port, some thousands at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from .client import refusal_of
from .command_failed import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.monitoring.feedback.label_file import FileRow

#: Labels in one request to the server.
_CHUNK: Final = 5000
_CHUNK_BYTES: Final = 2 << 20
#: Lines that are told one by one.
_MOST_PROBLEMS: Final = 20
_TRIES: Final = 20
_TIMEOUT_SECONDS: Final = 30.0


class HandOver:
    """Sends labels, some thousands at a time, and remembers the refused lines.

    Args:
        url: URL of the prediction port.
        token: Token of the caller; may be empty.

    Attributes:
        totals: Numbers of labels by outcome, as the server reports them.
        sent: Labels that were accepted.
        refused: Rows that are no labels.
        blank: Rows that have no label yet.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._waiting: list[FileRow] = []
        self._bytes = 0
        self._problems: list[tuple[int, str]] = []
        self.totals: dict[str, int] = {}
        self.sent = self.refused = self.blank = 0

    def add(self, row: FileRow) -> None:
        """Take a row; sends when there are enough.

        Raises:
            CommandFailed: The server says no.
        """
        if row.label is None:
            self.blank += not row.problem
            self._refuse(row.line, row.problem)
            return
        self._waiting.append(row)
        self._bytes += len(_body([row]))
        if len(self._waiting) == _CHUNK or self._bytes >= _CHUNK_BYTES:
            self.send()

    def send(self) -> None:
        """Send the waiting labels.

        Raises:
            CommandFailed: The server says no.
        """
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        found = _post(self._url, _body(waiting), self._token)
        for problem in found.pop("problems", []):
            self._refuse(waiting[problem["item"]].line, problem["problem"])
        found.pop("refused", None)
        self.sent += found.get("accepted", 0)
        for name, count in found.items():
            self.totals[name] = self.totals.get(name, 0) + count

    def report(self) -> Iterator[str]:
        """The refused lines, the first ones one by one, and the labels that are no class."""
        if self.blank:
            yield f"{self.blank} rows have no label yet and were left out"
        for line, problem in self._problems:
            yield f"line {line}: {problem}"
        if self.refused > len(self._problems):
            yield f"and {self.refused - len(self._problems)} lines more"
        if vain := self.totals.get("not_comparable", 0):
            yield (
                f"{vain} labels are no class of their model, or no number where it gives numbers; "
                "they count neither as right nor as wrong. See `penstock performance MODEL`"
            )

    def _refuse(self, line: int, problem: str) -> None:
        if problem:
            self.refused += 1
            if len(self._problems) < _MOST_PROBLEMS:
                self._problems.append((line, problem))


def _body(rows: list[FileRow]) -> bytes:
    return json.dumps([row.label for row in rows], ensure_ascii=False).encode()


def _post(url: str, body: bytes, token: str) -> dict[str, Any]:
    """Hand labels over, and try again while the server answers 503.

    Raises:
        CommandFailed: The server says no, or is none of ours.
    """
    import http.client
    import threading
    import urllib.error
    import urllib.request

    pause = threading.Event()
    for _ in range(_TRIES):
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/feedback?partial=true", body)  # noqa: S310  the user's own
        request.add_header("content-type", "application/json")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the same
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            wait = error.headers.get("retry-after", "")
            if not wait.isdecimal():  # a proxy may send a date
                raise refusal_of(error) from None
            pause.wait(int(wait))
        except urllib.error.URLError as error:
            said = f"{url} cannot be reached: {error.reason}"
            raise CommandFailed(said, code="unreachable") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = f"{url} does not answer as it should: {error}"
            raise CommandFailed(said, code="unexpected_answer") from None
    raise CommandFailed("the server cannot keep labels now", code="unavailable")
