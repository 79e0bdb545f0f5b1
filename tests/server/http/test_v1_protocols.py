"""TensorFlow Serving, KServe v1, MLflow, SageMaker, Vertex AI and Azure ML, behind both doors."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
import xgboost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OSLO = {"age": 31, "city": "Oslo", "income": None}
BERGEN = {"age": 55, "city": "Bergen", "income": 2.5}
NAMES = ["age", "city", "income"]


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path], people: Any
) -> Path:
    """A classifier and a regression with named columns, and ONNX models by matrix and by text."""
    root = tmp_path_factory.mktemp("v1")
    table, labels = people
    options = {"n_estimators": 3, "enable_categorical": True, "n_jobs": 1}
    for name, model, target in (
        ("person", xgboost.XGBClassifier(**options), labels),
        ("price", xgboost.XGBRegressor(**options), table["age"] * 2.0),
    ):
        model.fit(table, target)
        (root / name / "1").mkdir(parents=True)
        model.save_model(root / name / "1" / "model.ubj")
    onnx_file(
        root / "echo" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
    )
    onnx_file(
        root / "pair" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"]), ("Identity", ["t"], ["t_bytes"])],
        [("x", "FLOAT", ["n", 2]), ("t", "STRING", ["n"])],
        [("y", "FLOAT", ["n", 2]), ("t_bytes", "STRING", ["n"])],
    )
    return root


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    with live_server(registry, request.param, default_model="person") as server:
        yield server


def post(server: Any, path: str, body: Any, kind: str = "application/json") -> Any:
    """The answer to a body of JSON, or of text or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\ncontent-type: {kind}\r\n"
    return server.ask(head.encode() + b"content-length: %d\r\n\r\n" % len(content) + content)


def get(server: Any, path: str, *headers: str, method: str = "GET") -> Any:
    """The answer to a request without a body."""
    lines = "".join(f"{line}\r\n" for line in ("Host: test", *headers))
    return server.ask(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())


def body_of(answer: Any) -> Any:
    """The body of an answer, decoded."""
    return json.loads(answer.body)


def plain(server: Any, model: str, rows: list[Any]) -> Any:
    """What `:predict` answers with plain arrays: the oracle of the other protocols."""
    answer = post(server, f"/v1/models/{model}:predict?format=tensors", {"instances": rows})
    assert answer.status == 200, answer.body
    return body_of(answer)["predictions"]


# -- TensorFlow Serving ----------------------------------------------------------------------------


@pytest.mark.client("TensorFlow Serving REST", ":predict, row format")
def test_the_row_format_with_a_signature_gives_plain_arrays(server: Any) -> None:
    body = {"signature_name": "serving_default", "instances": [OSLO, BERGEN]}
    answer = post(server, "/v1/models/person:predict", body)
    assert body_of(answer)["predictions"] == plain(server, "person", [OSLO, BERGEN])
    assert body_of(post(server, "/v1/models/echo/versions/1:predict", {"instances": [[1, 2]]})) == {
        "predictions": [{"y": [1.0, 2.0]}]
    }


def test_an_unknown_signature_is_refused_by_name(server: Any) -> None:
    body = {"signature_name": "other", "instances": [OSLO]}
    answer = post(server, "/v1/models/person:predict", body)
    assert answer.status == 400
    assert "'signature_name' is 'other'" in body_of(answer)["error"]


@pytest.mark.client("TensorFlow Serving REST", ":predict, column format")
@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        ("echo", [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        ("echo", {"x": [[1, 2]]}, [[1.0, 2.0]]),
        ("echo", [], []),
        (
            "pair",
            {"x": [[1, 2]], "t": [{"b64": base64.b64encode(b"hello").decode()}]},
            {"y": [[1.0, 2.0]], "t_bytes": [{"b64": "aGVsbG8="}]},
        ),
    ],
)
def test_the_column_format_gives_one_value_for_each_output(
    server: Any, model: str, inputs: Any, outputs: Any
) -> None:
    for _ in range(3):
        answer = post(server, f"/v1/models/{model}:predict", {"inputs": inputs})
        assert (answer.status, body_of(answer)) == (200, {"outputs": outputs})


