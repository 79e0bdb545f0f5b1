"""The extras that a configuration needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.monitoring.distribution import install_command
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.config.config import ServerConfig


def check_extras(config: ServerConfig, environ: Mapping[str, str]) -> None:
    """Whether what a configuration asks for is installed.

    Args:
        config: The configuration.
        environ: The environment.

    Raises:
        ConfigError: An extra is not; the command that installs it follows the first colon.
    """
    from penstock.server.tracing.setup import check_tracing

    wants_grpc = config.grpc_port is not None or config.admin_grpc_port is not None
    if wants_grpc and find_spec("grpc_reflection") is None:
        raise ConfigError(f"ports of gRPC need the extra grpc: {install_command('grpc')}")
    if config.store and find_spec("obstore") is None:
        raise ConfigError(f"an object store needs the extra store: {install_command('store')}")
    check_tracing(config, environ)
