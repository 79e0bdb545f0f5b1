"""The command line as a client of the admin port: finds the server and its token, and asks."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from .command_failed import CommandFailed
from .run_directories import run_directories

if TYPE_CHECKING:
    from urllib.error import HTTPError

DEFAULT_URL: Final = "http://127.0.0.1:8001"
_PREDICTION_URL: Final = "http://127.0.0.1:8000"
#: Longer than a command waits for the workers by default.
_TIMEOUT_SECONDS: Final = 90.0
_PANEL: Final = "Server"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of every verb that talks to a server."""

    admin_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Default: the server that runs here.", rich_help_panel=_PANEL
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", help="Default: the one in its state directory.", rich_help_panel=_PANEL
        ),
    ] = None
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to look for the token.", rich_help_panel=_PANEL),
    ] = None


@dataclass(frozen=True, slots=True)
class AdminClient:
    """A server's admin port.

    Attributes:
        url: Without a path.
        token: To send; empty sends none.
        timeout_seconds: Seconds to wait for an answer.
    """

    url: str
    token: str = ""
    timeout_seconds: float = _TIMEOUT_SECONDS

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
            said = f"{self.url} does not answer as it should: {error}"
            raise CommandFailed(said, code="unexpected_answer") from None

    def fetch(self, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> bytes:
        """Send a request; gives the answer as it is.

        Raises:
            CommandFailed: The server says no, or cannot be reached.
        """
        content: bytes = self._taken(path, method, body, lambda answer: answer.read())
        return content

    def save(self, path: str, output: Path) -> int:
        """Write an answer of any size to a file, which appears when it is whole.

        Returns:
            Its size in bytes.

        Raises:
            CommandFailed: The server says no, or cannot be reached, or the file cannot be written.
        """
        import shutil

        from penstock.monitoring.files.atomic_file import drafted

        def take(answer: Any) -> int:
            with drafted(output, synced=False) as draft:
                try:
                    with draft.open("wb") as file:
                        shutil.copyfileobj(answer, file, 1 << 20)
                except OSError as error:
                    raise CommandFailed(f"{output}: {error.strerror or error}") from None
                size, expected = draft.stat().st_size, answer.headers.get("content-length")
                if str(size) != expected:
                    raise ValueError(f"{size} bytes of {expected} came")
                return size

        size: int = self._taken(path, "GET", None, take)
        return size

    def _taken(
        self,
        path: str,
        method: str,
        body: Mapping[str, Any] | None,
        take: Callable[[Any], Any],
    ) -> Any:
        """Send a request, and take its answer."""
        import http.client  # large, and `serve` needs no client
        import urllib.error
        import urllib.request

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)  # noqa: S310  the user's own
        if data is not None:
            request.add_header("content-type", "application/json")
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:  # noqa: S310  the same
                return take(answer)
        except urllib.error.HTTPError as error:
            raise refusal_of(error) from None
        except urllib.error.URLError as error:
            said = (
                f"{self.url} cannot be reached: {error.reason}; start a server with penstock "
                "serve, or name another one with --admin-url"
            )
            raise CommandFailed(said, code="unreachable") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = f"{self.url} does not answer as it should: {error}"
            raise CommandFailed(said, code="unexpected_answer") from None


def refusal_of(error: "HTTPError") -> CommandFailed:
    """The failure of a command that a server refuses, with the code of the server's error."""
    from penstock.server.errors.error_message import error_message

    said = error_message(error.read())
    if not said:
        said = f"the server answers {error.code} {error.reason}"
        return CommandFailed(said, code="unexpected_answer")
    return CommandFailed(said, code=error.headers.get("x-error-code", ""))


def model_path(model: str, rest: str = "") -> str:
    """The path of a model on the admin port, and what follows it."""
    return f"/admin/models/{quote(model, safe='')}{rest}"


def find_server(options: ServerOptions) -> AdminClient:
    """The server that is meant, and a token for it.

    The address is that of the option, of the environment, of the only server that runs here, or the
    usual one. A token found on disk is only ever sent to the server that it was made for.

    Raises:
        CommandFailed: Several servers run here.
    """
    environ = os.environ
    url = options.admin_url or environ.get("PENSTOCK_ADMIN_URL")
    token = token_of(options.token)
    state_dir = options.state_dir or environ.get("PENSTOCK_STATE_DIR")
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


def find_prediction_port(url: str | None, token: str | None) -> tuple[str, str]:
    """URL and token of the prediction port that is meant: the one named, or that which runs here.

    Args:
        url: Value of the option.
        token: Value of the option.

    Raises:
        CommandFailed: Several servers run here.
    """
    given = token_of(token)
    if url:
        return url, given
    running = _running("predict_url")
    if len(running) > 1:
        listed = ", ".join(sorted(running))
        raise CommandFailed(f"several servers run here; choose one with --url: {listed}")
    found = next(iter(running), _PREDICTION_URL)
    return found, given or _token_in(running.get(found))


def token_of(given: str | None) -> str:
    """The token of the option or of the environment; empty without one."""
    return given or os.environ.get("PENSTOCK_TOKEN", "")


def _running(port: str = "admin_url") -> dict[str, Path]:
    """Address of a port -> state directory, of this user's servers."""
    found = {}
    for directory in run_directories():
        try:
            address = json.loads(directory.address.read_text())
            found[address[port]] = Path(address["state_dir"])
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
