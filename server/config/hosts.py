"""Which ``Host`` a request may name.

A web page can make a browser send requests to a server on the user's own machine: the name of the
page's host is made to resolve to 127.0.0.1 after the page was loaded (DNS rebinding). The request
then names the page's host. A name in the public DNS has a dot, and an address cannot be rebound. A
server that listens on the loopback interface takes addresses, ``localhost``, names without a dot,
and the names that the operator lists. A server that listens elsewhere is meant to be reached by
names that it cannot know: it takes all names, unless the operator lists some.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from penstock.server.errors import InvalidRequest, MisdirectedRequest
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.server.errors import ApiError

ANY: Final = "*"
_HTTP_1_1: Final = "1.1"
_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)
_HOST: Final = re.compile(r"(\[[0-9a-f:.%a-z]+\]|[^:@/\[\]\s]+)(?::[0-9]{0,5})?", re.ASCII)
_MAX_SHOWN: Final = 80


class AllowedHosts:
    """Judges the ``Host`` header of requests.

    Args:
        allowed: Names, separated by commas; ``*.example.com`` is every name below. ``*`` takes all.
            Empty is the default of the address.
        bound: The address that the port listens on.

    Raises:
        ConfigError: A name cannot be one.
    """

    def __init__(self, allowed: str, bound: str) -> None:
        names = [name.strip().lower().rstrip(".") for name in allowed.split(",") if name.strip()]
        for name in names:
            if name != ANY and not _NAME.fullmatch(name) and not _is_address(name):
                raise ConfigError(
                    f"allowed_hosts has {name!r}, expected names such as api.example.com or "
                    "*.example.com, without scheme and port, or * for all"
                )
        self._any = ANY in names or (not names and not is_loopback(bound))
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))

    def refusal(
        self, headers: Iterable[tuple[bytes, bytes]], http_version: str = _HTTP_1_1
    ) -> ApiError | None:
        """Why a request is refused; ``None`` if it may pass.

        Every request of HTTP/1.1 has one ``Host`` header (RFC 9112, 3.2), whatever hosts are
        allowed: with none or two of them, a proxy in front may have taken another one for it.

        Args:
            headers: Names in lower case; a target in absolute form is in ``host``.
            http_version: Such as ``1.1``.
        """
        given = [value for name, value in headers if name == b"host"]
        if len(given) > 1:
            return InvalidRequest("header host is given twice, expected once (RFC 9112)")
        if not given:
            if http_version == _HTTP_1_1:
                return InvalidRequest("header host is missing; HTTP/1.1 asks for it (RFC 9112)")
            return None  # a program: browsers always send it
        if self._any:
            return None
        text = given[0].decode("latin-1").strip().lower()
        match = _HOST.fullmatch(text)
        if match is not None and self._takes(match[1].rstrip(".")):
            return None
        return MisdirectedRequest(
            f"host {text[:_MAX_SHOWN]!r} is not served here; if it is yours, start the server with "
            "--allowed-hosts and its name, or '*' for all"
        )

    def _takes(self, host: str) -> bool:
        return (
            "." not in host  # no name of the public DNS
            or host in self._names
            or host.endswith(".localhost")
            or _is_address(host)
            or (bool(self._endings) and host.endswith(self._endings))
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
