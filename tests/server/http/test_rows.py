"""``POST /v1/models/{model}:predict``: rows with names, behind both doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from jsonschema import Draft202012Validator
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD = {"age": 31, "city": "Oslo", "income": None}
COLUMNS = "the columns 'age', 'city', 'income'"


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path], people: Any
) -> Path:
    """A classifier with named columns, ONNX models by columns and by matrix."""
    root = tmp_path_factory.mktemp("rows")
    table, labels = people
    model = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True, n_jobs=1)
    model.fit(table, labels)
    (root / "person" / "1").mkdir(parents=True)
    model.save_model(root / "person" / "1" / "model.ubj")
    onnx_file(
        root / "sum" / "1" / "model.onnx",
        [("Add", ["a", "b"], ["sum"])],
        [("a", "FLOAT", ["n", 1]), ("b", "FLOAT", ["n", 1])],
        [("sum", "FLOAT", ["n", 1])],
    )
    onnx_file(
        root / "echo" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2, 2])],
        [("y", "FLOAT", ["n", 2, 2])],
    )
    onnx_file(
        root / "open" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"]), ("Identity", ["t"], ["u"])],
        [("x", "FLOAT", ["n", "m"]), ("t", "FLOAT", ["n"])],
        [("y", "FLOAT", ["n", "m"]), ("u", "FLOAT", ["n"])],
    )
    onnx_file(
        root / "texts" / "1" / "model.onnx",
        [("Identity", ["t"], ["same"])],
        [("t", "STRING", ["n"])],
        [("same", "STRING", ["n"])],
    )
    onnx_file(
        root / "some" / "1" / "model.onnx",
        [("Greater", ["x", "least"], ["kept"]), ("Compress", ["x", "kept"], ["y"])],
        [("x", "FLOAT", ["n"])],
        [("y", "FLOAT", ["m"])],
        [numpy_helper.from_array(np.float32(-1e9), "least")],
    )
    return root


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    with live_server(registry, request.param) as server:
        yield server


def post(server: Any, path: str, body: Any, *headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(content)}", *headers)
    return server.ask("\r\n".join((*lines, "", "")).encode() + content)


def predictions(server: Any, model: str, rows: list[Any], query: str = "") -> Any:
    answer = post(server, f"/v1/models/{model}:predict{query}", {"instances": rows})
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == "1"
    return json.loads(answer.body)["predictions"]


def refusal(server: Any, model: str, rows: Any, status: int = 400) -> str:
    body = rows if isinstance(rows, bytes) else {"instances": rows}
    answer = post(server, f"/v1/models/{model}:predict", body)
    assert answer.status == status, answer
    error: str = json.loads(answer.body)["error"]
    return error


def tensors(server: Any, model: str, inputs: list[Any]) -> dict[str, Any]:
    answer = post(server, f"/v2/models/{model}/infer", {"inputs": inputs})
    assert answer.status == 200, answer
    return {one["name"]: one["data"] for one in json.loads(answer.body)["outputs"]}


def test_rows_get_what_their_tensors_get(server: Any) -> None:
    rows = [GOOD, {"city": "Bergen", "income": 2, "age": 50.5}]
    matrix = [31, 0, None, 50.5, 1, 2]
    spec = {"name": "features", "datatype": "FP32", "shape": [2, 3], "data": matrix}
    same = tensors(server, "person", [spec])
    found = predictions(server, "person", rows)
    assert [one["label"] for one in found] == same["label"]
    assert [p for one in found for p in one["probabilities"]] == same["probabilities"]
    assert predictions(server, "person", [[31, "Oslo", None], [50.5, "Bergen", 2]]) == found


def test_plain_arrays_are_given_where_they_are_wanted(server: Any) -> None:
    assert predictions(server, "person", [GOOD], "?format=tensors") == predictions(
        server, "person", [GOOD], "?format=rows"
    )
    assert predictions(server, "sum", [{"a": 1, "b": 2}], "?format=tensors") == [[3.0]]
    assert predictions(server, "texts", ["x", "y"], "?format=tensors") == ["x", "y"]
    answer = post(server, "/v1/models/sum:predict?format=csv", {"instances": []})
    assert (answer.status, json.loads(answer.body)["error"]) == (
        400,
        "format=csv is unknown; expected rows or tensors",
    )


def test_an_input_of_a_model_is_a_column(server: Any) -> None:
    assert predictions(server, "sum", [{"a": 1, "b": 2}, {"b": -1, "a": 0.5}]) == [
        {"sum": 3.0},
        {"sum": -0.5},
    ]
    assert predictions(server, "sum", [[1, 2]]) == [{"sum": 3.0}]
    assert predictions(server, "texts", [{"t": "å"}, {"t": ""}]) == [{"same": "å"}, {"same": ""}]
    assert predictions(server, "texts", ["one"]) == [{"same": "one"}]


def test_a_row_may_be_an_element_of_a_tensor(server: Any) -> None:
    picture = [[1.0, 2.0], [3.0, 4.5]]
    assert predictions(server, "echo", [picture, picture]) == [{"y": picture}] * 2
    assert predictions(server, "echo", [{"x": picture}], "?format=tensors") == [picture]
    assert "row 0 has the keys 'z'" in refusal(server, "echo", [{"z": picture}])
    assert "shape [1, 2, 2]" in refusal(server, "echo", [[1.0, 2.0]])
    open_ = [{"x": [1, 2, 3], "t": 5}, {"x": [4, 5, 6], "t": 7}]
    assert predictions(server, "open", open_) == [
        {"y": [1, 2, 3], "u": 5},
        {"y": [4, 5, 6], "u": 7},
    ]
    assert "has shape [1], expected [-1, -1]" in refusal(server, "open", [{"x": 1, "t": 5}])
    assert "element" in refusal(server, "open", [{"x": [1], "t": []}])
    assert "has 2 elements" in refusal(server, "open", [open_[0], {"x": [4, 5], "t": 7}])


def test_rows_without_elements_are_empty_lists(server: Any) -> None:
    assert (
        predictions(server, "open", [{"x": [], "t": 5}] * 2, "?format=tensors")
        == [{"y": [], "u": 5}] * 2
    )


def test_predictions_that_belong_to_no_rows_are_an_error(server: Any) -> None:
    """The model was seen to answer each row; it leaves out those below a number."""
    assert predictions(server, "some", [1, 2], "?format=tensors") == [1.0, 2.0]
    error = refusal(server, "some", [1, -2e9, 3], 500)
    assert "output 'y' of the model has shape [2] for 3 rows" in error


def test_no_rows_get_no_predictions(server: Any) -> None:
    for model in ("person", "sum", "echo", "open", "texts"):
        assert predictions(server, model, []) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"age": 31, "city": "Oslo"}, f"row 1 lacks the column 'income'; expected {COLUMNS}"),
        ({"city": "Oslo"}, "row 1 lacks the columns 'age', 'income'"),
        ({**GOOD, "agee": 1}, "row 1 has the unknown column 'agee'; did you mean age?"),
        (
            {**GOOD, "city": "Olso"},
            "row 1, column 'city' is 'Olso', expected one of 'Oslo', 'Bergen', or null",
        ),
        ({**GOOD, "city": 0}, "row 1, column 'city' is 0, expected one of"),
        ({**GOOD, "city": ["Oslo"]}, "row 1, column 'city' is a list, expected one of"),
        ({**GOOD, "age": "31"}, "row 1, column 'age' is '31', expected a number, or null"),
        ({**GOOD, "age": {}}, "row 1, column 'age' is an object, expected a number, or null"),
        ({**GOOD, "age": 1e300}, "row 1, column 'age' is 1e+300, expected a number, or null"),
        ([31, "Oslo", 1], "row 1 is a list and row 0 is an object; all rows must be alike"),
        (7, "row 1 is 7 and row 0 is an object"),
    ],
)
def test_a_wrong_row_is_named_with_its_column(server: Any, row: Any, words: str) -> None:
    assert words in refusal(server, "person", [GOOD, row])


def test_wrong_lists_and_bodies_are_told(server: Any) -> None:
    assert f"row 1 has 2 values; expected 3, for {COLUMNS}" in refusal(
        server, "person", [[31, "Oslo", 1], [31, "Oslo"]]
    )
    assert "row 0 is 5; expected an object or a list with the columns" in refusal(
        server, "person", [5]
    )
    assert "column 'a' is null, expected a number (the model takes no missing values" in refusal(
        server, "sum", [{"a": None, "b": 1}]
    )
    assert "the body has no 'instances'" in refusal(server, "sum", b'{"instance": []}')
    assert "'instances' is an object" in refusal(server, "sum", b'{"instances": {}}')
    assert "the body is a list" in refusal(server, "sum", b"[]")
    assert "is not valid JSON" in refusal(server, "sum", b'{"instances": [NaN]}')
    assert "model 'nobody' is not served" in refusal(server, "nobody", [], 404)


def test_versions_and_labels_are_chosen_by_the_path(server: Any) -> None:
    for place in ("/versions/1", "/labels/1"):
        answer = post(server, f"/v1/models/sum{place}:predict", {"instances": [[1, 2]]})
        assert (answer.status, answer.headers["x-model-version"]) == (200, "1")
    answer = post(server, "/v1/models/sum/versions/2:predict", {"instances": [[1, 2]]})
    assert answer.status == 404


def test_rows_are_json_only(server: Any) -> None:
    path = "/v1/models/sum:predict"
    msgpack = post(server, path, b"\x80", "content-type: application/msgpack")
    assert msgpack.status == 415
    binary = post(server, path, b"{}", "inference-header-content-length: 2")
    assert binary.status == 400
    answer = server.ask(b"GET /v1/models/sum:predict HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def counted(server: Any) -> float:
    """Requests of the model ``sum`` that were answered with 200."""
    text = server.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").body.decode()
    wanted = [
        line
        for line in text.splitlines()
        if line.startswith("penstock_requests_total") and 'model="sum"' in line and '"200"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


def test_rows_and_tensors_are_counted_together(server: Any) -> None:
    before = counted(server)
    predictions(server, "sum", [[1, 2], [3, 4]])
    specs = [{"name": n, "datatype": "FP32", "shape": [1, 1], "data": [1]} for n in "ab"]
    tensors(server, "sum", specs)
    assert counted(server) == before + 2


def test_a_large_body_of_rows_is_read_too(server: Any) -> None:
    rows = [{"age": float(i), "city": "Oslo", "income": None} for i in range(3000)]
    found = predictions(server, "person", rows)
    assert len(found) == 3000
    assert found[:2] == predictions(server, "person", rows[:2])


def test_the_description_has_the_columns_and_fits_what_is_sent_and_answered(
    server: Any, check_openapi: Any
) -> None:
    document = json.loads(server.ask(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").body)
    check_openapi(document)
    operation = document["paths"]["/v1/models/person:predict"]["post"]
    request, response = (
        Draft202012Validator(part["content"]["application/json"]["schema"])
        for part in (operation["requestBody"], operation["responses"]["200"])
    )
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert request.is_valid(example)
    assert response.is_valid({"predictions": predictions(server, "person", example["instances"])})
    rows = [GOOD]
    assert request.is_valid({"instances": rows})
    for wrong in ({**GOOD, "city": "Olso"}, {"age": 31}, {**GOOD, "age": "31"}, {**GOOD, "x": 1}):
        assert not request.is_valid({"instances": [wrong]})
    assert response.is_valid({"predictions": predictions(server, "person", rows)})
