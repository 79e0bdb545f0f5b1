"""The configuration that a server of a registry would have, for verbs without a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .command_failed import CommandFailed
from .exits import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.config.config import ServerConfig


def own_registry() -> str:
    """The registry that the environment or penstock.toml names: a path, or a URL.

    Raises:
        CommandFailed: None is named, or the configuration is wrong.
    """
    from penstock.server.config.config import load_config
    from penstock.server.files.config_error import ConfigError

    try:
        config = load_config({}, os.environ)
    except ConfigError as error:
        raise CommandFailed(f"no registry is given, and {error}", Exit.USAGE) from None
    return config.store or str(config.registry)


def server_config(registry: Path) -> ServerConfig:
    """The configuration of a server of this registry, from the environment and penstock.toml.

    Raises:
        CommandFailed: It is wrong.
    """
    from penstock.server.config.config import load_config
    from penstock.server.files.config_error import ConfigError

    try:
        return load_config({"registry": str(registry)}, os.environ)
    except ConfigError as error:
        raise CommandFailed(error, Exit.USAGE) from None
