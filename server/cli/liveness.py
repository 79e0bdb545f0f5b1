"""``python -m penstock.server.cli.liveness``: the health check of a container.

It asks the port on which the server really listens, as the server has written it down: the command,
the environment or a file may have named the port. A server that has written nothing down where this
user finds it is asked on the port that the environment and ``penstock.toml`` name. The exit status
is 0 if the server answers, else 1.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from penstock.server.files.config_error import ConfigError
from penstock.server.processes.run_directory import process_namespace

from .run_directories import run_directories

_PATH: Final = "/v2/health/live"
_TIMEOUT_SECONDS: Final = 2.0


def main() -> int:
    """Ask the servers of this user that run in this container; returns the exit status."""
    try:
        for url in _written_down() or [_configured()]:
            status = _status(url)
            if status != http.HTTPStatus.OK:
                return _fail(f"{url}{_PATH} answers {status}")
    except (ConfigError, OSError, ValueError, http.client.HTTPException) as error:
        return _fail(f"the server does not answer: {error}")
    return 0


def _written_down() -> list[str]:
    """URLs of the prediction ports of servers in this container.

    Containers may share the memory in which run directories are, so those of other containers are
    left out: this one cannot reach them.

    Raises:
        OSError: A server is just starting, or no directory can be read.
        ValueError: A file is not as a server writes it.
    """
    addresses = [json.loads(one.address.read_text()) for one in run_directories()]
    here = process_namespace()
    return [one["predict_url"] for one in addresses if one.get("processes") == here]


def _configured() -> str:
    """URL of the prediction port, as the environment and ``penstock.toml`` have it."""
    from penstock.server.config.config import load_config

    try:
        config = load_config({}, os.environ)
    except ConfigError:  # the command names the registry
        config = load_config({"registry": "."}, os.environ)
    scheme = "https" if config.ssl_certfile else "http"
    return f"{scheme}://127.0.0.1:{config.port}"


def _status(url: str) -> int:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    if parts.scheme == "https":
        # The certificate has a public name, and the check asks this machine.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT_SECONDS, context=context
        )
    with closing(connection):
        connection.request("GET", _PATH)
        return connection.getresponse().status


def _fail(why: str) -> int:
    print(f"penstock: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
