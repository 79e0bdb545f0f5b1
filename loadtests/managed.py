"""A `penstock serve` under test, with its admin port and its workers' memory at hand."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from .processes import ServerProcess, arguments_of, free_port

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

HOST: Final = "127.0.0.1"
_TIMEOUT_SECONDS: Final = 120.0
_OK: Final = 200


class CommandFailed(Exception):
    """The admin port refused a command."""


class Managed:
    """A running server. Use as a context manager.

    Args:
        registry: What it serves.
        directory: For its run directory, state and log.
        cores: What it may run on.
        options: Further arguments of ``penstock serve``.
        timeout_seconds: How long it may take to be ready.
        python: The interpreter whose Penstock is started; by default the one that runs this.
    """

    def __init__(
        self,
        registry: Path,
        directory: Path,
        cores: AbstractSet[int] | None = None,
        options: tuple[str, ...] = (),
        timeout_seconds: float = 60.0,
        python: str = sys.executable,
    ) -> None:
        self.port = free_port()
        self.admin_port = free_port()
        self._state = directory / "state"
        self._timeout_seconds = timeout_seconds
        directory.mkdir(exist_ok=True)
        command = [python, "-m", "penstock.server.cli.main", "serve", str(registry)]
        command += ["--port", str(self.port), "--admin-port", str(self.admin_port)]
        command += ["--state-dir", str(self._state), *options]
        self.process = ServerProcess(
            command,
            directory / "server.log",
            # A checkout in the present directory would otherwise be found before what `python` has.
            environment={"PYTHONSAFEPATH": "1"},
            cores=cores,
        )
        self.ready_seconds = 0.0

    def __enter__(self) -> Self:
        began = time.monotonic()
        self.process.__enter__()
        try:
            self.process.wait_ready(self._is_ready, self._timeout_seconds)
        except BaseException:
            self.process.stop()
            raise
        self.ready_seconds = time.monotonic() - began
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    @property
    def token(self) -> str:
        """Of the admin port."""
        return (self._state / "admin-token").read_text().strip()

    def command(self, path: str) -> dict[str, Any]:
        """Send a command to the admin port; answers when every worker has followed.

        Raises:
            CommandFailed: It was refused.
        """
        return send_command(self.admin_port, self.token, path)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send JSON to the admin port and get JSON.

        Raises:
            CommandFailed: It was refused.
        """
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body)
        status, answer = _exchange(self.admin_port, method, path, headers, content)
        if status != _OK:
            raise CommandFailed(f"{method} {path} gave {status}: {answer.decode()}")
        return json.loads(answer)

    def counted(self, name: str) -> int:
        """The first figure of a family of counters; 0 if there is none yet."""
        _, text = _exchange(self.admin_port, "GET", "/metrics", {}, None)
        for line in text.decode().splitlines():
            if line.partition("{")[0] == name:
                return int(float(line.rpartition(" ")[2]))
        return 0

    def status(self) -> dict[str, Any]:
        """``/admin/status``."""
        return _ask(self.admin_port, "GET", "/admin/status", {})[1]

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return self.pids_of("worker")

    def pids_of(self, kind: str) -> list[int]:
        """Process ids of a kind: ``worker``, ``monitor``, ``control``."""
        found = []
        for pid in self.process.pids():
            with contextlib.suppress(OSError):
                if _runs(pid, kind):
                    found.append(pid)
        return found

    def resident_bytes(self) -> int:
        """Resident memory of all workers."""
        return sum(resident_bytes(pid) for pid in self.workers())

    def cpu_seconds(self, kind: str) -> float:
        """CPU time so far of the processes of a kind, such as ``control``, together."""
        total = 0
        for pid in self.process.pids():
            with contextlib.suppress(OSError):
                if _runs(pid, kind):
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def _is_ready(self) -> bool:
        try:
            ready = _ask(self.port, "GET", "/v2/health/ready", {})[0] == _OK
            return ready and bool(self.status()["converged"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False


def _runs(pid: int, kind: str) -> bool:
    """Whether a process of the server is of a kind, by the module that it runs."""
    arguments = arguments_of(pid)
    place = arguments.index(b"-m") + 1 if b"-m" in arguments[:-1] else 0
    module = arguments[place]
    return module.startswith(b"penstock.") and module.endswith(f".{kind}".encode())


def send_command(port: int, token: str, path: str) -> dict[str, Any]:
    """Send a command to an admin port.

    Raises:
        CommandFailed: It was refused.
    """
    status, answer = _ask(port, "POST", path, {"authorization": f"Bearer {token}"})
    if status != _OK:
        raise CommandFailed(f"POST {path} gave {status}: {answer}")
    return answer


def resident_bytes(pid: int) -> int:
    """Resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    status, answer = _exchange(port, method, urlsplit(path).geturl(), headers, None)
    return status, json.loads(answer or b"{}")


def _exchange(
    port: int, method: str, path: str, headers: dict[str, str], body: str | None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
