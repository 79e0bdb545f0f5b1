"""The message classes, made from the tables once, in a pool of their own.

The pool is not the default one of the process: clients of Triton and KServe bring messages of the
same names, and two files in one pool may not declare the same name.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from . import infer_messages, model_messages
from .fields import PACKAGE, file_of

SERVICE: Final = f"{PACKAGE}.GRPCInferenceService"
INFER: Final = "ModelInfer"
#: Methods of the service that take one message and answer one; the messages are named after them.
METHODS: Final = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    INFER,
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "TraceSetting",
    "LogSettings",
)
#: The method that takes a stream of `INFER_REQUEST` and answers one message to each.
STREAM: Final = "ModelStreamInfer"

_FILE: Final = "open_inference.proto"


def _pool() -> DescriptorPool:
    messages = infer_messages.MESSAGES | model_messages.MESSAGES
    file = file_of(_FILE, messages, model_messages.ENUMS)
    service = file.service.add(name=SERVICE.removeprefix(f"{PACKAGE}."))
    for name in METHODS:
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.{name}Request",
            output_type=f".{PACKAGE}.{name}Response",
        )
    service.method.add(
        name=STREAM,
        input_type=f".{PACKAGE}.ModelInferRequest",
        output_type=f".{PACKAGE}.{STREAM}Response",
        client_streaming=True,
        server_streaming=True,
    )
    pool = DescriptorPool()
    pool.Add(file)
    pool.Add(file_of("glance.proto", infer_messages.GLANCE, {}))
    return pool


_POOL: Final = _pool()
#: The file that declares the service and its messages.
SERVICE_FILE: Final[Any] = _POOL.FindFileByName(_FILE)


def message(name: str) -> Any:
    """The class of a message.

    Args:
        name: Its name in the protocol, such as ``ModelInferRequest``.
    """
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


INFER_REQUEST: Final = message("ModelInferRequest")
INFER_RESPONSE: Final = message("ModelInferResponse")
STREAM_RESPONSE: Final = message("ModelStreamInferResponse")
GLANCE: Final = message("Glance")
