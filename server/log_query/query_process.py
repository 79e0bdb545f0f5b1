"""Has queries answered by processes of their own, which are killed at the limit of time."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import python_command
from penstock.server.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

#: Queries at a time; more are told to come back.
MAX_QUERIES: Final = 2
TIMEOUT_SECONDS: Final = 30.0
#: DuckDB takes 1 GB of it.
MEMORY_BYTES: Final = 2 << 30
_CPU_SECONDS: Final = 60


class QueryProcesses:
    """Asks the prediction log of one server.

    Args:
        state: ``state_dir/monitor``.
        registry: The model repository.
        timeout_seconds: A query that takes longer is killed.
    """

    def __init__(
        self, state: Path, registry: Path, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._about = {"state": str(state), "registry": str(registry)}
        self._timeout_seconds = timeout_seconds
        self._running = 0

    async def ask(self, **order: Any) -> tuple[dict[str, Any], bytes]:
        """Have one order carried out.

        Args:
            order: ``kind``: ``sql`` with ``sql`` and ``rows``; ``search`` with ``search`` and
                ``rows``; ``file`` as ``sql``, with ``format``; ``chain`` with ``request_id``.

        Returns:
            What is to be said of a file, and the file; or nothing, and the answer as JSON: it is
            not decoded here, as it may be large and others wait for this event loop.

        Raises:
            InvalidRequest: The query is wrong, or takes too much time or memory.
            Unavailable: Too many queries run.
        """
        if self._running >= MAX_QUERIES:
            raise Unavailable(
                f"{MAX_QUERIES} queries run already; try again", retry_after_seconds=2
            )
        self._running += 1
        try:
            head, body = await self._run(order)
        finally:
            self._running -= 1
        if "problem" in head:
            raise InvalidRequest(head["problem"])
        return head, body

    async def _run(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        limits = {"memory_bytes": MEMORY_BYTES, "cpu_seconds": _CPU_SECONDS, "parent": os.getpid()}
        process = await asyncio.create_subprocess_exec(
            *python_command("-m", "penstock.server.log_query.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                sent = json.dumps({**order, **self._about, **limits}).encode()
                output, _ = await process.communicate(sent)
        except TimeoutError:
            raise InvalidRequest(
                f"it takes longer than {self._timeout_seconds:g} s, and was stopped; ask for less"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:  # perhaps in the middle of its answer
            raise InvalidRequest(
                f"the process of the query ended with status {process.returncode}: "
                f"it has {MEMORY_BYTES >> 30} GiB of memory and {_CPU_SECONDS} s; ask for less"
            )
        head, _, body = output.partition(b"\n")
        return json.loads(head), body
