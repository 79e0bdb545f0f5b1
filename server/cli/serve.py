"""``penstock serve REGISTRY``: this process becomes the supervisor."""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.monitoring.distribution import foreign_package
from penstock.server.config.config import load_config
from penstock.server.files.config_error import ConfigError

from .exits import Exit
from .serve_options import ServeOptions

if TYPE_CHECKING:
    from types import TracebackType

    from penstock.server.config.config import ServerConfig
    from penstock.server.desired_state.state import DesiredState, ModelState
    from penstock.server.processes.run_directory import RunDirectory
    from penstock.server.processes.state_directory import StateDirectory
    from penstock.server.registry.repository import ModelEntry, RegistrySnapshot

#: Models, and versions of a model, that the banner names.
_MAX_SHOWN = 50
_FULL = "nobody read standard error"


def run_serve(
    options: ServeOptions,
    registry: Annotated[
        str | None, typer.Argument(metavar="REGISTRY", help="The model repository.")
    ] = None,
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of ./penstock.toml.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs; as --log-format json.")
    ] = False,
) -> int:
    """Serve the models of a registry directory: REGISTRY/<model>/<version>/model.onnx.

    Each option is also PENSTOCK_<NAME> in the environment and a key of penstock.toml.
    """
    given = {"registry": registry, **asdict(options)}
    if as_json:
        given["log_format"] = "json"
    return _serve(given, config)


def _serve(given: dict[str, Any], file: Path | None) -> int:
    """Serve until told to stop; returns the exit status."""
    from penstock.server.processes.in_force import InForce
    from penstock.server.processes.run_directory import RunDirectory, RunDirectoryInUse
    from penstock.server.processes.state_directory import StateDirectory, StateDirectoryInUse
    from penstock.server.registry.survey import scan
    from penstock.server.supervisor.listening import CannotListen

    if foreign := foreign_package():
        _tell(foreign, logging.WARNING, given)
    try:
        config = load_config(given, os.environ, file)
        snapshot = scan(config.registry, config.link_roots())
        directory = RunDirectory.create(config.run_dir)
    except ConfigError as error:
        return _fail(error, Exit.USAGE, given)
    except (OSError, RunDirectoryInUse) as error:
        return _fail(error, Exit.FAILED, given)
    try:
        with closing(StateDirectory.open(config.state_dir, config.registry)) as state:
            config = replace(config, state_dir=state.path)
            _write(directory.config, config.to_json())

            inforce = InForce(config, directory.config)

            def reread() -> str:
                return inforce.renew(lambda: load_config(given, os.environ, file))

            return _supervise(config, directory, state, snapshot, reread)
    except (CannotListen, OSError, StateDirectoryInUse) as error:
        return _fail(error, Exit.FAILED, given)
    finally:
        directory.remove()


def banner(
    config: "ServerConfig",
    urls: tuple[str, str],
    snapshot: "RegistrySnapshot",
    state: "DesiredState",
    note: str = "",
) -> str:
    """What a person wants to know first. Nothing is loaded yet, so it does not say what serves.

    Args:
        config: Configuration of the server.
        urls: URLs of the prediction port and of the admin port.
        snapshot: What the registry holds.
        state: What operators want.
        note: Why state is not kept; empty if it is.
    """
    url, admin_url = urls
    lines = [f"Penstock serves {config.registry.resolve()}", ""]
    width = max(map(len, snapshot.models), default=0)
    explicit = config.version_policy == "explicit"
    lines += [
        f"  {one.name:<{width}}  {_intended(one, state.model(one.name), explicit=explicit)}"
        for one in list(snapshot.models.values())[:_MAX_SHOWN]
    ]
    if len(snapshot.models) > _MAX_SHOWN:
        lines.append(f"  and {len(snapshot.models) - _MAX_SHOWN} more")
    if not snapshot.models:
        lines.append("  no models yet: put one at <model>/1/model.onnx")
    lines += [f"  ! {problem.path}: {problem.reason}" for problem in snapshot.problems]
    lines += [
        "",
        f"  predict  {url}/v2/models/<model>/infer",
        f"  docs     {url}/docs",
        f"  console  {admin_url}/",
        f"  metrics  {admin_url}/metrics",
        f"  status   {admin_url}/admin/status   (what is served: penstock status)",
        f"  state    {config.state_dir}" + (f"   TEMPORARY: {note}" if note else ""),
        f"  workers  {config.workers} with {config.execution_threads()} execution threads each",
    ]
    return "\n".join(lines)


