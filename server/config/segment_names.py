"""``segments`` of ``model.toml``: by which inputs traffic is divided into segments.

segments = ["country", "plan"]       # an input, "input[3]", or a name of monitoring.features
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.server.files.config_error import ConfigError

#: Of one model.
_MOST_FIELDS: Final = 4
_Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, description="the name of an input")
]


class _Table(msgspec.Struct):
    segments: Annotated[
        tuple[_Name, ...],
        msgspec.Meta(
            max_length=_MOST_FIELDS, description=f"a list of at most {_MOST_FIELDS} inputs"
        ),
    ]


def parse_segments(names: Any, source: str) -> tuple[str, ...]:
    """Check the decoded list; `source` names the file in errors.

    Raises:
        ConfigError: It is no list of names, or a name comes twice.
    """
    found = convert(_Table, {"segments": names}, source, "", error=ConfigError).segments
    if len(set(found)) < len(found):
        raise ConfigError(f"{source}: segments is {shown(names)}, expected each input once")
    return found
