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
_REFUSED_OF_OUTPUTS: Final = {
    "shared_memory_region": _SHARED_MEMORY,
    "shared_memory_offset": _SHARED_MEMORY,
    "shared_memory_byte_size": _SHARED_MEMORY,
}
_CLASSES: Final = "parameter 'classification' belongs to an output"
_REFUSED_OF_INPUTS: Final = {**_REFUSED_OF_OUTPUTS, "classification": _CLASSES}
#: Asks for a message without outputs after the last answer of a model that gives several. Here a
#: request has one answer, so there is nothing to do, as for such a model of Triton. Its C++ client
#: of gRPC sets the parameter in each request.
_EMPTY_LAST_ANSWER: Final = "triton_enable_empty_final_response"
_SEQUENCES: Final = "models here keep no state between requests, so there are no sequences"
#: Of requests; a value that says nothing, such as 0 or false, is taken.
_REFUSED_OF_REQUESTS: Final = {
    "sequence_id": _SEQUENCES,
    "sequence_start": _SEQUENCES,
    "sequence_end": _SEQUENCES,
    "classification": _CLASSES,
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


def input_parameters(entry: dict[str, Any], what: str) -> dict[str, Any]:
    """The same of an input, none of which is refused.

    Raises:
        InvalidRequest: They are no object, or one of them asks for what is not done here.
    """
    return _taken(entry, what, _REFUSED_OF_INPUTS)


def output_parameters(entry: dict[str, Any], what: str) -> dict[str, Any]:
    """The same of an output.

    Raises:
        InvalidRequest: As from `input_parameters`.
    """
    return _taken(entry, what, _REFUSED_OF_OUTPUTS)


def _taken(entry: dict[str, Any], what: str, refused: dict[str, str]) -> dict[str, Any]:
    parameters = parameters_of(entry, what)
    if parameters and not parameters.keys().isdisjoint(refused):
        for name, reason in refused.items():
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
        if name == _EMPTY_LAST_ANSWER:
            flag_of(parameters, name, "the request")
        elif type(name) is str and name.startswith("triton_"):  # msgpack has names of bytes, too
            raise InvalidRequest(f"parameter {show(name)} is reserved: no name begins with triton_")
        if value and name in _REFUSED_OF_REQUESTS:
            raise InvalidRequest(f"parameter '{name}': {_REFUSED_OF_REQUESTS[name]}")
    return parameters


def flag_of(parameters: dict[str, Any], name: str, what: str) -> bool | None:
    """A parameter that is true or false; ``None`` where it is not given.

    Args:
        parameters: Parameters of a request or of a tensor.
        name: Name of the parameter.
        what: Whose parameters they are, for the error.

    Raises:
        InvalidRequest: It is something else.
    """
    flag = parameters.get(name)
    if flag is not None and type(flag) is not bool:
        raise InvalidRequest(
            f"parameter '{name}' of {what} must be true or false, not {show(flag)}"
        )
    return flag


def count_of(parameters: dict[str, Any], name: str, unit: str, owner: str = "") -> int | None:
    """A parameter that is a whole number; ``None`` where it is 0 or not given.

    Args:
        parameters: Parameters of a request or of a tensor.
        name: Name of the parameter.
        unit: Name of the counted things, for the error.
        owner: Whose parameter it is, for the error, with a space before it.

    Raises:
        InvalidRequest: It is something else, or below 0.
    """
    value = parameters.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InvalidRequest(
            f"parameter '{name}'{owner} must be {unit} as an integer of at least 0, "
            f"not {show(value)}"
        )
    return value or None  # 0 is the protocol's "server's default"
