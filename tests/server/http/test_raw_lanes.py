"""Requests whose tensors travel as raw bytes: what differs in these only is read together."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.http.codecs import binary, known_raw
from penstock.server.http.codecs.messages import InferRequest
from penstock.server.http.codecs.negotiate import BINARY, JSON, MSGPACK, rows_codec
from penstock.server.http.codecs.signature import WireSignature
from penstock.server.http.head import RequestHead, read_head
from penstock.server.http.lanes import MAX_ALIKE, Lanes

X = TensorSpec("x", "FP32", (-1, 3))
DOOR: Any = object()
ROW = np.array([[1.5, -2.0, 3.25]], np.float32)


def wire(*inputs: TensorSpec, batch_axis: bool = True) -> WireSignature:
    outputs = (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("label", "INT64", (-1,)))
    return WireSignature(Signature(inputs or (X,), outputs, batch_axis), "m", "1")


def entry(array: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": list(array.shape), "datatype": "FP32"} | more


def packed(array: np.ndarray, **more: Any) -> bytes:
    body: bytes = msgpack.packb({"inputs": [entry(array, data=array.tobytes())], **more})
    return body


def joined(array: np.ndarray, **more: Any) -> tuple[bytes, int]:
    parameters = {"binary_data_size": array.nbytes}
    document = {"inputs": [entry(array, parameters=parameters)], **more}
    if "parameters" not in more:
        document["parameters"] = {"binary_data_output": True}
    text = orjson.dumps(document)
    return text + array.tobytes(), len(text)


@given(
    st.lists(st.binary(min_size=12, max_size=12), min_size=1, max_size=5),
    st.sampled_from(["msgpack", "binary"]),
)
def test_rows_read_together_are_those_read_alone(tensors: list[bytes], kind: str) -> None:
    body, length = (packed(ROW), None) if kind == "msgpack" else joined(ROW)
    codec = MSGPACK if kind == "msgpack" else JSON
    frame = known_raw.learn(codec, length, body, wire())
    assert frame is not None
    together = frame.read_rows(tensors)
    for number, raw in enumerate(tensors):
        alone = codec.decode(frame.prefix + raw + frame.closing, wire(), length)
        assert alone.inputs[0] is not None
        assert together[number : number + 1].tobytes() == alone.inputs[0].tobytes()
        assert together[number].shape == alone.inputs[0].shape[1:]
        assert (alone.outputs, alone.key) == (frame.request.outputs, frame.request.key)
        assert alone.binary_outputs == frame.request.binary_outputs


def test_a_tensor_that_is_found_elsewhere_in_the_body_too_is_not_mistaken() -> None:
    zeros = np.zeros((1, 3), np.float32)
    body = msgpack.packb({"x": zeros.tobytes(), "inputs": [entry(zeros, data=zeros.tobytes())]})
    frame = known_raw.learn(MSGPACK, None, body, wire())
    assert frame is None or frame.prefix + zeros.tobytes() + frame.closing == body
    behind = msgpack.packb({"inputs": [entry(zeros, data=zeros.tobytes())], "x": zeros.tobytes()})
    assert known_raw.learn(MSGPACK, None, behind, wire()) is None


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (packed(np.ones((2, 3), np.float32)), wire()),
        (packed(ROW, id="7"), wire()),
        (packed(ROW, parameters={"timeout": 5}), wire()),
        (packed(ROW, outputs=[{"name": "label"}, {"name": "y"}]), wire()),
        (packed(ROW), wire(X, TensorSpec("z", "FP32", (-1, 3), optional=True))),
        (packed(ROW), wire(TensorSpec("x", "FP32", (1, 3)), batch_axis=False)),
        (packed(np.ones((1, 17_000), np.float32)), wire(TensorSpec("x", "FP32", (-1, -1)))),
        (msgpack.packb({"inputs": [entry(ROW, data=ROW.ravel().tolist())]}), wire()),
        (b"\xc1", wire()),
    ],
    ids=["rows", "id", "timeout", "order", "two-inputs", "no-batch", "large", "list", "broken"],
)
def test_what_is_special_has_no_frame(body: bytes, signature: WireSignature) -> None:
    assert known_raw.learn(MSGPACK, None, body, signature) is None


def test_a_frame_is_learnt_once_for_each_version_and_memory_is_bounded() -> None:
    body, old, new = packed(ROW), wire(), wire(TensorSpec("other", "FP32", (-1, 3)))
    frame = known_raw.learn(MSGPACK, None, body, old)
    assert frame is not None
    found = known_raw.known(MSGPACK, None, frame.prefix, lambda: body, old)
    assert found is known_raw.known(MSGPACK, None, frame.prefix, lambda: body, old)
    assert known_raw.known(MSGPACK, None, frame.prefix, lambda: body, new) is None
    assert new.raw_frames == {frame.prefix: None}
    for number in range(200):
        known_raw.known(MSGPACK, None, b"%d" % number, lambda: body, new)
    assert len(new.raw_frames) <= known_raw.MAX_FRAMES


def test_the_answers_of_a_batch_are_those_of_each_request() -> None:
    signature = wire()
    outputs = [np.arange(6, dtype=np.float32).reshape(3, 2), np.array([7, 8, 9])]
    for names in (("y", "label"), ("label",)):
        request = InferRequest([], 1, names, binary_outputs=frozenset(names))
        chosen = [outputs[("y", "label").index(name)] for name in names]
        assert rows_codec(JSON, request, signature) is BINARY
        bodies, length = binary.encode_rows(signature, [request] * 3, chosen)
        for row, body in enumerate(bodies):
            alone, size = binary.encode(signature, request, [o[row : row + 1] for o in chosen])
            assert (body, length) == (b"".join(alone), size)


def test_a_request_that_wants_some_outputs_as_json_is_answered_alone() -> None:
    mixed = InferRequest([], 1, ("y", "label"), binary_outputs=frozenset(["y"]))
    assert rows_codec(JSON, mixed, wire()) is None
    named = InferRequest([], 1, ("y",), id="7", binary_outputs=frozenset(["y"]))
    assert rows_codec(JSON, named, wire()) is None


class Service:
    def __init__(self) -> None:
        self.signature = wire()

    def wire(self, _: RequestHead) -> WireSignature:
        return self.signature

    def serve(self, alike: Any) -> None: ...

    def call_soon(self, _: Any) -> None: ...


def request(body: bytes, host: str = "x") -> tuple[RequestHead, bytes, int]:
    raw = f"POST /v2/models/m/infer HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    return read_head("m", None, [(b"content-type", b"application/msgpack")]), raw + body, len(raw)


def test_only_requests_that_differ_in_the_tensor_match() -> None:
    service = Service()
    lanes = Lanes(service, service)  # type: ignore[arg-type]
    head, raw, start = request(packed(ROW))
    assert lanes.take(DOOR, raw, 0.0) is None
    lanes.learn(head, raw, start)
    other = raw.replace(ROW.tobytes(), (2 * ROW).tobytes())
    assert lanes.take(DOOR, other, 0.0) is not None
    (lane,) = lanes._busy
    (numbers,) = lane.numbers
    assert numbers == (2 * ROW).tobytes()
    assert lane.body(numbers) == other[start:]
    for wrong in (
        raw[:-1],
        raw + b"\0",
        raw.replace(b"host: x", b"host: y"),
        raw.replace(b"FP32", b"FP64"),
    ):
        assert lanes.take(DOOR, wrong, 0.0) is None


def test_what_cannot_be_learnt_is_not_tried_again_and_again(monkeypatch) -> None:
    tried = []
    learn = known_raw.learn
    monkeypatch.setattr(known_raw, "learn", lambda *args: tried.append(1) or learn(*args))
    service = Service()
    lanes = Lanes(service, service)  # type: ignore[arg-type]
    head, raw, start = request(packed(ROW, id="7"))
    for _ in range(5):
        lanes.learn(head, raw, start)
    assert lanes.take(DOOR, raw, 0.0) is None
    assert len(tried) == 1


def test_patterns_of_one_length_are_bounded() -> None:
    service = Service()
    lanes = Lanes(service, service)  # type: ignore[arg-type]
    for number in range(3 * MAX_ALIKE):
        lanes.learn(*request(packed(ROW), host=f"{number:04}"))
    assert lanes.take(DOOR, request(packed(ROW), host="0000")[1], 0.0) is None
    last = request(packed(ROW), host=f"{3 * MAX_ALIKE - 1:04}")[1]
    assert lanes.take(DOOR, last, 0.0) is not None
