"""A server sends the traces of its predictions to a collector, by both front ends."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from penstock.server.config.config import load_config
from penstock.server.files.config_error import ConfigError
from penstock.server.oip.schema import INFER, SERVICE, STREAM, message
from penstock.server.tracing import setup, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01", "baggage": "tenant=oslo"}
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


class Collector:
    """Takes spans by OTLP over HTTP, as a real collector does."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.came = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(self.path, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, request: ExportTraceServiceRequest) -> None:
        assert path == "/v1/traces"
        with self.came:
            for resource in request.resource_spans:
                (service,) = [
                    one.value.string_value
                    for one in resource.resource.attributes
                    if one.key == "service.name"
                ]
                for scope in resource.scope_spans:
                    self.spans += [(service, span) for span in scope.spans]
            self.came.notify_all()

    def wait(self, number: int) -> list[tuple[str, Any]]:
        """All spans, once there are so many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.spans) >= number, 60), self.spans
            return list(self.spans)


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    root = tmp_path_factory.mktemp("traced")
    onnx_file(
        root / "echo" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
    )
    return root


@pytest.fixture
def traced(collector: Collector, live_server: Any, registry: Path) -> Callable[..., Any]:
    """A server that traces every prediction; what it has left is sent when it stops."""
    options = {"otlp_endpoint": collector.url, "trace_rate": 1, "service_name": "svc"}

    def serve(frontend: str = "fast") -> Any:
        return live_server(registry, frontend, **options)

    return serve


def attributes_of(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
def test_a_prediction_is_a_span_in_the_trace_of_its_caller(
    traced: Any, collector: Collector, frontend: str
) -> None:
    with traced(frontend) as server, httpx.Client(base_url=server.url) as client:
        answer = client.post("/v2/models/echo/infer", json=BODY, headers=SAMPLED)
        assert answer.status_code == 200
    named = {span.name: span for service, span in collector.wait(4) if service == "svc"}
    request = named["predict echo"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
    attributes = attributes_of(request)
    assert attributes["penstock.request_id"] == answer.headers["x-request-id"]
    assert attributes["penstock.version"] == "1"
    assert attributes["http.response.status_code"] == 200
    assert attributes["baggage.tenant"] == "oslo"
    parts = [named[name] for name in ("queue", "compute", "encode")]
    assert {part.parent_span_id for part in parts} == {request.span_id}
    moments = [request.start_time_unix_nano]
    for part in parts:
        moments += [part.start_time_unix_nano, part.end_time_unix_nano]
    assert moments == sorted(moments)
    assert moments[-1] <= request.end_time_unix_nano


def test_a_call_of_grpc_is_a_span_in_the_trace_of_its_caller(
    traced: Any, collector: Collector, grpc_server: Any
) -> None:
    metadata = tuple(SAMPLED.items())
    with traced() as server, grpc_server(server) as port, grpc.insecure_channel(port.address) as to:
        request = message("ModelInferRequest")(model_name="echo")
        request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
        request.raw_input_contents.append(bytes(8))
        infer = to.unary_unary(f"/{SERVICE}/{INFER}", lambda one: one.SerializeToString())
        _, call = infer.with_call(request, metadata=metadata)
        stream = to.stream_stream(f"/{SERVICE}/{STREAM}", lambda one: one.SerializeToString())
        assert len(list(stream(iter([request]), metadata=metadata))) == 1
        request.model_name = "none"
        with pytest.raises(grpc.RpcError):
            infer(request, metadata=metadata)
    spans = [span for _, span in collector.wait(9) if span.name.startswith("predict")]
    assert {(one.trace_id.hex(), one.parent_span_id.hex()) for one in spans} == {(TRACE, SPAN)}
    first, streamed, refused = map(attributes_of, spans)
    assert first["penstock.request_id"] == dict(call.trailing_metadata())["x-request-id"]
    assert (first["baggage.tenant"], first["penstock.version"]) == ("oslo", "1")
    names = "rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"
    assert [first[name] for name in names] == ["grpc", SERVICE, INFER, 0]
    assert [streamed[name] for name in names] == ["grpc", SERVICE, STREAM, 0]
    assert [refused[name] for name in names] == ["grpc", SERVICE, INFER, 5]
    assert not [name for name in first if name.startswith("http.")]


def test_a_caller_that_does_not_record_is_not_recorded(traced: Any, collector: Collector) -> None:
    with traced() as server, httpx.Client(base_url=server.url) as client:
        for last in ("00", "01"):
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-{last}", "x-request-id": f"id-{last}"}
            client.post("/v2/models/echo/infer", json=BODY, headers=headers)
    requests = [span for _, span in collector.wait(4) if span.name == "predict echo"]
    assert [attributes_of(span)["penstock.request_id"] for span in requests] == ["id-01"]


def test_coalesced_requests_are_traced_one_by_one(traced: Any, collector: Collector) -> None:
    body = json.dumps(BODY).encode()
    head = f"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    with traced() as server, server.connect() as client:
        for _ in range(8):
            assert client.send(head.encode() + body).answer().status == 200
    requests = [span for _, span in collector.wait(32) if span.name == "predict echo"]
    assert len({attributes_of(span)["penstock.request_id"] for span in requests}) == 8


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/models/none/infer", 404), ("/v2/models/echo/infer", 400)]
)
def test_an_error_is_a_span_with_its_code(
    traced: Any, collector: Collector, path: str, status: int
) -> None:
    with traced() as server, httpx.Client(base_url=server.url) as client:
        assert client.post(path, json={}, headers=SAMPLED).status_code == status
    ((_, span),) = collector.wait(1)
    assert attributes_of(span)["http.response.status_code"] == status
    assert attributes_of(span)["error.type"]
    assert span.status.code == 0  # a caller's mistake is no failure of the server


def test_a_collector_that_is_away_costs_no_answer(traced: Any, collector: Collector) -> None:
    collector.server.server_close()
    with traced() as server, httpx.Client(base_url=server.url) as client:
        for _ in range(5):
            answer = client.post("/v2/models/echo/infer", json=BODY, headers=SAMPLED)
            assert answer.status_code == 200


def test_a_collector_that_never_answers_holds_no_stop_up(
    monkeypatch: pytest.MonkeyPatch, traced: Any, collector: Collector
) -> None:
    monkeypatch.setattr(spans, "SEND_SECONDS", 3600.0)
    answers = threading.Event()
    monkeypatch.setattr(collector, "take", lambda *_: answers.wait(300))
    with traced() as server, httpx.Client(base_url=server.url) as client:
        client.post("/v2/models/echo/infer", json=BODY, headers=SAMPLED)
        tracing = server.app.engine.tracing
        server.on_loop(tracing.flush)  # what follows an answer has been done
        closing = threading.Thread(target=tracing.close)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
    answers.set()


def test_the_extra_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(setup, "can_export", lambda: False)
    config = load_config({"registry": "x", "otlp_endpoint": "http://collector:4318"}, {})
    with pytest.raises(ConfigError, match=r"otlp_endpoint needs the extra otel: .*pip"):
        setup.check_tracing(config, {})
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    setup.check_tracing(load_config({"registry": "x"}, environ), environ)
    assert "there are no traces" in caplog.text


def test_without_a_collector_there_is_no_tracing(tmp_path: Path) -> None:
    config = load_config({"registry": "x"}, {})
    assert setup.open_tracing(config, tmp_path, "worker-0", lambda: 0.0) is None
