"""``segments`` of ``model.toml``: by which inputs and headers traffic is divided into segments.

segments = ["country", "header:x-plan"]   # an input, "input[3]", a name of monitoring.features,
                                          # or a request header
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.monitoring.segments.header import HEADER
from penstock.server.files.config_error import ConfigError

#: Of one model.
_MOST_FIELDS: Final = 4
_Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, description="the name of an input")
]
#: RFC 9110, section 5.6.2.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
#: Headers with secrets, and headers that differ in each request.
_REFUSED: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-request-id",
    }
)


class _Table(msgspec.Struct):
    segments: Annotated[
        tuple[_Name, ...],
        msgspec.Meta(
            max_length=_MOST_FIELDS, description=f"a list of at most {_MOST_FIELDS} inputs"
        ),
    ]


def parse_segments(names: Any, source: str) -> tuple[str, ...]:
    """Check the decoded list; `source` names the file in errors.

    Returns:
        The names; those of headers in lower case, as headers have no case.

    Raises:
        ConfigError: It is no list of names, a name comes twice, or a header is none that may be
            named.
    """
    given = convert(_Table, {"segments": names}, source, "", error=ConfigError).segments
    found = tuple(_header(one, source) if one.startswith(HEADER) else one for one in given)
    if len(set(found)) < len(found):
        raise ConfigError(f"{source}: segments is {shown(names)}, expected each input once")
    return found


def _header(name: str, source: str) -> str:
    header = name.removeprefix(HEADER).lower()
    if not _HEADER_NAME.fullmatch(header):
        raise ConfigError(
            f"{source}: segments names {shown(name)}, expected {HEADER} and the name of a request "
            f"header, such as {HEADER}x-plan"
        )
    if header in _REFUSED:
        raise ConfigError(
            f"{source}: segments names {shown(name)}, whose values are secret or differ in each "
            f"request; expected a header with few values, such as {HEADER}x-plan"
        )
    return HEADER + header
