"""``python -m penstock.loadtests.locust_run``: a server, locust without its web page, a verdict."""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import tempfile
from pathlib import Path

from .contestants import serve_command
from .outcome import OK
from .processes import ServerProcess, free_port

_ROOM = Path(__file__).resolve().parent
_REGISTRY = _ROOM.parent / "examples" / "registry"
_READY_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run the locustfile against a server of its own; ends with 1 if any request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.locust_run", description=__doc__
    )
    parser.add_argument("--registry", type=Path, default=_REGISTRY)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args(arguments)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="loadtest-") as scratch:
        log = Path(scratch) / "server.log"
        with ServerProcess(serve_command(options.registry, port), log) as server:
            server.wait_ready(lambda: is_ready(port), _READY_SECONDS)
            command = [sys.executable, "-m", "locust", "-f", str(_ROOM / "locustfile.py")]
            command += ["--headless", "--only-summary", "--host", f"http://127.0.0.1:{port}"]
            command += ["-u", str(options.users), "-r", str(options.users)]
            command += ["-t", f"{options.seconds}s"]
            return subprocess.run(command, check=False).returncode


def is_ready(port: int) -> bool:
    """Whether the server on loopback says it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