def test_the_column_format_takes_one_list_for_each_named_column(server: Any) -> None:
    inputs = {name: [OSLO[name], BERGEN[name]] for name in NAMES}
    answer = post(server, "/v1/models/price:predict", {"inputs": inputs})
    assert body_of(answer)["outputs"] == plain(server, "price", [OSLO, BERGEN])
    inputs["city"] = ["Oslo"]
    answer = post(server, "/v1/models/price:predict", {"inputs": inputs})
    assert answer.status == 400
    assert "column 'city' of 'inputs' is a list of 1 values" in body_of(answer)["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "has both 'instances' and 'inputs'"),
        ({"inputs": {"z": [[1, 2]]}}, "unknown input 'z'"),
        ({"inputs": [[1, 2, 3]]}, "has shape [1, 3], expected [-1, 2]"),
        ({"inputs": [[1, 2], [3]]}, "a list at depth 2 has 1 elements"),
        ({"inputs": 5}, "expected [-1, 2]"),
        ({"inputs": None}, "expected [-1, 2]"),
        ({"inputs": [["a", 2]]}, "element 0 is 'a'"),
    ],
)
def test_a_wrong_column_format_is_refused_with_the_reason(
    server: Any, body: Any, reason: str
) -> None:
    answer = post(server, "/v1/models/echo:predict", body)
    assert answer.status == 400
    assert reason in body_of(answer)["error"]


@pytest.mark.client("TensorFlow Serving REST", "b64")
def test_bytes_travel_as_base64_in_rows(server: Any) -> None:
    text = base64.b64encode("grün".encode()).decode()
    answer = post(
        server, "/v1/models/pair:predict", {"instances": [{"x": [1, 2], "t": {"b64": text}}]}
    )
    assert body_of(answer) == {"predictions": [{"y": [1.0, 2.0], "t_bytes": {"b64": text}}]}
    wrong = {"instances": [{"x": [1, 2], "t": {"b64": "?"}}]}
    answer = post(server, "/v1/models/pair:predict", wrong)
    assert answer.status == 400
    assert "does not hold base64" in body_of(answer)["error"]
    answer = post(server, "/v1/models/echo:predict", {"inputs": [[{"b64": text}, 1]]})
    assert answer.status == 400


@pytest.mark.client("TensorFlow Serving REST", ":classify")
def test_classify_gives_the_score_of_each_class(server: Any) -> None:
    shared = {"context": {"age": 31}, "examples": [{"city": ["Oslo"], "income": None}, BERGEN]}
    answer = post(server, "/v1/models/person:classify", shared)
    assert answer.status == 200, answer.body
    tables = [row["probabilities"] for row in plain(server, "person", [OSLO, BERGEN])]
    scores = [[score for _, score in row] for row in body_of(answer)["results"]]
    assert scores == tables
    names = [[name for name, _ in row] for row in body_of(answer)["results"]]
    assert names == [["0", "1"]] * 2  # the file does not name its classes


@pytest.mark.client("TensorFlow Serving REST", ":regress")
def test_regress_gives_one_number_for_each_example(server: Any) -> None:
    answer = post(server, "/v1/models/price:regress", {"examples": [OSLO, BERGEN]})
    assert body_of(answer)["results"] == plain(server, "price", [OSLO, BERGEN])
    answer = post(server, "/v1/models/price:classify", {"examples": [OSLO]})
    assert answer.status == 400
    assert "no output with scores of classes" in body_of(answer)["error"]
    answer = post(server, "/v1/models/price:regress", {"examples": {}})
    assert "no list of objects 'examples'" in body_of(answer)["error"]


@pytest.mark.client("TensorFlow Serving REST", "status and metadata")
@pytest.mark.parametrize("place", ["", "/versions/1", "/labels/stable"])
def test_status_and_metadata_are_those_of_tensorflow_serving_and_kserve(
    server: Any, place: str
) -> None:
    if place == "/labels/stable":
        assert get(server, f"/v1/models/echo{place}").status == 404  # nobody has set one
        return
    assert body_of(get(server, f"/v1/models/echo{place}")) == {
        "name": "echo",
        "ready": True,
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ],
    }
    found = body_of(get(server, f"/v1/models/echo{place}/metadata"))
    assert found["model_spec"] == {"name": "echo", "signature_name": "", "version": "1"}
    definition = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert definition["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert [one["size"] for one in definition["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "2"]


def test_kserve_lists_models_and_has_no_explainer(server: Any) -> None:
    assert body_of(get(server, "/v1/models")) == {"models": ["echo", "pair", "person", "price"]}
    assert body_of(get(server, "/", "accept: */*")) == {"status": "alive"}
    answer = post(server, "/v1/models/echo:explain", {"instances": [[1, 2]]})
    assert answer.status == 501
    assert get(server, "/v1/models/nope").status == 404
    answer = get(server, "/v1/models/echo:classify")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


# -- MLflow, SageMaker, Vertex AI, Azure ML --------------------------------------------------------

ROWS = [[31, "Oslo", None], [55, "Bergen", 2.5]]
SPLIT = {"columns": NAMES, "index": [0, 1], "data": ROWS}


