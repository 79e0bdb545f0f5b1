"""Encodes errors as the bytes of answers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.batching.contained import Escaped, text_of
from penstock.batching.errors import DeadlineExceeded as BatchDeadlineExceeded
from penstock.batching.errors import InputsAtFault, InvalidOutput, Overloaded
from penstock.runtimes.contract import (
    ModelAway,
    ModelExecutionError,
    ProcessEnded,
    RunTimeout,
    UnsuitableInput,
)
from penstock.server.codecs.negotiate import JSON_HEADERS
from penstock.server.codecs.protocols import INVOKE
from penstock.server.errors import (
    ApiError,
    DeadlineExceeded,
    InferenceFailed,
    InternalError,
    InvalidRequest,
    Unavailable,
)
from penstock.server.pipelines.step_failed import StepFailed

from .call import Call

if TYPE_CHECKING:
    from .coalesced_calls import CoalescedCalls

#: Answers with longer messages quote a request and are made each time; shorter ones are cached.
MAX_KEPT_MESSAGE: Final = 512
#: Status, header lines and body where even encoding an error has failed.
LAST_ANSWER: Final = (
    500,
    JSON_HEADERS,
    b'{"error":"internal error; see the log of the server"}',
)
#: Error codes of MLflow by HTTP status; the others are INTERNAL_ERROR.
_MLFLOW_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    415: "BAD_REQUEST",
    422: "BAD_REQUEST",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def api_error(error: Exception) -> ApiError:
    """The API error that a client gets for an error from any room."""
    if isinstance(error, StepFailed):
        return _api_error(error.cause).prefixed(error.step)
    return _api_error(error)


def _api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Overloaded):
        return _overloaded(error.reason, max(1, math.ceil(error.retry_after_seconds)))
    if isinstance(error, BatchDeadlineExceeded):
        return DeadlineExceeded(str(error))
    if isinstance(error, InputsAtFault):
        return InvalidRequest(str(error))
    if isinstance(error, (ModelExecutionError, InvalidOutput)):
        return _model_error(error)
    raised = error.__cause__ if isinstance(error, Escaped) else error
    return InternalError(f"internal error ({type(raised).__name__}); see the server's log")


@lru_cache(maxsize=64)
def _overloaded(reason: str, retry_after_seconds: int) -> Unavailable:
    """The error of a refused request; cached, because overload makes thousands of them."""
    return Unavailable(
        f"overloaded ({reason}): the request was not executed",
        retry_after_seconds=retry_after_seconds,
        reason=reason,
    )


def _model_error(error: ModelExecutionError | InvalidOutput) -> ApiError:
    if isinstance(error, UnsuitableInput):
        return InvalidRequest(_text(error))
    if isinstance(error, RunTimeout):
        return DeadlineExceeded(_text(error))
    if isinstance(error, ModelAway):
        return Unavailable(
            _text(error), retry_after_seconds=max(1, math.ceil(error.retry_after_seconds))
        )
    if isinstance(error, ProcessEnded):
        return InferenceFailed(_text(error))
    if isinstance(error, ModelExecutionError):
        return InferenceFailed(f"the model failed on this input: {_text(error)}")
    return InferenceFailed(_text(error))


def _text(error: Exception) -> str:
    """The message of a plug-in's error as text that JSON can hold."""
    return text_of(error).encode(errors="replace").decode()


def error_answer(error: ApiError, protocol: str = "") -> tuple[bytes, bytes]:
    """Header lines and body of an error.

    Args:
        error: The error.
        protocol: Name of the codec of the request; MLflow's has a form of its own.
    """
    if protocol == INVOKE:
        headers, body = error_answer(error)
        document = {
            "error_code": _MLFLOW_CODES.get(error.status, "INTERNAL_ERROR"),
            "message": error.message,
            **orjson.loads(body),
        }
        return headers, orjson.dumps(document)
    if len(error.message) > MAX_KEPT_MESSAGE:
        return _error_answer.__wrapped__(error.code, error.message, error.headers)
    return _error_answer(error.code, error.message, error.headers)


@lru_cache(maxsize=64)
def _error_answer(
    code: str, message: str, headers: tuple[tuple[bytes, bytes], ...]
) -> tuple[bytes, bytes]:
    lines = b"".join([b"%b: %b\r\n" % line for line in headers])
    text = b"%bx-error-code: %b\r\n%b" % (JSON_HEADERS, code.encode(), lines)
    return text, orjson.dumps({"error": message})


def takes_common_error(call: Call | CoalescedCalls[Any]) -> bool:
    """Whether a call still waits, belongs to no split and no group, and takes the common form."""
    if type(call) is not Call or call.assignment is not None or call.abandoned:
        return False
    return call.entered and call.head.codec.name != INVOKE
