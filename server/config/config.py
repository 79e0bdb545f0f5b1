"""The configuration of a server: one dataclass, read in one place.

Sources, later ones win: defaults, ``penstock.toml``, environment (``PENSTOCK_*``), command line.
`OPTIONS` is made from the fields; the command line and ``docs/configuration.md`` follow from it.
"""

# ruff: noqa: RUF009  option() is dataclasses.field() with the metadata of an option
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from penstock.monitoring.files.config_file import ConfigFileError, read_toml
from penstock.monitoring.files.decoding import convert
from penstock.server.files.config_error import ConfigError
from penstock.server.files.size import NonZeroSize, Size  # msgspec reads the annotations

from .batch_options import BatchOptions
from .cpus import available_cpus
from .environment import MOUNTED_MODEL, mounted_model, read_environment
from .hosts import AllowedHosts
from .option import option, options_of
from .prefix import is_prefix
from .protocol_options import ProtocolOptions
from .size_limits import LOAD_TIMEOUT_SECONDS, Timeout, check_workers
from .store_options import StoreOptions, located, name_of, state_home
from .table_options import TableOptions
from .tracing_options import TracingOptions
from .trust_options import TrustOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_FromOne = Annotated[int, msgspec.Meta(ge=1)]
_FromZero = Annotated[float, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.1)]

CONFIG_FILE: Final = "penstock.toml"


class _HeaderSize(Size, least=1024, most=_MIB):
    """The size of all headers of a request."""


