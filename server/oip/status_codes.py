"""The codes of gRPC for the statuses of HTTP, as numbers, which need no library.

The codes are those of Triton (NVIDIA, "Protocols and APIs") where it has such an error, else what
https://grpc.io/docs/guides/status-codes/ says.
"""

from __future__ import annotations

from typing import Final

_INTERNAL: Final = 13
_CODES: Final = {
    200: 0,  # OK
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    408: 4,  # DEADLINE_EXCEEDED
    409: 10,  # ABORTED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 3,
    422: 3,
    431: 8,
    499: 1,  # CANCELLED
    501: 12,  # UNIMPLEMENTED
    503: 14,  # UNAVAILABLE
    504: 4,
}


def grpc_code_of(status: int) -> int:
    """The code of gRPC for an HTTP status; ``INTERNAL`` for one that is not known."""
    return _CODES.get(status, _INTERNAL)
