"""The messages have the names, numbers and types of those that clients are made with."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from penstock.server.oip import infer_messages, model_messages
from penstock.server.oip.schema import METHODS, SERVICE_FILE, STREAM, message

THEIRS = {
    **service_pb2.DESCRIPTOR.message_types_by_name,
    **model_config_pb2.DESCRIPTOR.message_types_by_name,
}
NAMES = [name for name in infer_messages.MESSAGES | model_messages.MESSAGES if "." not in name]


def described(descriptor: Any) -> dict[str, Any]:
    """All that decides how a message is written."""
    found: dict[str, Any] = {}
    for field in descriptor.fields:
        one = field.containing_oneof
        kind = field.message_type or field.enum_type
        found[field.name] = (
            field.number,
            field.type,
            field.is_repeated,
            None if one is None else one.name,
            None if kind is None else kind.full_name,
        )
        if field.message_type is not None:
            found[f"{field.name}."] = described(field.message_type)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_that_of_the_client(name: str) -> None:
    ours, theirs = described(message(name).DESCRIPTOR), described(THEIRS[name])
    assert within(ours, theirs)


def within(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether each of our fields is there; of the configuration not all are declared."""
    return all(
        within(one, theirs[name]) if isinstance(one, dict) else one == theirs[name]
        for name, one in ours.items()
    )


@pytest.mark.parametrize("name", infer_messages.MESSAGES)
def test_no_field_of_an_inference_is_missing(name: str) -> None:
    theirs = service_pb2.DESCRIPTOR.pool.FindMessageTypeByName(f"inference.{name}")
    assert described(message(name).DESCRIPTOR) == described(theirs)


def test_the_datatypes_have_their_numbers() -> None:
    theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
    ours = enumerate(model_messages.ENUMS["DataType"])
    assert {name: number for number, name in ours} == {
        name: value.number for name, value in theirs.items()
    }


def test_every_method_takes_and_answers_the_messages_of_the_client() -> None:
    (ours,) = SERVICE_FILE.services_by_name.values()
    (theirs,) = service_pb2.DESCRIPTOR.services_by_name.values()
    assert set(ours.methods_by_name) == {*METHODS, STREAM}
    for name, method in ours.methods_by_name.items():
        other = theirs.methods_by_name[name]
        assert method.input_type.full_name == other.input_type.full_name
        assert method.output_type.full_name == other.output_type.full_name
        assert method.client_streaming == other.client_streaming
        assert method.server_streaming == other.server_streaming
