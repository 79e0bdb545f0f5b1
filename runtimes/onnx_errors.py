"""onnxruntime's error messages, shortened to what a user can act on."""

from __future__ import annotations

import re
from typing import Final

#: Longest message passed on; some operators print whole shapes lists.
MAX_CHARACTERS: Final = 400

_STATUS: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_LOADING: Final = re.compile(r"^Load model from .*? failed:")
_NODE: Final = re.compile(
    r"Non-zero status code returned while running (\S+) node\. Name:'(.*?)' Status Message: "
)
#: ``file.cc:12 signature condition was false.``, the reason follows.
_SOURCE: Final = re.compile(r"/\S+\.(?:h|cc|cpp):\d+ (?:.*? was false\. )?")
_SPACE: Final = re.compile(r"\s+")


def explain(error: BaseException) -> str:
    """One line that says what onnxruntime complained about, without its source locations.

    Its exceptions share no base class and carry C++ file names and function signatures.
    """
    message = _SPACE.sub(" ", str(error)).strip()
    for noise in (_STATUS, _LOADING, _SOURCE):
        message = noise.sub("", message)
    message = _SOURCE.sub("", _NODE.sub(r"\1 node '\2' failed: ", message))
    if len(message) > MAX_CHARACTERS:
        message = message[: MAX_CHARACTERS - 1] + "…"
    return message or type(error).__name__


def explain_load(error: BaseException) -> str:
    """`explain`, and what a file that is no protobuf message most likely is."""
    message = explain(error)
    if "protobuf" in message.lower():
        return f"not an ONNX model, or cut short ({message.rstrip('.')})"
    return message
