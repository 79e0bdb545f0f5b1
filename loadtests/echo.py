"""The bare echo: what uvicorn's own protocol class can do when nothing is served.

It parses HTTP with the same parser as Penstock's fast path, reads the body, and answers fixed bytes
in one write: no ASGI, no routing, no decoding, no model. It is the upper bound of every server
built on that class, and the measure of the load generator itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio


def echo_protocol(body: bytes, content_type: str) -> type[HttpToolsProtocol]:
    """A protocol class whose answer to everything is ``body``."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    answer = head.encode() + body

    class Echo(HttpToolsProtocol):
        def on_message_begin(self) -> None:
            self._received = 0

        def on_url(self, url: bytes) -> None:
            pass

        def on_header(self, name: bytes, value: bytes) -> None:
            pass

        def on_headers_complete(self) -> None:
            pass

        def on_body(self, body: bytes) -> None:
            self._received += len(body)

        def on_message_complete(self) -> None:
            self.transport.write(answer)

    return Echo


async def _unused(*_: object) -> None:
    """The ASGI application that uvicorn insists on."""


async def _serve(protocol: type[asyncio.Protocol], host: str, port: int) -> None:
    config = uvicorn.Config(
        _unused, host, port, http=protocol, lifespan="off", log_level="warning", access_log=False
    )
    await uvicorn.Server(config).serve()


def main(arguments: list[str] | None = None) -> int:
    """Serve ``--answer FILE`` on ``--port`` until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.echo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", type=Path, required=True, help="file with the body")
    parser.add_argument("--content-type", default="application/json")
    options = parser.parse_args(arguments)
    import uvloop

    protocol = echo_protocol(options.answer.read_bytes(), options.content_type)
    uvloop.run(_serve(protocol, options.host, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
