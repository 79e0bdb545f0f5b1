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
_NEW_OPSET: Final = re.compile(
    r"Opset (\d+) is under development.*?domain (\S+) is till opset (\d+)"
)
_NEW_FORMAT: Final = re.compile(
    r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"
)
_NO_OPERATOR: Final = re.compile(r"No Op registered for (\S+) with domain_version of (-?\d+)")
_EXHAUSTED: Final = re.compile(r"bad_alloc|bad allocation|[Ff]ailed to allocate memory")
#: Where in OpenVINO the reason that follows was found, and through how many of its functions.
_OPENVINO: Final = re.compile(
    r".*\[OpenVINO-EP\] .*?(?:Exception from \S+:\d+: )+(?:Check '.*?' failed at \S+:\d+: )?"
)
_SPACE: Final = re.compile(r"\s+")


def explain(error: BaseException) -> str:
    """One line that says what onnxruntime complained about, without its source locations.

    Its exceptions share no base class and carry C++ file names and function signatures.
    """
    message = _OPENVINO.sub("OpenVINO: ", _SPACE.sub(" ", str(error)).strip())
    for noise in (_STATUS, _LOADING, _SOURCE):
        message = noise.sub("", message)
    message = _SOURCE.sub("", _NODE.sub(r"\1 node '\2' failed: ", message))
    if len(message) > MAX_CHARACTERS:
        message = message[: MAX_CHARACTERS - 1] + "…"
    return message or type(error).__name__


def is_exhaustion(message: str) -> bool:
    """Whether a run failed because memory gave out."""
    return _EXHAUSTED.search(message) is not None


def explain_load(error: BaseException) -> str:
    """`explain`, and what to do about a file that is too new, or no protobuf message at all."""
    text = _SPACE.sub(" ", str(error))
    if found := _NEW_OPSET.search(text):
        opset, domain, newest = found.groups()
        return (
            f"it uses operator set {opset} of {domain}, and the installed onnxruntime supports "
            f"up to {newest}; export it with opset {newest} or lower, or install a newer one"
        )
    if found := _NEW_FORMAT.search(text):
        version, newest = found.groups()
        return (
            f"it is written in ONNX IR version {version}, and the installed onnxruntime reads "
            f"up to {newest}; save it with ir_version {newest} or lower, or install a newer "
            "onnxruntime"
        )
    if found := _NO_OPERATOR.search(text):
        operator, opset = found.groups()
        return (
            f"operator {operator} is not in operator set {opset}, which the model imports, as far "
            "as the installed onnxruntime knows; export it with another opset, or install a newer "
            "onnxruntime"
        )
    message = explain(error)
    if "protobuf" in message.lower():
        return f"not an ONNX model, or cut short ({message.rstrip('.')})"
    return message
