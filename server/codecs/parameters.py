"""Parameters of requests, inputs and outputs: what they are, and what is refused by name.

Parameters that nobody here knows are passed over, as the protocol has it. Those of extensions that
would change what an answer means, or where it goes, must not be: a client that asks for its output
in shared memory reads there what was there before.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.server.errors import InvalidRequest

from .tensors import show

#: Of tensors, by extensions of the protocol that are not spoken here; what to do instead.
_SHARED_MEMORY: Final = (
    "parameter '{}' is not supported: there is no shared memory; send and ask for tensors as "
    "binary data"
)
_REFUSED_OF_TENSORS: Final = {
    "shared_memory_region": _SHARED_MEMORY,
    "shared_memory_offset": _SHARED_MEMORY,
    "shared_memory_byte_size": _SHARED_MEMORY,
    "classification": (
        "the classification extension is not supported; ask for the tensor and rank it yourself"
    ),
}
_SEQUENCES: Final = "models here keep no state between requests, so there are no sequences"
#: Of requests; a value that says nothing, such as 0 or false, is taken.
_REFUSED_OF_REQUESTS: Final = {
    "sequence_id": _SEQUENCES,
    "sequence_start": _SEQUENCES,
    "sequence_end": _SEQUENCES,
    "classification": _REFUSED_OF_TENSORS["classification"],
}


def parameters_of(owner: dict[str, Any], what: str) -> dict[str, Any]:
    """The ``parameters`` of a request, an input or an output; empty where there are none.

    Raises:
        InvalidRequest: They are no object.
    """
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise InvalidRequest(f"'parameters' of {what} must be an object, not {show(parameters)}")
    return parameters


def tensor_parameters(entry: dict[str, Any], what: str) -> dict[str, Any]:
    """The same of an input or an output, none of which is refused.

    Raises:
        InvalidRequest: They are no object, or one of them asks for what is not done here.
    """
    parameters = parameters_of(entry, what)
    if parameters and not parameters.keys().isdisjoint(_REFUSED_OF_TENSORS):
        for name, reason in _REFUSED_OF_TENSORS.items():
            if name in parameters:
                raise InvalidRequest(f"{what}: {reason.format(name)}")
    return parameters


def request_parameters(document: dict[str, Any]) -> dict[str, Any]:
    """The same of a request.

    Raises:
        InvalidRequest: They are no object, or one of them asks for what is not done here.
    """
    parameters = parameters_of(document, "the request")
    for name, value in parameters.items():
        if type(name) is str and name.startswith("triton_"):  # msgpack has names of bytes, too
            raise InvalidRequest(f"parameter {show(name)} is reserved: no name begins with triton_")
        if value and name in _REFUSED_OF_REQUESTS:
            raise InvalidRequest(f"parameter '{name}': {_REFUSED_OF_REQUESTS[name]}")
    return parameters