@pytest.mark.client("MLflow, Azure ML, SageMaker", "/invocations, /score with each form of rows")
@pytest.mark.parametrize("path", ["/invocations", "/score", "/models/person/invoke"])
@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": SPLIT, "params": {}},
        {"dataframe_records": [OSLO, BERGEN]},
        {"instances": [OSLO, BERGEN]},
        {"instances": ROWS},
        {"input_data": SPLIT},
        {"input_data": [OSLO, BERGEN]},
    ],
)
def test_each_form_of_rows_gives_the_same_predictions(server: Any, path: str, body: Any) -> None:
    expected = plain(server, "person", [OSLO, BERGEN])
    answer = post(server, path, body)
    assert (answer.status, body_of(answer)) == (200, {"predictions": expected})


@pytest.mark.client("MLflow, SageMaker", "CSV")
@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=utf-8", "Text/CSV"])
@pytest.mark.parametrize(
    "text",
    [
        "age,city,income\n31,Oslo,\n55,Bergen,2.5\n",
        "city,income,age\r\nOslo,,31\r\nBergen,2.5,55\r\n",
        "\ufeff31,Oslo,\n55,Bergen,2.5",
    ],
)
def test_csv_gives_the_same_predictions_with_and_without_a_header(
    server: Any, kind: str, text: str
) -> None:
    answer = post(server, "/invocations", text.encode(), kind)
    expected = plain(server, "person", [OSLO, BERGEN])
    assert (answer.status, body_of(answer)) == (200, {"predictions": expected})


@pytest.mark.parametrize("text", ["nan,2\n", ",2\n", "a,b\n,2\n"])
def test_a_missing_number_is_no_header(server: Any, text: str) -> None:
    answer = post(server, "/models/echo/invoke", text.encode(), "text/csv")
    if text.startswith("nan"):  # refused, never passed over
        assert answer.status == 400
    else:
        assert body_of(answer) == {"predictions": [[None, 2.0]]}


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "a,b\n1,2\n3,4\n"])
def test_csv_of_a_model_without_names_is_read_by_order(server: Any, text: str) -> None:
    answer = post(server, "/models/echo/invoke", text.encode(), "text/csv")
    assert body_of(answer) == {"predictions": [[1.0, 2.0], [3.0, 4.0]]}


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        ([OSLO], "application/json", 400, "expected an object with exactly one of"),
        ({}, "application/json", 400, "the body has none"),
        (
            {"instances": [OSLO], "inputs": [1]},
            "application/json",
            400,
            "has 'instances' and 'inputs'",
        ),
        ({"instances": [OSLO], "params": {"t": 1}}, "application/json", 400, "'params' are given"),
        ({"dataframe_split": {"columns": ["age"]}}, "application/json", 400, "'columns' and 'data"),
        (
            {"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}},
            "application/json",
            400,
            "row 0 of 'dataframe_split' is a list of 2 values",
        ),
        ({"dataframe_records": [{"age": 1}]}, "application/json", 400, "lacks the columns"),
        (b"age,city\n31,Oslo\n", "text/csv", 400, "row 0 lacks the column 'income'"),
        (b"31,Oslo,1,2\n", "text/csv", 400, "row 0 has 4 values"),
        (b"31,Oslo,1\n2\n", "text/csv", 400, "line 2 of the CSV has 1 cells"),
        (b"1_000,Oslo,2\n", "text/csv", 400, "column 'age' is '1_000'"),
        (b"age,age,income\n1,2,3\n", "text/csv", 400, "names a column twice"),
        (b"\xff", "text/csv", 400, "not UTF-8"),
        (b'age,city,income\n31,"Oslo,2\n32,Bern,2\n', "text/csv", 400, "no second one"),
        (b"", "text/csv", 400, "empty"),
        (b"," * (1 << 20) + b"\n", "text/csv", 413, "more than 1048576 cells"),
        (b"x", "application/x-parquet", 415, "not spoken here"),
        (b"a,b", "text/csv; charset=latin-1", 415, "charset"),
        (b"{}", "application/msgpack", 415, "application/json or text/csv"),
    ],
)
def test_errors_have_the_form_of_mlflow(
    server: Any, body: Any, kind: str, status: int, reason: str
) -> None:
    answer = post(server, "/invocations", body, kind)
    assert answer.status == status
    assert reason in body_of(answer)["message"]
    assert body_of(answer)["error_code"] == "BAD_REQUEST"


