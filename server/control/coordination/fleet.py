"""Control's end of the link: the connected workers, their reports, and their target."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.server.processes.frames import BadFrame, pack_frame, read_frame
from penstock.server.processes.private_socket import listen_privately
from penstock.server.target.plan import Standing
from penstock.server.target.target import Target, encode_target

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

LOG = logging.getLogger("penstock.fleet")


@dataclass(slots=True)
class Worker:
    """A connected worker.

    Attributes:
        process: ``worker-<n>``.
        incarnation: Name of the incarnation.
        pid: Its process id.
        target: Number of the target it has applied.
        steered: Number of the target whose defaults and aliases are in force there.
        ready: Whether it has dealt with its first target.
        models: Every version it knows, with its state.
        problem: Reason for which it has not applied the target; empty without a problem.
        incidents: Its errors without a caller; see `Incidents.report`.
    """

    process: str
    incarnation: str
    pid: int
    writer: StreamWriter = field(repr=False)
    target: int = 0
    steered: int = 0
    ready: bool = False
    models: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    incidents: list[dict[str, Any]] = field(default_factory=list)

    def states(self, state: str) -> dict[str, dict[int, tuple[str, str]]]:
        """The versions in this state by model, with their directories and configurations."""
        found: dict[str, dict[int, tuple[str, str]]] = {}
        for one in self.models:
            if one["state"] == state:
                origin = one["directory"], one.get("config", "")
                found.setdefault(one["name"], {})[int(one["version"])] = origin
        return found


class Fleet:
    """All connected workers.

    Args:
        metrics: Makes the exposition, content type and body, from an Accept header.
        expected: Number of workers of the server.

    Attributes:
        workers: By incarnation.
        on_change: Called after a worker reported or left.
        on_check_request: Called when a worker asks for a check of the rollouts.
    """

    def __init__(
        self,
        metrics: Callable[[str], Awaitable[tuple[bytes, bytes]]],
        expected: int = 1,
    ) -> None:
        self.workers: dict[str, Worker] = {}
        self.expected = expected
        self.on_change: Callable[[], object] = lambda: None
        self.on_check_request: Callable[[], object] = lambda: None
        self._metrics = metrics
        self._target = Target()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, path: Path) -> None:
        """Accept workers on a Unix socket; it replaces the socket of a former control process."""
        self._server = await listen_privately(self._serve, path)

    def close(self) -> None:
        """Stop accepting and hang up."""
        if self._server is not None:
            self._server.close()
        for worker in self.workers.values():
            worker.writer.close()

    def send_target(self, target: Target) -> None:
        """Send this target to every worker, also to later ones."""
        self._target = target
        frame = self._target_frame()
        for worker in self.workers.values():
            worker.writer.write(frame)

    @property
    def complete(self) -> bool:
        """True if every worker is there."""
        return len(self.workers) >= self.expected

    def converged(self) -> bool:
        """True if every worker is there and has applied the present target."""
        number = self._target.number
        applied = [worker.target == number for worker in self.workers.values()]
        return number > 0 and self.complete and all(applied)

    def standings(
        self,
        defaults: Mapping[str, int | None],
        available: Mapping[str, Mapping[int, Path]],
        configs: Mapping[str, str],
    ) -> dict[str, Standing]:
        """The states of the versions of each model.

        A missing worker counts as having what the present workers have, because it will load that.

        Args:
            defaults: The present default version of each model.
            available: The present directory of each version: a failure of another directory does
                not count.
            configs: The present digest of each model's configuration: a failure with another
                configuration does not count.
        """
        ready = [worker.states("READY") for worker in self.workers.values()]
        failed = [worker.states("FAILED") for worker in self.workers.values()]
        names = {name for one in (*ready, *failed) for name in one} | defaults.keys()
        standings = {}
        for name in names:
            sets = [set(one.get(name, ())) for one in ready]
            places = {version: str(at) for version, at in available.get(name, {}).items()}
            broken = {
                version
                for one in failed
                for version, (at, config) in one.get(name, {}).items()
                if places.get(version, at) == at and configs.get(name, config) == config
            }
            standings[name] = Standing(
                serving=frozenset(set.intersection(*sets)) if sets else frozenset(),
                failed=frozenset(broken.difference(*sets)),
                default=defaults.get(name),
                broken=frozenset(broken),
            )
        return standings

    async def wait(self, done: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until `done` is true, at most `timeout_seconds`; returns whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()
        return done()

    async def wait_converged(self, timeout_seconds: float) -> bool:
        """Wait until `converged`, at most `timeout_seconds`; returns whether it is."""
        return await self.wait(self.converged, timeout_seconds)

    def _note_change(self) -> None:
        self._changed.set()
        self.on_change()

    def _target_frame(self) -> bytes:
        return pack_frame("target", target=encode_target(self._target))

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        worker = None
        try:
            while (frame := await read_frame(reader)) is not None:
                if worker is None:
                    worker = self._join(frame, writer)
                else:
                    self._receive(worker, frame)
        except (BadFrame, KeyError, TypeError) as error:
            LOG.warning("a worker speaks another language: %r", error)
        finally:
            if worker is not None:
                self.workers.pop(worker.incarnation, None)
                self._note_change()
            with suppress(OSError):
                writer.close()

    def _join(self, frame: dict[str, Any], writer: StreamWriter) -> Worker:
        if frame["kind"] != "hello":
            raise BadFrame("the first frame is not a hello")
        worker = Worker(frame["process"], frame["incarnation"], frame["pid"], writer)
        self.workers[worker.incarnation] = worker
        if self._target.number:
            writer.write(self._target_frame())
        return worker

    def _receive(self, worker: Worker, frame: dict[str, Any]) -> None:
        kind = frame["kind"]
        if kind == "report":
            worker.target = frame["target"]
            worker.steered = frame["steered"]
            worker.ready = frame["ready"]
            worker.models = frame["models"]
            worker.problem = frame.get("problem", "")
            worker.incidents = frame.get("incidents", [])
            self._note_change()
        elif kind == "look":
            self.on_check_request()
        elif kind == "metrics":
            # Its own task: the exposition is made in a thread, and reports should not wait for it.
            task = asyncio.create_task(self._answer_metrics(worker, frame["id"], frame["accept"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer_metrics(self, worker: Worker, number: int, accept: str) -> None:
        content_type, body = await self._metrics(accept)
        frame = pack_frame("metrics", id=number, content_type=content_type, body=body)
        if not worker.writer.is_closing():
            worker.writer.write(frame)
