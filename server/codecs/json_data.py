"""The ``data`` of an input in JSON, and what is wrong with a body that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.errors import InvalidRequest

from .parameters import input_parameters
from .tensors import from_list, show

if TYPE_CHECKING:
    import orjson

    from penstock.runtimes.contract import Array

    from .signature import WireInput


def hint_of(rest: str) -> str:
    """A hint where clients are known to stumble.

    Args:
        rest: Text that the parser met.
    """
    if rest.startswith(("NaN", "Inf", "-Inf", "nan", "inf", "aN")):
        return "; JSON has no NaN and no infinity: send null for NaN, or binary data"
    return ""


def malformed(error: orjson.JSONDecodeError) -> InvalidRequest:
    """What the parser found, with a hint where clients are known to stumble."""
    rest = error.doc[error.pos : error.pos + 9] if isinstance(error.doc, str) else ""
    return InvalidRequest(f"the body is not valid JSON: {error}{hint_of(rest)}")


def read(entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
    """The tensor of an input from its ``data``; a `request.Reader`."""
    data = entry.get("data")
    if type(data) is not list:
        if data is not None and not shape and type(data) is not dict:
            data = [data]  # a scalar nested zero deep
        else:
            raise InvalidRequest(_no_data(entry, spec, data))
    return from_list(data, spec, shape, size)


def _no_data(entry: dict[str, Any], spec: WireInput, data: Any) -> str:
    if "binary_data_size" in input_parameters(entry, f"input '{spec.name}'"):
        return (
            f"input '{spec.name}' has binary_data_size, but the request has no "
            "Inference-Header-Content-Length header to say where the binary data begins"
        )
    problem = "has no 'data'" if data is None else f"has 'data' that is {show(data)}"
    return f"input '{spec.name}' {problem}; expected a list"
