"""``penstock serve``, once its options are read: this process becomes the supervisor.

It begins anew for that, without the libraries that read a command line: they would stay in its
memory for as long as it serves.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.monitoring.distribution import foreign_package
from penstock.runtimes.telemetry import switch_off
from penstock.server.config.config import load_config
from penstock.server.files.config_error import ConfigError

from .banner import banner, desired
from .command_failed import CommandFailed
from .endings import ended
from .exits import Exit
from .needed_extras import check_extras
from .output import note
from .single_model import is_single_model, model_name, temporary_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from penstock.server.config.config import ServerConfig
    from penstock.server.processes.run_directory import RunDirectory
    from penstock.server.processes.state_directory import StateDirectory
    from penstock.server.registry.repository import RegistrySnapshot

_FULL = "nobody read standard error"


class Order(msgspec.Struct):
    """What is to be served.

    Attributes:
        given: Options of the command line; ``None`` where one is not given.
        config: The configuration file that was named.
        name: Of one model; ``None`` for its file name.
        single: Whether it is one model, whatever it looks like.
    """

    given: dict[str, Any]
    config: str | None = None
    name: str | None = None
    single: bool = False


#: What a server of one model does not keep.
_NOT_KEPT = "it ends with this server; publish the model with penstock push to keep it"


def main(arguments: Sequence[str]) -> int:
    """Serve as an order says; returns the exit status.

    Args:
        arguments: One: the order as JSON, see `Order`.
    """
    switch_off()
    (text,) = arguments
    return ended(lambda: supervise(msgspec.json.decode(text, type=Order)))


def supervise(order: Order) -> int:
    """Serve a registry or one model until told to stop; returns the exit status."""
    given = order.given
    config = None if order.config is None else Path(order.config)
    if foreign := foreign_package():
        _tell(foreign, logging.WARNING, given)
    try:
        models = load_config(given, os.environ, config)
        if not (order.single or is_single_model(models.registry)):
            if order.name is not None:
                place = models.store or models.registry
                raise ConfigError(f"--name is for one model file, and {place} is none")
            return _serve(given, config)
        environ = _environ(models, config)
        called = order.name or model_name(models.registry)
        with temporary_registry(models.registry, called, environ) as home:
            return _serve(given, config, home, models.registry)
    except ConfigError as error:
        return _fail(error, Exit.USAGE, given)
    except (CommandFailed, OSError) as error:
        return _fail(error, Exit.FAILED, given)


def _environ(config: ServerConfig, file: Path | None) -> dict[str, str]:
    """Environment of a process that loads a model as the server would."""
    said = {
        "PENSTOCK_ALLOW_CODE": config.allow_code,
        "PENSTOCK_TRUSTED_TYPES": config.trusted_types,
        "PENSTOCK_OPERATOR_LIBRARIES": config.operator_libraries,
    }
    if file is not None:
        said["PENSTOCK_CONFIG"] = str(file)
    return {**os.environ, **{name: value for name, value in said.items() if value}}


def _serve(
    given: dict[str, Any], file: Path | None, home: Path | None = None, source: Path | None = None
) -> int:
    """Serve a registry until told to stop; returns the exit status.

    Args:
        given: Options of the command line.
        file: The configuration file that was named.
        home: A registry that was made of the one model that is served; ``None`` for a user's own.
        source: That model; ``None`` for a registry of a user's own.
    """
    from penstock.server.processes.in_force import InForce
    from penstock.server.processes.run_directory import RunDirectory, RunDirectoryInUse
    from penstock.server.processes.state_directory import StateDirectory, StateDirectoryInUse
    from penstock.server.registry.survey import scan
    from penstock.server.supervisor.listening import CannotListen

    def load() -> ServerConfig:
        read = load_config(given, os.environ, file)
        return read if home is None else replace(read, registry=home)

    try:
        config = load()
        check_extras(config, os.environ)
        if config.store:
            config.registry.mkdir(mode=0o700, parents=True, exist_ok=True)
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
                return inforce.renew(load)

            return _supervise(config, directory, state, snapshot, reread, source)
    except (CannotListen, OSError, StateDirectoryInUse) as error:
        return _fail(error, Exit.FAILED, given)
    finally:
        directory.remove()


def _supervise(
    config: ServerConfig,
    directory: RunDirectory,
    state: StateDirectory,
    snapshot: RegistrySnapshot,
    reread: Callable[[], str],
    source: Path | None,
) -> int:
    from penstock.server.processes.run_directory import process_namespace
    from penstock.server.supervisor.listening import open_listener, reserve_port, url_of
    from penstock.server.supervisor.supervisor import Supervisor

    with ExitStack() as stack:
        listener = stack.enter_context(open_listener(config.host, config.port, "port"))
        admin_listener = stack.enter_context(
            open_listener(config.admin_host, config.admin_port, "admin-port")
        )
        grpc_port, admin_grpc_port = (
            None if port is None else stack.enter_context(reserve_port(host, port, option))
            for host, port, option in (
                (config.host, config.grpc_port, "grpc-port"),
                (config.admin_host, config.admin_grpc_port, "admin-grpc-port"),
            )
        )
        tls = "s" if config.ssl_certfile else ""
        address = {
            "admin_url": url_of(admin_listener),
            "predict_url": url_of(listener, f"http{tls}"),
            "state_dir": str(state.path.resolve()),
            "state_note": state.note,
            "processes": process_namespace(),
        }
        if grpc_port is not None:
            address["grpc_url"] = url_of(grpc_port, f"grpc{tls}")
        if admin_grpc_port is not None:
            address["admin_grpc_url"] = url_of(admin_grpc_port, "grpc")
        _write(directory.address, json.dumps(address))
        state.announce(address["admin_url"])
        urls = address["predict_url"], address["admin_url"]
        kept = source is None or not state.path.is_relative_to(config.registry)
        remark = state.note or ("" if kept else _NOT_KEPT)
        grpc_urls = [address[one] for one in ("grpc_url", "admin_grpc_url") if one in address]
        text = banner(config, urls, snapshot, desired(state), remark, source, grpc_urls)
        if config.log_format == "json":
            text = _as_json(text, predict_url=urls[0], admin_url=urls[1])
        print(text, flush=True)
        say, ports = _sayer(config.log_format), (grpc_port, admin_grpc_port)
        return Supervisor(
            config, directory, listener, admin_listener, say, reread, grpc_ports=ports
        ).run()


def _as_json(text: str, level: int = logging.INFO, **fields: Any) -> str:
    from penstock.server.processes.logs import json_line

    return json_line("supervisor", level, text, time.time(), **fields)


def _sayer(log_format: str) -> Callable[[str], None]:
    """As `note`, and never waits; as JSON also of errors that end the supervisor."""
    from penstock.server.processes.nonblocking_output import NonBlockingOutput

    shown = _as_json if log_format == "json" else "penstock: {}".format
    output = NonBlockingOutput(sys.stderr.fileno())

    def say(text: str) -> None:
        output.write_line(
            shown(text), lambda count: shown(f"{count} messages were dropped: {_FULL}")
        )

    if log_format != "json":
        return say

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
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


def _tell(text: str, level: int, given: dict[str, Any], **fields: Any) -> None:
    """Say something before the configuration is known, in the format that was asked for."""
    if (given["log_format"] or os.environ.get("PENSTOCK_LOG_FORMAT")) == "json":
        print(_as_json(text, level, **fields), file=sys.stderr, flush=True)
    else:
        note(text)


def _fail(error: Exception, status: Exit, given: dict[str, Any]) -> int:
    """Say why there is no server."""
    failure = error if isinstance(error, CommandFailed) else CommandFailed(str(error), status)
    _tell(str(error), logging.ERROR, given, error=failure.told())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
