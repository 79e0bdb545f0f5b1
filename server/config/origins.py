"""The origins whose web pages may call the prediction port.

Source: https://fetch.spec.whatwg.org/#origin-header
"""

from __future__ import annotations

import re
from typing import Final

from penstock.server.files.config_error import ConfigError

from .hosts import ANY

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")


def read_origins(text: str) -> tuple[str, ...]:
    """The origins of the option ``cors_origins``.

    Args:
        text: Origins with a comma between two of them, or ``*``.

    Raises:
        ConfigError: One of them is no origin.
    """
    origins = tuple(one for part in text.split(",") if (one := part.strip().lower()))
    for origin in origins:
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"cors_origins has {origin!r}, expected origins such as https://app.example.com: "
                "scheme, host and perhaps a port, without a path; or * for all"
            )
    return origins
