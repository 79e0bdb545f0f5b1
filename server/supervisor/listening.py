"""Opening the listening sockets, once, in the supervisor: they outlive every other process."""

from __future__ import annotations

import errno
import socket
from typing import Final

BACKLOG: Final = 2048


class CannotListen(Exception):
    """An address cannot be listened on; the message says why and what to do."""


def open_listener(host: str, port: int, option: str) -> socket.socket:
    """A listening TCP socket for the children to accept from.

    Args:
        host: Address or name; IPv6 too.
        port: 0 takes a free one.
        option: The name of the option that chose the port, for the error.

    Raises:
        CannotListen: The port is taken or forbidden, or the host unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise CannotListen(_explain(error, host, port, option)) from error
    return listener


def reserve_port(host: str, port: int, option: str) -> socket.socket:
    """A bound socket that keeps a port for listeners of this server's own processes.

    gRPC opens its listeners itself, one in each worker, and the kernel divides connections among
    them (``SO_REUSEPORT``). The socket does not listen, so it gets no connection. While it is open,
    no other user's process takes the port, and a worker that is started anew finds it free.

    Args:
        host: As for `open_listener`.
        port: As for `open_listener`.
        option: As for `open_listener`.

    Raises:
        CannotListen: As from `open_listener`.
    """
    # A socket that shares its port would share it with another server, too, so this one does not.
    with open_listener(host, port, option) as listener:
        address = listener.getsockname()
        family, kind = listener.family, listener.type
    reserved = socket.socket(family, kind)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        reserved.close()
        raise CannotListen(_explain(error, host, port, option)) from error
    return reserved


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """The URL at which a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  shown, not bound
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _explain(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use; stop who uses it "
            f"or choose another port with --{option} (0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is reserved for root; choose one from 1024 with --{option}"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"
