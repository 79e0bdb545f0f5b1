"""The methods that tell of the server and its models, health and reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from penstock.server.oip.schema import SERVICE, message

if TYPE_CHECKING:
    from collections.abc import Callable


def test_health_readiness_and_metadata(method: Callable[[str], Any]) -> None:
    def ask(called: str, **fields: Any) -> Any:
        return method(called)(message(f"{called}Request")(**fields))

    assert ask("ServerLive").live
    assert ask("ServerReady").ready
    assert ask("ModelReady", name="echo", version="1").ready
    assert not ask("ModelReady", name="echo", version="3").ready
    assert not ask("ModelReady", name="nobody").ready
    assert ask("ServerMetadata").name == "penstock"
    told = ask("ModelMetadata", name="echo", version="1")
    assert (told.name, sorted(told.versions), told.platform) == ("echo", ["1", "2"], "onnx_onnxv1")
    assert (told.inputs[0].datatype, list(told.inputs[0].shape)) == ("FP32", [-1, 2])
    index = ask("RepositoryIndex", ready=True).models
    assert ("echo", "2", "READY") in {(one.name, one.version, one.state) for one in index}


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("ModelMetadata", {"name": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ("RepositoryModelLoad", {"model_name": "echo"}, grpc.StatusCode.UNIMPLEMENTED),
        ("RepositoryModelUnload", {"model_name": "echo"}, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_what_is_not_there_is_an_error(
    method: Callable[[str], Any], name: str, fields: dict[str, str], code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        method(name)(message(f"{name}Request")(**fields))
    assert caught.value.code() is code


@pytest.mark.parametrize("service", ["", SERVICE])
def test_the_health_service_says_serving(channel: grpc.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_that_knows_nothing_predicts_by_reflection(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
    pool = DescriptorPool(database)
    service = pool.FindServiceByName(SERVICE)
    described = service.FindMethodByName("ModelInfer")
    request = GetMessageClass(described.input_type)(model_name="echo")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.extend([3.0, 4.0])
    call = channel.unary_unary(
        f"/{SERVICE}/{described.name}",
        request_serializer=lambda one: one.SerializeToString(),
        response_deserializer=GetMessageClass(described.output_type).FromString,
    )
    assert list(call(request).outputs[0].contents.fp32_contents) == [3.0, 4.0]