@pytest.mark.client("SageMaker", "tensors, as Triton takes them")
def test_tensors_of_the_open_inference_protocol_are_taken_as_tritons_containers_do(
    server: Any,
) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
    body = {"id": "7", "inputs": [{**tensor, "data": [1, 2]}]}
    answer = post(server, "/models/echo/invoke", body)
    assert body_of(answer)["id"] == "7"
    assert body_of(answer)["outputs"][0]["data"] == [1.0, 2.0]
    assert "x" not in plain(server, "echo", [[1, 2]])
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    for _ in range(4):
        kind = f"application/vnd.sagemaker-triton.binary+json;json-header-size={len(head)}"
        answer = post(server, "/models/echo/invoke", head + struct.pack("<2f", 1, 2), kind)
        assert answer.status == 200, answer.body
        told = answer.headers["content-type"]
        media_type, _, size = told.partition(";json-header-size=")
        assert media_type == "application/vnd.sagemaker-triton.binary+json"
        assert struct.unpack("<2f", answer.body[int(size) :]) == (1.0, 2.0)
    kind = "application/vnd.sagemaker-triton.binary+json"
    assert post(server, "/models/echo/invoke", head, kind).status == 400


@pytest.mark.client("MLflow, SageMaker", "/ping, /health, /version")
def test_the_server_is_well_for_mlflow_and_sagemaker(server: Any) -> None:
    assert get(server, "/ping").status == 200
    assert get(server, "/health").status == 200
    assert get(server, "/version").status == 200
    names = [one["modelName"] for one in body_of(get(server, "/models"))["models"]]
    assert names == ["echo", "pair", "person", "price"]
    assert body_of(get(server, "/models/echo"))["modelName"] == "echo"
    assert get(server, "/models/nope").status == 404
    assert post(server, "/models", {"model_name": "echo", "url": "s3://x"}).status == 409
    assert post(server, "/models", {"model_name": "nope", "url": "s3://x"}).status == 404
    assert post(server, "/models", {"model_name": ["echo"], "url": "s3://x"}).status == 404
    assert get(server, "/models/echo", method="DELETE").status == 501


def test_a_default_model_that_is_not_served_is_not_well(registry: Path, live_server: Any) -> None:
    with live_server(registry, default_model="nope") as server:
        assert get(server, "/ping").status == 404
        assert get(server, "/v2/health/ready").status == 200


def test_without_a_default_model_the_error_says_what_to_do(
    registry: Path, live_server: Any
) -> None:
    with live_server(registry) as server:
        answer = post(server, "/invocations", {"instances": [OSLO]})
    assert (answer.status, body_of(answer)["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "default_model (it has 4)" in body_of(answer)["message"]


def test_an_only_model_is_the_default_model(
    tmp_path: Path, onnx_file: Callable[..., Path], live_server: Any
) -> None:
    onnx_file(
        tmp_path / "echo" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
    )
    with live_server(tmp_path) as server:
        assert body_of(post(server, "/invocations", {"inputs": [[1, 2]]})) == {
            "predictions": [[1.0, 2.0]]
        }


# -- Vertex AI, and the header of SageMaker --------------------------------------------------------


@pytest.mark.client("Vertex AI", "AIP_PREDICT_ROUTE, AIP_HEALTH_ROUTE")
@pytest.mark.parametrize("way", ["fast", "asgi"])
def test_the_routes_that_vertex_ai_names_are_served(
    registry: Path, live_server: Any, way: str
) -> None:
    options = {
        "default_model": "echo",
        "predict_route": "/v1/endpoints/7/deployedModels/9:predict",
        "health_route": "/well",
    }
    with live_server(registry, way, **options) as server:
        assert get(server, "/well").status == 200
        answer = post(server, options["predict_route"], {"instances": [[1, 2]], "parameters": None})
        assert body_of(answer) == {"predictions": [[1.0, 2.0]]}


def test_parameters_that_no_model_takes_are_refused_by_name(server: Any) -> None:
    body = {"instances": [OSLO], "parameters": {"confidenceThreshold": 0.5}}
    answer = post(server, "/invocations", body)
    assert answer.status == 400
    assert b"'confidenceThreshold'" in answer.body
    assert post(server, "/invocations", {**body, "parameters": {"priority": 0}}).status == 200


@pytest.mark.client("SageMaker", "custom attributes")
def test_the_attributes_of_a_caller_of_sagemaker_come_back(server: Any) -> None:
    body = json.dumps({"instances": [OSLO]}).encode()
    head = "POST /invocations HTTP/1.1\r\nHost: test\r\ncontent-type: application/json\r\n"
    name = "X-Amzn-SageMaker-Custom-Attributes"
    for value, shown in (("trace=42, note=a b", "trace=42, note=a b"), ("x" * 1025, None)):
        lines = f"{head}{name}: {value}\r\ncontent-length: {len(body)}\r\n\r\n"
        answer = server.ask(lines.encode() + body)
        assert answer.status == 200
        assert answer.headers.get(name.lower()) == shown
