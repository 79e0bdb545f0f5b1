"""NVIDIA's own gRPC client, blocking and asynchronous, against a running server."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def port(registry: Path, live_server: Any, grpc_server: Any) -> Iterator[Any]:
    with live_server(registry, "fast", "uvloop") as server, grpc_server(server) as port:
        yield port


@pytest.fixture(scope="module")
def client(port: Any) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(port.address) as client:
        yield client


def tensor(name: str, array: Any) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


ARRAYS: dict[str, Any] = {
    "FP16": np.array([[1.5, -65504.0, 0.0]], np.float16),
    "FP32": np.array([[1.5, -3.4e38], [np.nan, -np.inf]], np.float32),
    "FP64": np.array([[0.1, -1.7e308, 5e-324]], np.float64),
    "BOOL": np.array([[True, False, True]]),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "BYTES": np.array([[b"", b"text"], ["gr\u00fc\u00dfe".encode(), b"\0"]], np.object_),
}


@pytest.mark.client("tritonclient[grpc]", "infer with every datatype")
@pytest.mark.parametrize("datatype", ARRAYS)
def test_every_datatype_comes_back_as_it_was(
    client: triton.InferenceServerClient, datatype: str
) -> None:
    array = ARRAYS[datatype]
    result = client.infer(f"echo-{datatype.lower()}", [tensor("x", array)], request_id="mine")
    np.testing.assert_array_equal(result.as_numpy("y"), array)
    assert result.get_output("y").datatype == datatype
    assert (result.get_response().id, result.get_response().model_version) == ("mine", "1")


@pytest.mark.client("tritonclient[grpc]", "tensors without elements")
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_tensors_without_elements(
    client: triton.InferenceServerClient, shape: tuple[int, int]
) -> None:
    result = client.infer("echo-fp32", [tensor("x", np.empty(shape, np.float32))])
    assert tuple(result.get_output("y").shape) == shape


@pytest.mark.client("tritonclient[grpc]", "compressed messages")
@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed(client: triton.InferenceServerClient, algorithm: str) -> None:
    array = np.tile(np.arange(100, dtype=np.float32), (50, 1))
    inputs = [tensor("x", array)]
    result = client.infer("echo-fp32", inputs, compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("y"), array)


@pytest.mark.client("tritonclient[grpc]", "several inputs, outputs by name")
def test_several_inputs_and_outputs_in_the_order_asked_for(
    client: triton.InferenceServerClient,
) -> None:
    a, b = np.ones((2, 4), np.float32), np.full((2, 4), 3, np.float32)
    inputs = [tensor("b", b), tensor("a", a)]
    wanted = [triton.InferRequestedOutput(name) for name in ("difference", "sum")]
    result = client.infer("sum", inputs, model_version="3", outputs=wanted)
    assert [one.name for one in result.get_response().outputs] == ["difference", "sum"]
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)


@pytest.mark.client("tritonclient[grpc]", "the aio client, many requests at once")
def test_many_requests_at_once_of_the_asynchronous_client(port: Any) -> None:
    async def ask_all() -> None:
        async with triton_aio.InferenceServerClient(port.address) as client:
            assert await client.is_server_live()
            arrays = [np.full((1, 2), i, np.float32) for i in range(100)]
            asked = [client.infer("echo-fp32", [tensor("x", array)]) for array in arrays]
            for array, result in zip(arrays, await asyncio.gather(*asked), strict=True):
                np.testing.assert_array_equal(result.as_numpy("y"), array)

    asyncio.run(ask_all())


@pytest.mark.client("tritonclient[grpc]", "a stream of requests")
def test_a_stream_of_requests(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    arrays = [np.full((1, 2), i, np.float32) for i in range(20)]
    for array in arrays:
        client.async_stream_infer("echo-fp32", [tensor("x", array)])
    client.async_stream_infer("nobody", [tensor("x", arrays[0])])
    for array in arrays:
        result, error = answers.get(timeout=60)
        assert error is None
        np.testing.assert_array_equal(result.as_numpy("y"), array)
    _, error = answers.get(timeout=60)
    assert "model 'nobody' is not served" in error.message()
    client.stop_stream()


@pytest.mark.client("tritonclient[grpc]", "health, server and model metadata")
def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum", "3")
    assert not client.is_model_ready("sum", "4")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata().name == "penstock"
    metadata = client.get_model_metadata("sum", as_json=True)
    assert (metadata["versions"], metadata["platform"]) == (["3"], "onnx_onnxv1")
    assert metadata["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": ["-1", "4"]}
    index = client.get_model_repository_index(as_json=True)["models"]
    assert {"name": "sum", "version": "3", "state": "READY"} in index


@pytest.mark.client("tritonclient[grpc]", "errors")
@pytest.mark.parametrize(
    ("model", "version", "name", "status", "said"),
    [
        ("nobody", "", "x", "NOT_FOUND", "model 'nobody' is not served"),
        ("echo-fp32", "9", "x", "NOT_FOUND", "version '9' of model 'echo-fp32' is not served"),
        ("echo-fp32", "", "z", "INVALID_ARGUMENT", "unknown input 'z'; expected inputs 'x'"),
        ("echo-fp64", "", "x", "INVALID_ARGUMENT", '"datatype":"FP64"'),
        ("sum", "", "a", "INVALID_ARGUMENT", "has shape [1, 2], expected [-1, 4]"),
    ],
)
def test_errors_say_what_was_expected(
    client: triton.InferenceServerClient,
    model: str,
    version: str,
    name: str,
    status: str,
    said: str,
) -> None:
    inputs = [tensor(name, np.ones((1, 2), np.float32))]
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs, model_version=version)
    assert said in caught.value.message()
    assert caught.value.status() == f"StatusCode.{status}"


@pytest.mark.client("tritonclient[grpc]", "parameters and deadlines")
def test_parameters_and_deadlines_are_understood(client: triton.InferenceServerClient) -> None:
    array = np.ones((1, 2), np.float32)
    inputs = [tensor("x", array)]
    result = client.infer("echo-fp32", inputs, timeout=5_000_000, priority=1, client_timeout=30)
    np.testing.assert_array_equal(result.as_numpy("y"), array)
    with pytest.raises(InferenceServerException, match="sequence"):
        client.infer("echo-fp32", inputs, sequence_id=7, sequence_start=True)


@pytest.mark.client("tritonclient[grpc]", "get_model_config, get_inference_statistics")
def test_configuration_and_statistics(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("sum", as_json=True)["config"]
    assert (config["name"], config["max_batch_size"]) == ("sum", 64)
    assert config["input"][0] == {"name": "a", "data_type": "TYPE_FP32", "dims": ["4"]}
    array = np.ones((5, 4), np.float32)

    def figures() -> Any:
        (found,) = client.get_inference_statistics("sum", "3").model_stats
        return found

    before = figures()
    client.infer("sum", [tensor("a", array), tensor("b", array)])
    after = figures()
    assert after.inference_count - before.inference_count == 5
    success, queue = after.inference_stats.success, after.inference_stats.queue
    assert success.count - before.inference_stats.success.count == 1
    assert success.ns > queue.ns > 0
    assert after.last_inference > before.last_inference
    (runs,) = [one for one in after.batch_stats if one.batch_size == 5]
    assert runs.compute_infer.count >= 1
    assert runs.compute_infer.ns > 0
    assert sum(one.compute_infer.count for one in after.batch_stats) == after.execution_count
    names = {one.name for one in client.get_inference_statistics().model_stats}
    assert {"sum", "echo-fp32"} <= names


@pytest.mark.client("tritonclient[grpc]", "settings; shared memory", "read; refused by design")
def test_settings_are_read_only_and_other_extensions_are_refused_by_name(
    client: triton.InferenceServerClient,
) -> None:
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"] == {"value": ["OFF"]}
    assert client.get_log_settings(as_json=True)["settings"]["log_error"] == {"bool_param": True}
    for call, said in (
        (lambda: client.update_trace_settings(settings={"trace_rate": "1"}), "read only"),
        (lambda: client.update_log_settings({"log_info": False}), "read only"),
        (client.get_system_shared_memory_status, "there is no shared memory"),
        (lambda: client.register_cuda_shared_memory("a", b"", 0, 8), "there is no shared memory"),
        (lambda: client.load_model("sum"), "on the admin port"),
        (lambda: client.unload_model("sum"), "on the admin port"),
    ):
        with pytest.raises(InferenceServerException, match=said) as caught:
            call()
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


@pytest.mark.client("tritonclient[grpc]", "class_count of an output")
def test_the_highest_classes_of_an_output(client: triton.InferenceServerClient) -> None:
    a = np.float32([[1, 5, 2, 4], [0.5, 0, 0.25, 0]])
    wanted = [triton.InferRequestedOutput("sum", class_count=2)]
    result = client.infer("sum", [tensor("a", a), tensor("b", np.zeros_like(a))], outputs=wanted)
    assert result.as_numpy("sum").tolist() == [[b"5.0:1", b"4.0:3"], [b"0.5:0", b"0.25:2"]]


def test_an_input_of_bfloat16_is_taken_for_one_of_fp32(
    client: triton.InferenceServerClient,
) -> None:
    array = np.array([[1.5, -2.0], [0.15625, 3.0e38]], ml_dtypes.bfloat16)
    made = triton.InferInput("x", [2, 2], "BF16")
    made.set_data_from_numpy(array)
    result = client.infer("echo-fp32", [made])
    np.testing.assert_array_equal(result.as_numpy("y"), array.astype(np.float32))
