"""Predictions that web pages of other origins ask for, behind both doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAGE = "https://app.example.com"
INFER = "/v2/models/echo/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
).encode()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    root = tmp_path_factory.mktemp("cors")
    onnx_file(
        root / "echo" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
    )
    return root


@pytest.fixture(scope="module", params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    origins = f"{PAGE}, http://localhost:5173"
    with live_server(registry, request.param, cors_origins=origins) as server:
        yield server


def ask(server: Any, method: str, path: str, *headers: str, body: bytes = b"") -> Any:
    """The answer to a request with these header lines."""
    lines = "".join(
        f"{line}\r\n" for line in ("Host: test", f"content-length: {len(body)}", *headers)
    )
    return server.ask(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)


def predict(server: Any, *headers: str, path: str = INFER) -> Any:
    return ask(server, "POST", path, "content-type: application/json", *headers, body=BODY)


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:5173"])
def test_a_page_of_an_allowed_origin_may_read_its_prediction(server: Any, origin: str) -> None:
    answer = predict(server, f"origin: {origin}")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "x-model-version" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]
    assert answer.body == predict(server).body


def test_errors_may_be_read_as_well(server: Any) -> None:
    answer = predict(server, f"origin: {PAGE}", path="/v2/models/none/infer")
    assert answer.status == 404
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", PAGE + ".evil.com"])
def test_a_page_of_another_origin_may_not(server: Any, origin: str) -> None:
    assert "access-control-allow-origin" not in predict(server, f"origin: {origin}").headers
    preflight = ask(
        server, "OPTIONS", INFER, f"origin: {origin}", "access-control-request-method: POST"
    )
    assert preflight.status == 400
    assert "access-control-allow-origin" not in preflight.headers


def test_a_browser_that_asks_before_is_told_what_it_may_send(server: Any) -> None:
    answer = ask(
        server,
        "OPTIONS",
        INFER,
        f"origin: {PAGE}",
        "access-control-request-method: POST",
        "access-control-request-headers: authorization,content-type,x-tenant",
    )
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-tenant" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_programs_without_an_origin_see_no_difference(server: Any) -> None:
    assert not [name for name in predict(server).headers if name.startswith("access-control")]


def test_without_the_option_no_origin_is_allowed(registry: Path, live_server: Any) -> None:
    with live_server(registry, "fast") as server:
        assert "access-control-allow-origin" not in predict(server, f"origin: {PAGE}").headers


def test_a_preflight_needs_no_token(registry: Path, live_server: Any, tmp_path: Path) -> None:
    options = {"require_predict_token": True, "state_dir": str(tmp_path), "cors_origins": "*"}
    with live_server(registry, "fast", **options) as server:
        asked = (f"origin: {PAGE}", "access-control-request-method: POST")
        assert ask(server, "OPTIONS", INFER, *asked).status == 200
        refused = predict(server, f"origin: {PAGE}")
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == "*"
