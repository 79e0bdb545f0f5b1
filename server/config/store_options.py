"""Options of a registry in an object store."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from penstock.server.files.config_error import ConfigError

from .option import option
from .store_url import is_url, parse_store_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class StoreOptions:
    """The part of `penstock.server.config.config.ServerConfig` about object stores."""

    store: str = option(
        "",
        "Object store of the registry: s3://, gs://, az:// or https://.",
    )
    store_poll_seconds: Annotated[float, msgspec.Meta(ge=0.1)] = option(
        5.0, "Between two polls of the object store."
    )


def located(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values of a source, where a registry that is a URL is the option ``store``.

    ``file://`` names a directory. A path takes the place of a store that an earlier source names.

    Raises:
        ConfigError: Both options are given, or the URL names no store.
    """
    values = dict(values)
    registry, store = values.get("registry"), values.get("store")
    if registry is not None and store:
        raise ConfigError(f"{source}: expected registry or store, not both")
    try:
        if isinstance(registry, str) and registry.startswith("file://"):
            values["registry"] = _local(registry)
        elif isinstance(registry, str) and is_url(registry):
            del values["registry"]
            store = values["store"] = registry
        if isinstance(store, str) and store:
            values["store"] = str(parse_store_url(store))
        elif registry is not None:
            values["store"] = ""
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return values


def _local(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
        raise ConfigError("expected file:///PATH for a directory of this machine")
    return unquote(parts.path)


def state_home(store: str, environ: Mapping[str, str]) -> Path:
    """The default state directory of a server whose registry is in a store.

    Raises:
        ConfigError: The user has no home directory.
    """
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            raise ConfigError(
                f"there is no home directory for the state of {store}: give state_dir"
            )
        base = f"{home}/.local/state"
    return Path(base, "penstock", name_of(store))


def name_of(store: str) -> str:
    """A name for a directory of this store: readable, and that of no other."""
    words = _FOREIGN.sub("-", store.partition("://")[2]).strip("-")[:60]
    return f"{words}-{hashlib.sha256(store.encode()).hexdigest()[:8]}"
