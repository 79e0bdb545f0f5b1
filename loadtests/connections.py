"""Keep-alive connections on raw non-blocking sockets and one epoll, one request in flight on each.

The generator must cost far less than the server it measures, so there is no event loop here: a
system call per send and per receive, and a comparison of bytes per answer.
"""

from __future__ import annotations

import gc
import select
import socket
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Self

from .outcome import OK, Tally
from .wire import END_OF_HEAD, BadResponse, parse_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Case

_RECEIVE_BYTES = 64 * 1024
_CONNECT_SECONDS = 10.0
_STATUS_OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")


class Connection:
    """One socket and the exchange on it.

    Attributes:
        case: What was asked last, or ``None`` while nothing is in flight.
        since: When that exchange counts from, seconds of the caller's clock.
    """

    __slots__ = ("buffer", "case", "fd", "receive", "rest", "send", "since", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)  # non-blocking
        self.fd = self.socket.fileno()
        self.send = self.socket.send
        self.receive = self.socket.recv
        self.case: Case | None = None
        self.since = 0.0
        self.buffer = b""
        self.rest = memoryview(b"")


class Connections:
    """A fixed number of connections to one server, and the tally of what came back.

    Use as a context manager. `start` sends, `wait` tells which connections have news, `settle`
    takes the news and says whether the exchange is over.

    Args:
        host: Address of the server.
        port: Its port.
        count: Connections, all opened at once.
        more_ports: Ports of further servers, which get as many connections, in turn.
    """

    def __init__(self, host: str, port: int, count: int, *more_ports: int) -> None:
        self._addresses = cycle([(host, each) for each in (port, *more_ports)])
        self._epoll = select.epoll()
        self._by_fd: dict[int, Connection] = {}
        self.tally = Tally()
        try:
            for _ in range(count):
                self._open()
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_fd.values()))

    def __len__(self) -> int:
        return len(self._by_fd)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._by_fd.values():
            connection.socket.close()
        self._by_fd.clear()
        self._epoll.close()

    def start(self, connection: Connection, case: Case, since: float) -> None:
        """Send one request; what the socket does not take at once follows in `settle`."""
        connection.case = case
        connection.since = since
        request = case.request
        try:
            sent = connection.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the hang-up arrives through epoll and is counted there
        if sent != len(request):
            connection.rest = memoryview(request)[sent:]
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def wait(self, seconds: float) -> list[Connection]:
        """The connections with news, after at most ``seconds`` (rounded up to milliseconds)."""
        by_fd = self._by_fd
        return [by_fd[fd] for fd, _ in self._epoll.poll(seconds)]

    def settle(self, connection: Connection, now: float) -> Connection | None:
        """Take what the server sent; a right answer's latency is ``now - since``.

        Returns:
            The idle connection when the exchange is over (a fresh one if the server closed it),
            ``None`` while it goes on.
        """
        if connection.rest:
            self._send_rest(connection)
        try:
            data = connection.receive(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return self._replace(connection)
        if not data:
            return self._replace(connection)
        case = connection.case
        if (
            case is not None
            and not connection.buffer
            and data.startswith(_STATUS_OK)
            and data[data.find(END_OF_HEAD) + 4 :] in case.verified
        ):
            self.tally.latencies.append(now - connection.since)
            connection.case = None
            return connection
        return self._parse(connection, data, now)

    def _parse(self, connection: Connection, data: bytes, now: float) -> Connection | None:
        """The general path: fragments, other statuses, bodies not seen before."""
        connection.buffer += data
        case, tally = connection.case, self.tally
        try:
            response = parse_response(connection.buffer)
        except BadResponse as error:
            self._wrong(f"is no response: {error}")
            return self._replace(connection)
        if response is None:
            return None
        if case is None:
            self._wrong(f"came unasked: {response.body[:200]!r}")
            return self._replace(connection)
        if response.status == OK:
            fault = case.fault(response)
            if fault is None:
                tally.latencies.append(now - connection.since)
            else:
                self._wrong(fault)
        tally.statuses[response.status] = tally.statuses.get(response.status, 0) + 1
        connection.buffer = b""
        connection.case = None
        if response.keep_alive:
            return connection
        return self._replace(connection)

    def _wrong(self, fault: str) -> None:
        self.tally.first_fault = self.tally.first_fault or fault
        self.tally.wrong += 1

    def _send_rest(self, connection: Connection) -> None:
        try:
            sent = connection.send(connection.rest)
        except OSError:
            return  # not writable yet, or hung up: epoll tells
        connection.rest = connection.rest[sent:]
        if not connection.rest:
            self._epoll.modify(connection.fd, select.EPOLLIN)

    def _replace(self, connection: Connection) -> Connection:
        """Close and open anew; an exchange in flight is counted as broken."""
        if connection.case is not None:
            self.tally.broken += 1
        del self._by_fd[connection.fd]
        connection.socket.close()
        return self._open()

    def _open(self) -> Connection:
        connection = Connection(next(self._addresses))
        self._by_fd[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        return connection


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: a pause of the generator would count as latency."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
