"""NVIDIA's own client against a running server, in all of its ways to send a tensor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as client:
        yield client


def tensor(name: str, array: Any, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def texts(*rows: list[bytes]) -> Any:
    return np.array(rows, np.object_)


ARRAYS: dict[str, Any] = {
    "FP16": np.array([[1.5, -65504.0, 0.0]], np.float16),
    "FP32": np.array([[1.5, -3.4e38], [0.1, 1e-45]], np.float32),
    "FP64": np.array([[0.1, -1.7e308, 5e-324]], np.float64),
    "BOOL": np.array([[True, False, True]]),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "BYTES": texts([b"", b"text", "grüße".encode()], [b"\0", b'"', b"\\"]),
}


@pytest.mark.client("tritonclient[http]", "infer with every datatype, as JSON and binary")
@pytest.mark.parametrize("answer", ["binary", "JSON"])
@pytest.mark.parametrize("question", ["binary", "JSON"])
@pytest.mark.parametrize("datatype", ARRAYS)
def test_every_datatype_both_ways(
    client: triton.InferenceServerClient, datatype: str, question: str, answer: str
) -> None:
    if datatype == "FP16" and "JSON" in (question, answer):
        pytest.skip("tritonclient itself refuses FP16 in JSON")
    array = ARRAYS[datatype]
    result = client.infer(
        f"echo-{datatype.lower()}",
        [tensor("x", array, binary=question == "binary")],
        outputs=[triton.InferRequestedOutput("y", binary_data=answer == "binary")],
        request_id="mine",
    )
    received = result.as_numpy("y")
    if datatype == "BYTES" and answer == "JSON":
        received = np.vectorize(str.encode, otypes=[object])(received)
    np.testing.assert_array_equal(received, array)
    assert received.shape == array.shape
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "1")
    assert result.get_output("y")["datatype"] == datatype


def test_strings_that_are_no_text_are_refused_by_onnx_models(
    client: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="input 'x' must be UTF-8") as caught:
        client.infer("echo-bytes", [tensor("x", texts([b"\xff\xfe"]))])
    assert caught.value.status() == "400"


@pytest.mark.client("tritonclient[http]", "tensors without elements")
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_tensors_without_elements(
    client: triton.InferenceServerClient, shape: tuple[int, int]
) -> None:
    array = np.empty(shape, np.float32)
    result = client.infer("echo-fp32", [tensor("x", array)])
    assert result.get_output("y")["shape"] == list(shape)


@pytest.mark.client("tritonclient[http]", "requests and answers compressed")
@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_both_ways(
    client: triton.InferenceServerClient, algorithm: str, binary: bool
) -> None:
    array = np.tile(np.arange(100, dtype=np.float32), (50, 1))
    result = client.infer(
        "echo-fp32",
        [tensor("x", array, binary=binary)],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_array_equal(result.as_numpy("y"), array)


@pytest.mark.client("tritonclient[http]", "several inputs, outputs by name")
def test_several_inputs_and_outputs_in_the_order_asked_for(
    client: triton.InferenceServerClient,
) -> None:
    a, b = np.ones((2, 4), np.float32), np.full((2, 4), 3, np.float32)
    inputs = [tensor("b", b, binary=False), tensor("a", a)]
    wanted = [
        triton.InferRequestedOutput("difference", binary_data=False),
        triton.InferRequestedOutput("sum", binary_data=True),
    ]
    result = client.infer("sum", inputs, model_version="3", outputs=wanted)
    assert [o["name"] for o in result.get_response()["outputs"]] == ["difference", "sum"]
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    everything = client.infer("sum", inputs)
    assert [o["name"] for o in everything.get_response()["outputs"]] == ["sum", "difference"]


@pytest.mark.client("tritonclient[http]", "async_infer, and the aio client")
def test_asynchronous_requests(client: triton.InferenceServerClient) -> None:
    arrays = [np.full((1, 2), i, np.float32) for i in range(20)]
    waiting = [client.async_infer("echo-fp32", [tensor("x", array)]) for array in arrays]
    for array, request in zip(arrays, waiting, strict=True):
        np.testing.assert_array_equal(request.get_result().as_numpy("y"), array)


@pytest.mark.client("tritonclient[http]", "health, server and model metadata")
def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum")
    assert client.is_model_ready("sum", "3")
    assert not client.is_model_ready("sum", "4")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "penstock"
    metadata = client.get_model_metadata("sum")
    assert metadata["versions"] == ["3"]
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "b", "datatype": "FP32", "shape": [-1, 4]},
    ]


@pytest.mark.client("tritonclient[http]", "errors")
@pytest.mark.parametrize(
    ("model", "version", "name", "wanted", "status", "said"),
    [
        ("nobody", "", "x", None, "404", "model 'nobody' is not served"),
        ("echo-fp32", "9", "x", None, "404", "version '9' of model 'echo-fp32' is not served"),
        ("echo-fp32", "", "z", None, "400", "unknown input 'z'; expected inputs 'x'"),
        ("echo-fp32", "", "x", "z", "400", "unknown output 'z'; the model has 'y'"),
        ("echo-fp64", "", "x", None, "400", '"datatype":"FP64"'),
        ("sum", "", "a", None, "400", "has shape [1, 2], expected [-1, 4]"),
    ],
)
def test_errors_say_what_was_expected(
    client: triton.InferenceServerClient,
    model: str,
    version: str,
    name: str,
    wanted: str | None,
    status: str,
    said: str,
) -> None:
    outputs = None if wanted is None else [triton.InferRequestedOutput(wanted)]
    inputs = [tensor(name, np.ones((1, 2), np.float32))]
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs, model_version=version, outputs=outputs)
    assert said in caught.value.message()
    assert caught.value.status() == status


@pytest.mark.client("tritonclient[http]", "timeout of a request")
def test_a_timeout_in_microseconds_is_understood(client: triton.InferenceServerClient) -> None:
    array = np.ones((1, 2), np.float32)
    result = client.infer("echo-fp32", [tensor("x", array)], timeout=5_000_000, priority=1)
    np.testing.assert_array_equal(result.as_numpy("y"), array)


@pytest.mark.client("tritonclient[http]", "get_model_config")
def test_the_configuration_is_that_of_the_model(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("sum", "3")
    assert (config["name"], config["max_batch_size"]) == ("sum", 64)
    assert config["input"][0] == {"name": "a", "data_type": "TYPE_FP32", "dims": [4]}
    assert config["output"][1] == {"name": "difference", "data_type": "TYPE_FP32", "dims": [4]}
    texts_of = client.get_model_config("echo-bytes")
    assert texts_of["input"][0]["data_type"] == "TYPE_STRING"
    assert "model_configuration" in client.get_server_metadata()["extensions"]
    with pytest.raises(InferenceServerException) as caught:
        client.get_model_config("nobody")
    assert caught.value.status() == "404"


#: Of a size that has no run yet.
NO_RUN: dict[str, dict[str, int]] = {"compute_infer": {"count": 0}}


@pytest.mark.client("tritonclient[http]", "get_inference_statistics")
def test_statistics_count_every_request_and_row(client: triton.InferenceServerClient) -> None:
    def figures() -> dict[str, Any]:
        (found,) = client.get_inference_statistics("sum", "3")["model_stats"]
        return found

    before = figures()
    a = np.ones((5, 4), np.float32)
    began = time.time_ns() // 1_000_000
    for _ in range(3):
        client.infer("sum", [tensor("a", a), tensor("b", a)])
    with pytest.raises(InferenceServerException):
        client.infer("sum", [tensor("a", a)])
    after = figures()

    def grown(*path: str) -> int:
        old, new = before, after
        for key in path:
            old, new = old[key], new[key]
        return int(new) - int(old)

    stats = "inference_stats"
    assert (after["name"], after["version"]) == ("sum", "3")
    assert (grown("inference_count"), grown("execution_count")) == (15, 3)
    counts = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    assert [grown(stats, one, "count") for one in counts] == [3] * 5
    assert grown(stats, "fail", "count") == 1
    assert grown(stats, "fail", "ns") > 0
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert sum(grown(stats, one, "ns") for one in parts) == grown(stats, "success", "ns") > 0
    assert after[stats]["cache_hit"] == {"count": 0, "ns": 0}
    assert began <= after["last_inference"] <= time.time() * 1000
    runs, earlier = (
        {one["batch_size"]: one for one in told["batch_stats"]} for told in (after, before)
    )
    new = runs[5]["compute_infer"]["count"] - earlier.get(5, NO_RUN)["compute_infer"]["count"]
    assert (new, runs[5]["compute_infer"]["ns"] > 0) == (3, True)
    assert sum(one["compute_infer"]["count"] for one in runs.values()) == after["execution_count"]
    everything = client.get_inference_statistics()["model_stats"]
    assert {"sum", "echo-fp32"} <= {one["name"] for one in everything}
    assert client.get_inference_statistics("sum")["model_stats"] == [figures()]
    with pytest.raises(InferenceServerException) as caught:
        client.get_inference_statistics("sum", "9")
    assert caught.value.status() == "404"


@pytest.mark.client("tritonclient[http]", "trace and log settings", "read; changes are refused")
def test_settings_are_read_only(client: triton.InferenceServerClient) -> None:
    assert client.get_trace_settings("sum")["trace_level"] == ["OFF"]
    assert client.get_log_settings()["log_error"] is True
    for change in (
        lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        lambda: client.update_log_settings({"log_verbose_level": 1}),
    ):
        with pytest.raises(InferenceServerException, match="read only") as caught:
            change()
        assert caught.value.status() == "501"


@pytest.mark.client("tritonclient[http]", "shared memory", "501 by design")
def test_what_is_not_had_is_refused_by_name(client: triton.InferenceServerClient) -> None:
    for call, said in (
        (client.get_system_shared_memory_status, "there is no shared memory"),
        (lambda: client.register_system_shared_memory("a", "/a", 8), "there is no shared memory"),
        (client.unregister_cuda_shared_memory, "there is no shared memory"),
        (lambda: client.load_model("sum"), "on the admin port"),
        (lambda: client.unload_model("sum"), "on the admin port"),
    ):
        with pytest.raises(InferenceServerException, match=said) as caught:
            call()
        assert caught.value.status() == "501"
    a = np.ones((1, 4), np.float32)
    wanted = triton.InferRequestedOutput("sum")
    wanted.set_shared_memory("region", 16)
    with pytest.raises(InferenceServerException, match="there is no shared memory"):
        client.infer("sum", [tensor("a", a), tensor("b", a)], outputs=[wanted])


@pytest.mark.client("tritonclient[http]", "class_count of an output")
def test_the_highest_classes_of_an_output(client: triton.InferenceServerClient) -> None:
    a = np.float32([[1, 5, 2, 4], [0.5, 0, 0.25, 0]])
    wanted = [triton.InferRequestedOutput("sum", class_count=2, binary_data=False)]
    wanted.append(triton.InferRequestedOutput("difference", class_count=1))
    result = client.infer("sum", [tensor("a", a), tensor("b", np.zeros_like(a))], outputs=wanted)
    assert result.as_numpy("sum").tolist() == [["5.0:1", "4.0:3"], ["0.5:0", "0.25:2"]]
    assert result.as_numpy("difference").tolist() == [[b"5.0:1"], [b"0.5:0"]]


def test_an_input_of_bfloat16_is_taken_for_one_of_fp32(
    client: triton.InferenceServerClient,
) -> None:
    array = np.array([[1.5, -2.0], [0.15625, 3.0e38]], ml_dtypes.bfloat16)
    made = triton.InferInput("x", [2, 2], "BF16")
    made.set_data_from_numpy(array)
    result = client.infer("echo-fp32", [made])
    np.testing.assert_array_equal(result.as_numpy("y"), array.astype(np.float32))
