"""The command line as a client of the admin port: finds the server and its token, and asks."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

DEFAULT_URL: Final = "http://127.0.0.1:8001"
#: Longer than a command waits for the workers by default.
_TIMEOUT_SECONDS: Final = 90.0


class CommandFailed(Exception):
    """What was asked for did not happen; one line says why."""


@dataclass(frozen=True, slots=True)
class AdminClient:
    """A server's admin port.

    Attributes:
        url: Without a path.
        token: To send; empty sends none.
    """

    url: str
    token: str = ""

    def get(self, path: str) -> Any:
        """Ask for something."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request; gives the decoded answer.

        Raises:
            CommandFailed: The server says no, or cannot be reached.
        """
        try:
            return json.loads(self.fetch(path, method, body) or b"null")
        except ValueError as error:
            raise CommandFailed(f"{self.url} does not answer as it should: {error}") from None

    def fetch(self, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> bytes:
        """Send a request; gives the answer as it is.

        Raises:
            CommandFailed: The server says no, or cannot be reached.
        """
        import http.client  # large, and `serve` needs no client
        import urllib.error
        import urllib.request

        from penstock.server.errors.error_message import error_message

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)  # noqa: S310  the user's own
        if data is not None:
            request.add_header("content-type", "application/json")
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the same
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            said = error_message(error.read())
            reason = said or f"the server answers {error.code} {error.reason}"
            raise CommandFailed(reason) from None
        except urllib.error.URLError as error:
            raise CommandFailed(f"{self.url} cannot be reached: {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandFailed(f"{self.url} does not answer as it should: {error}") from None


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Options of every verb that talks to a server."""
    group = parser.add_argument_group("server")
    group.add_argument("--admin-url", metavar="URL", help="default: the server that runs here")
    group.add_argument("--token", metavar="TOKEN", help="default: the one in its state directory")
    group.add_argument("--state-dir", type=Path, metavar="DIR", help="where to look for the token")


def find_server(namespace: argparse.Namespace) -> AdminClient:
    """The server that is meant, and a token for it.

    The address is that of the option, of the environment, of the only server that runs here, or the
    usual one. A token found on disk is only ever sent to the server that it was made for.

    Raises:
        CommandFailed: Several servers run here.
    """
    environ = os.environ
    url = namespace.admin_url or environ.get("PENSTOCK_ADMIN_URL")
    token = given_token(namespace)
    state_dir = namespace.state_dir or environ.get("PENSTOCK_STATE_DIR")
    running = _running()
    if not url:
        if len(running) > 1:
            listed = ", ".join(sorted(running))
            raise CommandFailed(f"several servers run here; choose one with --admin-url: {listed}")
        url = next(iter(running), DEFAULT_URL)
    url = url.rstrip("/")
    if not token:
        token = _token_in(Path(state_dir) if state_dir else running.get(url))
    return AdminClient(url, token)


def given_token(namespace: argparse.Namespace) -> str:
    """The token of the option or of the environment; empty without one."""
    return namespace.token or os.environ.get("PENSTOCK_TOKEN", "")


def _running() -> dict[str, Path]:
    """Address of the admin port -> state directory, of this user's servers."""
    from penstock.server.processes.run_directory import RunDirectory, running_servers

    directories = running_servers()
    if run_dir := os.environ.get("PENSTOCK_RUN_DIR"):
        directories.append(RunDirectory(Path(run_dir)))
    found = {}
    for directory in directories:
        try:
            address = json.loads(directory.address.read_text())
            found[address["admin_url"]] = Path(address["state_dir"])
        except (OSError, ValueError, KeyError):
            continue  # it is just starting or stopping
    return found


def _token_in(state_dir: Path | None) -> str:
    if state_dir is None:
        return ""
    from penstock.server.processes.state_directory import TOKEN_FILE

    try:
        return (state_dir / TOKEN_FILE).read_text().strip()
    except OSError:
        return ""  # somebody else's; the server says what it wants