def _intended(entry: "ModelEntry", now: "ModelState", *, explicit: bool) -> str:
    """What is going to be loaded, and which version operators have named stable."""
    from penstock.server.target.plan import policy_versions, wanted_versions

    by_policy = policy_versions(entry, entry.versions, explicit=explicit)
    wanted = [one for one in wanted_versions(now, by_policy) if one in entry.versions]
    if not wanted:
        return "no versions yet" if not entry.versions else "loads nothing without a command"
    versions = ", ".join(map(str, wanted[-_MAX_SHOWN:]))
    several = "versions" if len(wanted) > 1 else "version"
    stable = "" if now.stable is None else f"; stable is version {now.stable}"
    return f"loading {several} {versions}{stable}"


def _desired(state: "StateDirectory") -> "DesiredState":
    """What operators want; nothing if it cannot be read, which control says."""
    from penstock.server.desired_state.state import DesiredState
    from penstock.server.desired_state.state_file import StateDamaged, StateFile

    try:
        return StateFile(state.path).read()
    except (OSError, StateDamaged):
        return DesiredState()


def _supervise(
    config: "ServerConfig",
    directory: "RunDirectory",
    state: "StateDirectory",
    snapshot: "RegistrySnapshot",
    reread: Callable[[], str],
) -> int:
    from penstock.server.supervisor.listening import open_listener, url_of
    from penstock.server.supervisor.supervisor import Supervisor

    with (
        open_listener(config.host, config.port, "port") as listener,
        open_listener(config.admin_host, config.admin_port, "admin-port") as admin_listener,
    ):
        scheme = "https" if config.ssl_certfile else "http"
        address = {
            "admin_url": url_of(admin_listener),
            "predict_url": url_of(listener, scheme),
            "state_dir": str(state.path.resolve()),
            "state_note": state.note,
        }
        _write(directory.address, json.dumps(address))
        state.announce(address["admin_url"])
        urls = address["predict_url"], address["admin_url"]
        text = banner(config, urls, snapshot, _desired(state), state.note)
        if config.log_format == "json":
            text = _as_json(text, predict_url=urls[0], admin_url=urls[1])
        print(text, flush=True)
        say = _sayer(config.log_format)
        return Supervisor(config, directory, listener, admin_listener, say, reread).run()


def _as_json(text: str, level: int = logging.INFO, **fields: Any) -> str:
    from penstock.server.processes.logs import json_line

    return json_line("supervisor", level, text, time.time(), **fields)


def _sayer(log_format: str) -> Callable[[str], None]:
    """As `_say`, and never waits; as JSON also of errors that end the supervisor."""
    from penstock.server.processes.nonblocking_output import NonBlockingOutput

    shown = _as_json if log_format == "json" else "penstock: {}".format
    output = NonBlockingOutput(sys.stderr.fileno())

    def say(text: str) -> None:
        output.write_line(
            shown(text), lambda count: shown(f"{count} messages were dropped: {_FULL}")
        )

    if log_format != "json":
        return say

    def hook(
        kind: type[BaseException], error: BaseException, trace: "TracebackType | None"
    ) -> None:
        say("".join(traceback.format_exception(kind, error, trace)))

    sys.excepthook = hook
    return say


def _write(path: Path, text: str) -> None:
    """Write a small file; a full disk is an error that names it.

    Raises:
        OSError: With the path, which an error of writing does not have.
    """
    try:
        path.write_text(text)
    except OSError as error:
        raise OSError(
            f"{path} cannot be written: {error.strerror or error}; make room there, or choose "
            "another place with --run-dir"
        ) from error


def _say(text: str) -> None:
    print(f"penstock: {text}", file=sys.stderr, flush=True)


def _tell(text: str, level: int, given: dict[str, Any]) -> None:
    """Say something before the configuration is known, in the format that was asked for."""
    if (given["log_format"] or os.environ.get("PENSTOCK_LOG_FORMAT")) == "json":
        print(_as_json(text, level), file=sys.stderr, flush=True)
    else:
        _say(text)


def _fail(error: Exception, status: Exit, given: dict[str, Any]) -> int:
    """Say why there is no server."""
    _tell(str(error), logging.ERROR, given)
    return status