@dataclass(frozen=True)
class ServerConfig(
    BatchOptions, StoreOptions, TracingOptions, TrustOptions, ProtocolOptions, TableOptions
):
    """Everything an operator may set. Times are seconds, sizes bytes."""

    registry: Path = option(Path(), "The model repository: REGISTRY/<model>/<version>/model.onnx.")

    host: str = option("127.0.0.1", "Address of the prediction port; 0.0.0.0 for all interfaces.")
    port: _Port = option(8000, "Prediction port; 0 takes a free one.")
    grpc_port: _Port | None = option(
        None, "Port of gRPC, on the host of the prediction port; 0 takes a free one."
    )
    admin_grpc_port: _Port | None = option(
        None, "Port of gRPC for loading models, on the host of the admin port; 0 takes a free one."
    )
    admin_host: str = option("127.0.0.1", "Address of the admin port.")
    admin_port: _Port = option(8001, "Admin port; 0 takes a free one.")
    allowed_hosts: str = option(
        "",
        "Names allowed in the Host header beside localhost, addresses and names without a dot, "
        "separated by commas; * for all, the default except on loopback.",
    )
    root_path: str = option("", "Prefix of all paths that a proxy adds, such as /ml.")
    ssl_certfile: Path | None = option(None, "Certificate chain (PEM); turns TLS on.")
    ssl_keyfile: Path | None = option(None, "Private key (PEM), if not in the certificate file.")

    workers: Annotated[int, msgspec.Meta(ge=1, le=1024)] = option(
        1, "Worker processes; each serves every model."
    )
    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = option(
        0,
        "Execution threads per worker; 0 divides the CPUs among the workers.",
    )
    force_workers: bool = option(default=False, text="Allow more than four workers for each CPU.")
    load_timeout_seconds: Timeout = option(
        LOAD_TIMEOUT_SECONDS,
        "How long loading a version may take.",
    )
    run_timeout_seconds: Timeout | None = option(
        None,
        "How long a run may take before its worker is restarted; by default from measurement.",
    )
    load_trials: bool = option(default=True, text="Load each new version first in a trial process.")
    drain_seconds: _FromZero = option(30.0, "How long a stopping server finishes accepted work.")
    run_dir: Path | None = option(
        None, "Sockets and counters of the running server; a temporary directory by default."
    )

    allowed_roots: str = option(
        "", "Other directories where links of the registry may end, separated by colons."
    )
    state_dir: Path | None = option(
        None, "Aliases, audit log, admin token, copies of versions; REGISTRY/.penstock by default."
    )
    copies_max_bytes: NonZeroSize = option(
        64 * _GIB, "Private copies of versions in the state directory, together."
    )
    max_memory_bytes: Size = option(
        0,
        "Loaded versions of all workers, estimated before each load; 0 does not limit it.",
    )
    version_policy: Literal["all", "explicit"] = option(
        "all",
        "What to serve if model.toml does not say; explicit is only on command.",
    )
    on_push: Literal["serve", "wait", "canary"] = option(
        "serve",
        "Whether a new version takes traffic by itself if model.toml does not say.",
    )
    scan_seconds: _Seconds = option(
        30.0, "Between scans of the whole registry; file events come at once."
    )
    settle_seconds: _FromZero = option(
        2.0, "How long a version without a manifest must stay unchanged."
    )
    tokens_file: Path | None = option(
        None, "Tokens beside the one in the state directory: admin port, and require_predict_token."
    )
    require_predict_token: bool = option(
        default=False, text="Ask for a token of scope predict on the prediction port, too."
    )
    alerts_file: Path | None = option(None, "Who is told of alerts; by default only the log.")
    slo_objective: Annotated[float, msgspec.Meta(ge=0, le=0.999999)] = option(
        0.999,
        "Wanted share of a model's requests without a 5xx; 0 watches none.",
    )
    admin_timeout_seconds: _Seconds = option(60.0, "How long an admin call waits for all workers.")
    log_format: Literal["text", "json"] = option("text", "Format of the log.")
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "Least severe messages logged."
    )
    access_log: bool = option(default=False, text="Log a line for each request.")

    request_caching: bool = option(
        default=True,
        text="Remember heads and bodies of requests; read and run similar ones together.",
    )
    max_body_bytes: NonZeroSize = option(64 * _MIB, "A request body as sent.")
    max_decompressed_bytes: NonZeroSize = option(256 * _MIB, "A request body after decompression.")
    large_body_bytes: Size = option(64 * 1024, "Larger bodies are decoded off the event loop.")
    large_answer_bytes: Size = option(
        256 * 1024, "Larger outputs of a run are encoded off the event loop."
    )
    max_header_bytes: _HeaderSize = option(32 * 1024, "All headers of a request together.")
    max_header_count: Annotated[int, msgspec.Meta(ge=8, le=10_000)] = option(
        100, "Headers in a request."
    )
    header_timeout_seconds: _Seconds = option(
        10.0, "From the first byte of a request to the end of its headers."
    )
    body_timeout_seconds: _Seconds = option(30.0, "Between two pieces of a body or answer.")
    keep_alive_seconds: _Seconds = option(75.0, "An idle connection is closed after this.")

    sample_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = option(
        1.0, "Share of requests whose inputs and outputs are sampled."
    )
    sample_max_rows: _FromOne = option(65_536, "Sampled rows waiting in a worker.")
    sample_max_bytes: NonZeroSize = option(
        64 * _MIB, "Samples of a worker that wait for the monitor, in run_dir."
    )
    monitor_priority: Literal["idle", "low"] = option(
        "idle",
        "Of the monitor: idle takes time that nobody else wants, low a little of the rest.",
    )
    log_max_bytes: Size = option(
        4 * _GIB, "The prediction log, all days together, at least 64 MiB; 0 keeps none."
    )
    log_max_days: _FromOne = option(30, "Days of the prediction log that are kept, today included.")
    feedback_max_rows: Annotated[int, msgspec.Meta(ge=1000)] = option(
        5_000_000,
        "Predictions that wait for labels, and labels, that are kept.",
    )
    feedback_max_days: Annotated[float, msgspec.Meta(ge=0.01)] = option(
        90.0, "How long a prediction waits for its label, and a label is kept."
    )

    def execution_threads(self) -> int:
        """Execution threads of one worker: as set, else its share of the CPUs, at least 1."""
        return self.threads or max(1, available_cpus() // self.workers)

    def link_roots(self) -> tuple[Path, ...]:
        """`allowed_roots` as paths."""
        return tuple(Path(one) for one in self.allowed_roots.split(":") if one)

    def to_json(self) -> str:
        """For the processes that the supervisor starts."""
        return json.dumps(asdict(self) | self.tables(), default=str)

    @classmethod
    def from_json(cls, text: str) -> ServerConfig:
        """The reverse of `to_json`."""
        return _build([("handed down", _given(json.loads(text)))])


#: Every option, in the order of the fields.
OPTIONS: Final = options_of(ServerConfig)


def load_config(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
    *,
    mounted: Path = MOUNTED_MODEL,
) -> ServerConfig:
    """Read all sources.

    Args:
        arguments: Options of the command line by name; ``None`` where not given.
        environ: The environment.
        file: ``--config``; without it ``$PENSTOCK_CONFIG``, else ``penstock.toml`` if there is one.
        mounted: Path that is served if no source names a registry.

    Raises:
        ConfigError: An unknown key or a bad value, with its source and what was expected.
    """
    named = file or (Path(environ["PENSTOCK_CONFIG"]) if "PENSTOCK_CONFIG" in environ else None)
    sources = [
        _from_file(named or Path(CONFIG_FILE), required=named is not None),
        ("environment", _plain(read_environment(environ, OPTIONS))),
        ("command line", _plain(_given(arguments))),
    ]
    sources = [(source, located(values, source)) for source, values in sources]
    if not any("registry" in values or values.get("store") for _, values in sources):
        sources.insert(0, (str(mounted), mounted_model(mounted)))
    config = _placed(_build(sources), environ)
    config.check_libraries(config.registry)
    check_workers(config.workers, available_cpus(), force=config.force_workers)
    return config


def _placed(config: ServerConfig, environ: Mapping[str, str]) -> ServerConfig:
    """With a registry in a store: where its directory on this machine is."""
    if not config.store:
        return config
    state = config.state_dir or state_home(config.store, environ)
    return replace(config, state_dir=state, registry=state / "stores" / name_of(config.store))


def _build(sources: list[tuple[str, dict[str, Any]]]) -> ServerConfig:
    values: dict[str, Any] = {}
    for source, content in sources:
        said = convert(
            ServerConfig, content, source, closed=True, noun="a table", error=ConfigError
        )
        try:
            said.origins()
            said.routes()
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error
        values |= {name: getattr(said, name) for name in content}
    config = ServerConfig(**values)
    config.check_tables(config.store)
    if config.ssl_keyfile is not None and config.ssl_certfile is None:
        raise ConfigError("ssl_keyfile is set without ssl_certfile, expected both or the latter")
    if not is_prefix(config.root_path):
        raise ConfigError(f"root_path is {config.root_path!r}, expected a path such as /ml")
    AllowedHosts(config.allowed_hosts, config.host)
    return config


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plain(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as a TOML file would have their values."""
    return {**texts, **{x.name: x.plain(texts[x.name]) for x in OPTIONS if x.name in texts}}


def _from_file(path: Path, *, required: bool) -> tuple[str, dict[str, Any]]:
    if not required and not path.exists():
        return str(path), {}
    try:
        return str(path), read_toml(path)
    except ConfigFileError as error:
        raise ConfigError(f"{path}: {error}") from error
