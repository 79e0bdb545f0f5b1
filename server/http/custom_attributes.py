"""The header in which callers of Amazon SageMaker pass text of their own to a container.

SageMaker passes the header on in both directions. The server gives it back as it came, so that a
caller finds its trace id in the answer. Source: the API reference of ``InvokeEndpoint``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CUSTOM_ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"
#: What SageMaker takes: at most 1,024 visible ASCII characters and spaces.
_VALUE: Final = re.compile(rb"[\x20-\x7e]{1,1024}")


def custom_attributes(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The header for the answer; empty if the request has none that may be sent back.

    Args:
        headers: Of the request, names in lower case.
    """
    given = [value for name, value in headers if name == CUSTOM_ATTRIBUTES]
    if len(given) != 1 or not _VALUE.fullmatch(given[0]):
        return []
    return [(CUSTOM_ATTRIBUTES, given[0])]
