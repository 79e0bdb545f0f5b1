"""Predictions over gRPC: answers, metadata, errors, deadlines, cancellation, streams."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from penstock.server.oip.schema import SERVICE, message

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = np.float32([[1.5, -2.0]])
Code = grpc.StatusCode


@pytest.fixture
def infer(method: Callable[[str], Any]) -> Any:
    return method("ModelInfer")


@pytest.fixture
def stream(channel: grpc.Channel) -> Any:
    return channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer",
        request_serializer=lambda one: one.SerializeToString(),
        response_deserializer=message("ModelStreamInferResponse").FromString,
    )


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_raw_contents_are_answered_raw(infer: Any, request_of: Any) -> None:
    answer, call = infer.with_call(request_of("echo", ROW, id="mine"))
    assert (answer.model_name, answer.model_version, answer.id) == ("echo", "2", "mine")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", [1, 2])
    assert list(answer.raw_output_contents) == [ROW.tobytes()]
    trailing = dict(call.trailing_metadata())
    assert trailing["x-model-version"] == "2"
    assert len(trailing["x-request-id"]) == 32


def test_typed_contents_are_answered_typed(infer: Any) -> None:
    request = message("ModelInferRequest")(model_name="echo", model_version="1")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.extend([1.5, -2.0])
    answer = infer(request)
    assert not answer.raw_output_contents
    assert list(answer.outputs[0].contents.fp32_contents) == [1.5, -2.0]
    assert answer.model_version == "1"


def test_the_request_id_of_the_caller_comes_back(infer: Any, request_of: Any) -> None:
    metadata = (("x-request-id", "order-1"),)
    _, call = infer.with_call(request_of("echo", ROW), metadata=metadata)
    assert dict(call.trailing_metadata())["x-request-id"] == "order-1"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"model": "nobody"}, Code.NOT_FOUND, "model 'nobody' is not served"),
        ({"model_version": "9"}, Code.NOT_FOUND, "version '9' of model 'echo'"),
        ({"array": np.float32([[1, 2, 3]])}, Code.INVALID_ARGUMENT, "has shape [1, 3], expected"),
        ({"datatype": "FP64"}, Code.INVALID_ARGUMENT, '"datatype":"FP32"'),
        ({"outputs": [{"name": "z"}]}, Code.INVALID_ARGUMENT, "unknown output 'z'"),
        ({"raw_input_contents": [b"", b""]}, Code.INVALID_ARGUMENT, "has 3 entries, expected one"),
        (
            {"parameters": {"sequence_id": {"int64_param": 7}}},
            Code.INVALID_ARGUMENT,
            "parameter 'sequence_id'",
        ),
        (
            {"outputs": [{"name": "y", "parameters": {"shared_memory_region": {}}}]},
            Code.INVALID_ARGUMENT,
            "there is no shared memory",
        ),
        (
            {"parameters": {"timeout": {"double_param": 0.5}}},
            Code.INVALID_ARGUMENT,
            "parameter 'timeout' must be microseconds",
        ),
    ],
)
def test_errors_have_the_code_of_their_kind(
    infer: Any, request_of: Any, change: dict[str, Any], code: grpc.StatusCode, said: str
) -> None:
    given = {"model": "echo", "array": ROW, **change}
    model, array = given.pop("model"), given.pop("array")
    more = given.pop("raw_input_contents", [])
    request = request_of(model, array, **given)
    request.raw_input_contents.extend(more)
    with pytest.raises(grpc.RpcError) as caught:
        infer(request)
    assert caught.value.code() is code
    assert said in caught.value.details()
    assert dict(caught.value.trailing_metadata())["x-error-code"]


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05x", b"\x0a\x01\xff", b"\x2b"])
def test_bytes_that_are_no_request_are_refused(infer: Any, body: bytes) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(body)
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert "not a ModelInferRequest" in caught.value.details()


def test_a_message_over_the_limit_is_refused_compressed_or_not(infer: Any, request_of: Any) -> None:
    request = request_of("echo", np.zeros((1 << 19, 2), np.float32))
    assert request.ByteSize() > 1 << 22
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as caught:
            infer(request, compression=compression)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_taken(infer: Any, request_of: Any, compression: Any) -> None:
    array = np.tile(ROW, (400, 1))
    answer = infer(request_of("echo", array), compression=compression)
    assert answer.raw_output_contents[0] == array.tobytes()


def test_large_requests_are_answered_raw_and_typed(infer: Any, request_of: Any) -> None:
    array = np.arange(2 * 70_000, dtype=np.float32).reshape(-1, 2)
    answer = infer(request_of("echo", array))
    assert answer.raw_output_contents[0] == array.tobytes()
    request = message("ModelInferRequest")(model_name="echo")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=array.shape)
    tensor.contents.fp32_contents.extend(array.ravel().tolist())
    typed = infer(request)
    np.testing.assert_array_equal(typed.outputs[0].contents.fp32_contents, array.ravel())


def test_a_request_of_many_fields_is_refused_before_it_is_parsed(infer: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(b"\x0a\x04echo" + 100_000 * b"\x2a\x00")
    assert caught.value.code() is Code.RESOURCE_EXHAUSTED
    assert "more than 65536 fields" in caught.value.details()


def test_a_stream_is_answered_in_order_and_survives_an_error(stream: Any, request_of: Any) -> None:
    requests = [request_of("echo", ROW * i, id=str(i)) for i in range(600)]
    requests[7] = request_of("nobody", ROW, id="7")
    requests[9] = request_of("echo", ROW, id="9", outputs=[{"name": "z"}])
    answers = list(stream(iter(requests)))
    assert len(answers) == 600
    for index, answer in enumerate(answers):
        if index in {7, 9}:
            assert ("nobody" if index == 7 else "unknown output") in answer.error_message
            continue
        response = answer.infer_response
        assert (response.id, answer.error_message) == (str(index), "")
        assert response.parameters["triton_final_response"].bool_param
        np.testing.assert_array_equal(
            np.frombuffer(response.raw_output_contents[0], np.float32), (ROW * index).ravel()
        )


def test_an_empty_stream_ends(stream: Any) -> None:
    assert list(stream(iter(()))) == []


def test_waiting_calls_end_with_their_deadline_their_caller_or_for_want_of_room(
    running: Any, infer: Any, stream: Any, request_of: Any, gate: Any
) -> None:
    held = np.float32([[1000.0]])
    first = infer.future(request_of("held", held))
    until(lambda: gate.runs == 1)  # all other requests wait in the queue now
    with pytest.raises(grpc.RpcError) as caught:
        infer(request_of("held", held), timeout=0.3)
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    with pytest.raises(grpc.RpcError) as caught:
        infer(request_of("held", held), metadata=(("x-request-timeout-ms", "50"),))
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    scheduled = running.server.app.engine.catalog.models["held"].default.scheduled
    left = infer.future(request_of("held", held))
    streamed = stream(iter([request_of("held", held)]))
    until(lambda: scheduled.waiting_rows == 2)
    with pytest.raises(grpc.RpcError) as caught:
        infer(request_of("held", held))
    assert caught.value.code() is Code.UNAVAILABLE
    trailing = dict(caught.value.trailing_metadata())
    assert int(trailing["grpc-retry-pushback-ms"]) == 1000 * int(trailing["retry-after"])
    left.cancel()
    streamed.cancel()
    until(lambda: scheduled.waiting_rows == 0)
    gate.open()
    assert first.result(60).raw_output_contents[0] == held.tobytes()
    assert gate.runs == 1


def test_both_ports_count_the_same_requests(running: Any, infer: Any, request_of: Any) -> None:
    def counted() -> Any:
        metrics = running.server.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").body.decode()
        name = 'penstock_requests_total{model="echo",status="200",version="2"}'
        return sum(float(one.split()[-1]) for one in metrics.splitlines() if one.startswith(name))

    before = counted()
    infer(request_of("echo", ROW))
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": ROW.ravel().tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    assert running.server.ask(head % len(body) + body).status == 200
    until(lambda: counted() == before + 2)
