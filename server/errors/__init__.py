"""Every error a client can see, as one tree.

    ApiError                      status  code
    ├─ InvalidRequest             400     invalid_request
    ├─ Unauthorized               401     unauthorized
    ├─ Forbidden                  403     forbidden
    ├─ NotFound                   404     not_found
    ├─ MethodNotAllowed           405     method_not_allowed
    ├─ RequestTimeout             408     request_timeout
    ├─ Conflict                   409     conflict
    ├─ BodyTooLarge               413     body_too_large
    ├─ UnsupportedMediaType       415     unsupported_media_type
    ├─ MisdirectedRequest         421     misdirected_request
    ├─ QualityRejected            422     quality_rejected
    ├─ HeadersTooLarge            431     headers_too_large
    ├─ ClientGone                 499     client_gone         (counted, never sent)
    ├─ InferenceFailed            500     inference_failed
    ├─ InternalError              500     internal_error
    ├─ NotSupported               501     not_supported
    ├─ Unavailable                503     unavailable         (may carry Retry-After)
    └─ DeadlineExceeded           504     deadline_exceeded

The body is always ``{"error": "..."}`` (Open Inference Protocol v2); the code travels in the header
``x-error-code``. 4xx is the caller's fault, 5xx is ours.
"""

from __future__ import annotations

from copy import copy
from typing import ClassVar


class ApiError(Exception):
    """An error with an HTTP status and a stable code; the message says what was expected."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    #: Why the request was dropped from the queue, for the metrics; None if it was not.
    reason: str | None = None

    def __init__(self, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers

    def prefixed(self, text: str) -> ApiError:
        """The same error with a longer message."""
        error = copy(self)
        error.message = f"{text}: {self.message}"
        error.args = (error.message,)
        return error


class InvalidRequest(ApiError):
    """The request does not say what it must."""

    status = 400
    code = "invalid_request"


class Unauthorized(ApiError):
    """No valid token."""

    status = 401
    code = "unauthorized"


class Forbidden(ApiError):
    """The token does not cover this."""

    status = 403
    code = "forbidden"


class NotFound(ApiError):
    """No such route, model or version."""

    status = 404
    code = "not_found"


class MethodNotAllowed(ApiError):
    """The route exists, with other methods."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message, headers=((b"allow", allow.encode()),))


class RequestTimeout(ApiError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"


class Conflict(ApiError):
    """Somebody else changed it first."""

    status = 409
    code = "conflict"


class BodyTooLarge(ApiError):
    """The body is over the limit, before or after decompression."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(ApiError):
    """A content type or encoding that is not spoken here."""

    status = 415
    code = "unsupported_media_type"


class MisdirectedRequest(ApiError):
    """The request names a host that is not served here."""

    status = 421
    code = "misdirected_request"


class QualityRejected(ApiError):
    """The inputs can be read, but are not what the model's owner declared."""

    status = 422
    code = "quality_rejected"


class HeadersTooLarge(ApiError):
    """Too many or too long headers."""

    status = 431
    code = "headers_too_large"


class ClientGone(ApiError):
    """The client closed the connection before its answer; counted, never sent."""

    status = 499
    code = "client_gone"
    reason = "cancelled"

    def __init__(self) -> None:
        super().__init__("the client closed the connection")


class InferenceFailed(ApiError):
    """The model raised while running these inputs."""

    status = 500
    code = "inference_failed"


class InternalError(ApiError):
    """A bug of ours."""


class NotSupported(ApiError):
    """A part of a protocol that this server does not have, by design."""

    status = 501
    code = "not_supported"


class Unavailable(ApiError):
    """Not now: overloaded, loading, or shutting down."""

    status = 503
    code = "unavailable"

    def __init__(
        self, message: str, *, retry_after_seconds: int | None = None, reason: str | None = None
    ) -> None:
        self.reason = reason
        headers = (
            ((b"retry-after", str(retry_after_seconds).encode()),)
            if retry_after_seconds is not None
            else ()
        )
        super().__init__(message, headers=headers)


class DeadlineExceeded(ApiError):
    """The caller's own deadline passed before an answer was ready."""

    status = 504
    code = "deadline_exceeded"
    reason = "deadline"
