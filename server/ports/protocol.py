"""uvicorn's HTTP protocol for a port whose requests all go to its ASGI app."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .paths import origin_form


class PortProtocol(HttpToolsProtocol):
    """Reads targets in absolute form as RFC 9112 has it; see `origin_form`."""

    parser: Any  # the parent unsets it when the connection is lost

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        found = origin_form(self.url, self.headers, self.parser.get_http_version())
        if found is not None:
            self.url, self.headers[:] = found
        super().on_headers_complete()
