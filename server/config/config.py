"""The configuration of a server: one dataclass, read in one place.

Sources, later ones win: defaults, ``penstock.toml``, environment (``PENSTOCK_*``), command line.
`OPTIONS` is made from the fields; the command line and ``docs/configuration.md`` follow from it.
"""

# ruff: noqa: RUF009  option() is dataclasses.field() with the metadata of an option
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.config_file import ConfigFileError, read_toml
from penstock.monitoring.files.wording import did_you_mean
from penstock.server.files.option_decoder import ConfigError, option, options_of

from .cpus import available_cpus
from .environment import read_environment
from .hosts import AllowedHosts
from .prefix import is_prefix
from .size_limits import LOAD_TIMEOUT_SECONDS, TIMEOUT, check_workers

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_PORTS: Final = 65535

CONFIG_FILE: Final = "penstock.toml"


@dataclass(frozen=True)
class ServerConfig:
    """Everything an operator may set. Times are seconds, sizes bytes."""

    registry: Path = option(Path(), "The model repository: REGISTRY/<model>/<version>/model.onnx.")

    host: str = option("127.0.0.1", "Address of the prediction port; 0.0.0.0 for all interfaces.")
    port: int = option(8000, "Prediction port; 0 takes a free one.", minimum=0, maximum=_PORTS)
    admin_host: str = option("127.0.0.1", "Address of the admin port.")
    admin_port: int = option(8001, "Admin port; 0 takes a free one.", minimum=0, maximum=_PORTS)
    allowed_hosts: str = option(
        "",
        "Names that the Host header may have beside localhost, addresses and names without a dot, "
        "separated by commas; * for all, which is the default of a port that is not on loopback.",
    )
    root_path: str = option(
        "", "Prefix of all paths as clients see them, such as /ml, behind a proxy that adds it."
    )
    ssl_certfile: Path | None = option(None, "Certificate chain (PEM); turns TLS on.")
    ssl_keyfile: Path | None = option(None, "Private key (PEM), if not in the certificate file.")

    workers: int = option(1, "Worker processes; each serves every model.", minimum=1, maximum=1024)
    threads: int = option(
        0,
        "Execution threads per worker; 0 divides the available CPUs among the workers.",
        minimum=0,
        maximum=1024,
    )
    force_workers: bool = option(
        default=False, text="Start more than four workers for each available CPU if asked to."
    )
    load_timeout_seconds: float = option(
        LOAD_TIMEOUT_SECONDS,
        "How long loading a version may take, then it is given up.",
        **TIMEOUT,
    )
    run_timeout_seconds: float | None = option(
        None,
        "How long a run may take, then its worker is started again; by default by measurement.",
        **TIMEOUT,
    )
    allow_code: str = option(
        "",
        "Models that may run code of their own (model.py, TorchScript, ...): names separated by "
        "commas.",
    )
    trusted_types: str = option(
        "",
        "Types that model.skops files may hold beside those that skops trusts, such as "
        "my_package.MyTransformer, separated by commas.",
    )
    load_trials: bool = option(
        default=True, text="Load each new version first in a process that may crash or hang."
    )
    drain_seconds: float = option(
        30.0, "How long a stopping server may finish what it has accepted.", minimum=0
    )
    run_dir: Path | None = option(
        None, "Sockets and counters of the running server; a temporary directory by default."
    )

    allowed_roots: str = option(
        "", "Directories beside the registry in which its links may end, separated by colons."
    )
    state_dir: Path | None = option(
        None, "Aliases, audit log, admin token, copies of versions; REGISTRY/.penstock by default."
    )
    copies_max_bytes: int = option(
        64 * _GIB, "Private copies of versions in the state directory, together.", minimum=1
    )
    max_memory_bytes: int = option(
        0,
        "Loaded versions of all workers, estimated before each load; 0 does not limit it.",
        minimum=0,
    )
    version_policy: str = option(
        "all",
        "What to serve of models whose model.toml does not say; explicit is only on command.",
        choices=("all", "explicit"),
    )
    on_push: str = option(
        "serve",
        "Whether a new version takes traffic by itself where model.toml does not say.",
        choices=("serve", "wait"),
    )
    scan_seconds: float = option(
        30.0, "Between two looks at the whole registry; file events come at once.", minimum=0.1
    )
    settle_seconds: float = option(
        2.0, "How long a version without a manifest must keep still to be taken.", minimum=0
    )
    tokens_file: Path | None = option(
        None, "Tokens beside the one in the state directory: admin port, and require_predict_token."
    )
    require_predict_token: bool = option(
        default=False, text="Ask for a token of scope predict on the prediction port, too."
    )
    alerts_file: Path | None = option(
        None, "Who is told of alerts; without it they are in the log only."
    )
    slo_objective: float = option(
        0.999,
        "Share of a model's requests to be answered without a 5xx; 0 watches none.",
        minimum=0,
        maximum=0.999999,
    )
    admin_timeout_seconds: float = option(
        60.0, "How long an admin call waits for all workers.", minimum=0.1
    )

    log_format: str = option("text", "Format of the log.", choices=("text", "json"))
    log_level: str = option(
        "info", "Least severe messages logged.", choices=("debug", "info", "warning", "error")
    )
    access_log: bool = option(default=False, text="Log a line for each request.")

    request_caching: bool = option(
        default=True,
        text="Remember heads and bodies of requests, and read and run like requests together.",
    )
    max_body_bytes: int = option(64 * _MIB, "A request body as sent.", minimum=1)
    max_decompressed_bytes: int = option(
        256 * _MIB, "A request body after decompression.", minimum=1
    )
    large_body_bytes: int = option(
        64 * 1024, "Larger bodies are decoded off the event loop.", minimum=0
    )
    large_answer_bytes: int = option(
        256 * 1024, "Larger outputs of a run are encoded off the event loop.", minimum=0
    )
    max_header_bytes: int = option(
        32 * 1024, "All headers of a request together.", minimum=1024, maximum=_MIB
    )
    max_header_count: int = option(100, "Headers in a request.", minimum=8, maximum=10_000)
    header_timeout_seconds: float = option(
        10.0, "From the first byte of a request to the end of its headers.", minimum=0.1
    )
    body_timeout_seconds: float = option(
        30.0, "Between two pieces of a body, or of an answer being taken.", minimum=0.1
    )
    keep_alive_seconds: float = option(
        75.0, "An idle connection is closed after this.", minimum=0.1
    )

    sample_rate: float = option(
        1.0, "Share of requests whose inputs and outputs are sampled.", minimum=0, maximum=1
    )
    sample_max_rows: int = option(65_536, "Sampled rows waiting in a worker.", minimum=1)
    sample_max_bytes: int = option(
        64 * _MIB, "Samples of a worker that wait for the monitor, in run_dir.", minimum=1
    )
    monitor_priority: str = option(
        "idle",
        "Of the monitor: idle takes time that nobody else wants, low a little of the rest.",
        choices=("idle", "low"),
    )
    log_max_bytes: int = option(
        4 * _GIB,
        "The prediction log, all days together, at least 64 MiB; 0 keeps none.",
        minimum=0,
    )
    log_max_days: int = option(
        30, "Days of the prediction log that are kept, today included.", minimum=1
    )
    feedback_max_rows: int = option(
        5_000_000,
        "Predictions that wait for their labels, and labels, that are kept.",
        minimum=1000,
    )
    feedback_max_days: float = option(
        90.0, "How long a prediction waits for its label, and a label is kept.", minimum=0.01
    )

    def execution_threads(self) -> int:
        """Execution threads of one worker: as set, else its share of the CPUs, at least 1."""
        return self.threads or max(1, available_cpus() // self.workers)

    def may_run_code(self, model: str) -> bool:
        """Whether the operator allows this model to run code of its own."""
        return model in names_of(self.allow_code)

    def link_roots(self) -> tuple[Path, ...]:
        """`allowed_roots` as paths."""
        return tuple(Path(one) for one in self.allowed_roots.split(":") if one)

    def to_json(self) -> str:
        """For the processes that the supervisor starts."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ServerConfig:
        """The reverse of `to_json`."""
        return _build([("handed down", _present(json.loads(text)))])


def names_of(text: str) -> tuple[str, ...]:
    """The names in a text that has a comma between two of them."""
    return tuple(name for one in text.split(",") if (name := one.strip()))


#: Every option, in the order of the fields.
OPTIONS: Final = options_of(ServerConfig)

_BY_NAME: Final = {one.name: one for one in OPTIONS}


def load_config(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
) -> ServerConfig:
    """Read all sources.

    Args:
        arguments: Options of the command line by name; ``None`` where not given.
        environ: The environment.
        file: ``--config``; without it ``$PENSTOCK_CONFIG``, else ``penstock.toml`` if there is one.

    Raises:
        ConfigError: An unknown key or a bad value, with its source and what was expected.
    """
    named = file or (Path(environ["PENSTOCK_CONFIG"]) if "PENSTOCK_CONFIG" in environ else None)
    sources = [
        _from_file(named or Path(CONFIG_FILE), required=named is not None),
        ("environment", read_environment(environ, OPTIONS)),
        ("command line", _present(arguments)),
    ]
    if not any("registry" in values for _, values in sources):
        raise ConfigError("no registry was given, expected: penstock serve REGISTRY")
    config = _build(sources)
    check_workers(config.workers, available_cpus(), force=config.force_workers)
    return config


def _build(sources: list[tuple[str, dict[str, Any]]]) -> ServerConfig:
    values: dict[str, Any] = {}
    for source, content in sources:
        for name, value in content.items():
            if name not in _BY_NAME:
                hint = did_you_mean(name, list(_BY_NAME))
                raise ConfigError(f"{source}: unknown option {name}{hint}")
            values[name] = _BY_NAME[name].parse(value, source)
    config = ServerConfig(**values)
    if config.ssl_keyfile is not None and config.ssl_certfile is None:
        raise ConfigError("ssl_keyfile is set without ssl_certfile, expected both or the latter")
    if not is_prefix(config.root_path):
        raise ConfigError(f"root_path is {config.root_path!r}, expected a path such as /ml")
    AllowedHosts(config.allowed_hosts, config.host)
    return config


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _from_file(path: Path, *, required: bool) -> tuple[str, dict[str, Any]]:
    if not required and not path.exists():
        return str(path), {}
    try:
        return str(path), read_toml(path)
    except ConfigFileError as error:
        raise ConfigError(f"{path}: {error}") from error
