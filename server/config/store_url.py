"""The address of an object store that keeps a registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from penstock.server.files.config_error import ConfigError

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKETS: Final = ("s3", "gs", "az")
_WEB: Final = ("https", "http")
#: Letters that a path of an object keeps as they are in all stores.
_PREFIX: Final = re.compile(r"[A-Za-z0-9._~@=+,/-]*")
_EXPECTED: Final = (
    "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or https://HOST/PATH"
)


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where in which store a registry lies. It holds no secret, so that it may be shown.

    Attributes:
        scheme: ``s3``, ``gs``, ``az``, ``https`` or ``http``.
        bucket: Name of the bucket or container; of a web server its host, with a port if it has
            one.
        prefix: The part of all paths before the registry; empty, or without slashes at its ends.
    """

    scheme: str
    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return "/".join([f"{self.scheme}://{self.bucket}", *filter(None, [self.prefix])])

    @property
    def read_only(self) -> bool:
        """Whether nothing can be published there."""
        return self.scheme in _WEB


def is_url(text: str) -> bool:
    """Whether a text names a registry by a URL, and not by a path."""
    return _URL.match(text) is not None


def parse_store_url(text: str) -> StoreUrl:
    """The store that a URL names.

    Raises:
        ConfigError: It names none, or holds credentials. The message never repeats them.
    """
    shown, parts = _without_secrets(text)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"{shown}: expected a URL without user, password, query and token, because every "
            "list of processes shows it; give credentials in the environment: AWS_ACCESS_KEY_ID, "
            "GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_SAS_KEY"
        )
    prefix = unquote(parts.path).strip("/")
    if parts.scheme not in (*_BUCKETS, *_WEB) or not parts.netloc:
        raise ConfigError(f"{shown}: expected {_EXPECTED}, or the path of a directory")
    if not _PREFIX.fullmatch(prefix) or {"", ".", ".."} & set(prefix.split("/") if prefix else ()):
        raise ConfigError(
            f"{shown}: expected letters, digits and . _ ~ @ = + , - between single slashes"
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{shown}: expected https: over http anybody on the way can exchange models; http is "
            "for this machine only"
        )
    return StoreUrl(parts.scheme, parts.netloc, prefix)


def _without_secrets(text: str) -> tuple[str, SplitResult]:
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise ConfigError(f"the URL of the registry cannot be read; expected {_EXPECTED}") from None
    return f"{parts.scheme}://{host}{parts.path}"[:300], parts


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
