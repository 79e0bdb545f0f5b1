"""The handler of a method that takes one message and answers one, with errors as gRPC has them."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import grpc

from penstock.server.errors import ApiError
from penstock.server.oip.schema import message

from .status import code_of, error_metadata, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc.aio import ServicerContext

    #: From a message and the context of its call to the answer, or to what makes it.
    Answer = Callable[[Any, ServicerContext[Any, Any]], Any]

LOG = logging.getLogger("penstock.grpc")


def handler_of(name: str, answer: Answer) -> grpc.RpcMethodHandler[Any, Any]:
    """The handler of a method.

    Args:
        name: Name of the method; its messages are named after it.
        answer: Answers a message; an `ApiError` becomes the status of the call.
    """

    async def handle(request: Any, context: ServicerContext[Any, Any]) -> Any:
        try:
            found = answer(request, context)
            return await found if inspect.isawaitable(found) else found
        except ApiError as error:
            text = shortened(error.message)
            await context.abort(code_of(error.status), text, error_metadata(error))
        except Exception as error:
            LOG.exception("unexpected error in %s", name)
            text = f"internal error ({type(error).__name__}); see the server's log"
            await context.abort(grpc.StatusCode.INTERNAL, text)

    return grpc.unary_unary_rpc_method_handler(
        handle,
        message(f"{name}Request").FromString,
        message(f"{name}Response").SerializeToString,
    )
