"""Requests whose tensors travel as raw bytes: what differs in these only is read together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.codecs import binary
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.negotiate import BINARY, JSON, MSGPACK, rows_codec
from penstock.server.codecs.signature import WireSignature
from penstock.server.http.coalescing import raw_template
from penstock.server.http.coalescing.coalescer import Coalescer
from penstock.server.http.coalescing.head_cache import HeadCache
from penstock.server.http.coalescing.request_templates import MAX_ALIKE, MAX_TRIES
from penstock.server.http.coalescing.text_template import MAX_TEMPLATES
from penstock.server.inference.call import Call
from penstock.server.inference.head import RequestHead, read_head

X = TensorSpec("x", "FP32", (-1, 3))
WRITER: Any = object()
ROW = np.array([[1.5, -2.0, 3.25]], np.float32)


def wire(*inputs: TensorSpec, batch_axis: bool = True) -> WireSignature:
    outputs = (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("label", "INT64", (-1,)))
    return WireSignature(Signature(inputs or (X,), outputs, batch_axis), "m", "1")


def timely() -> WireSignature:
    signature = wire()
    signature.event_time = "at"
    return signature


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


def learn(
    codec: Any, body: bytes, signature: WireSignature, length: int | None = None
) -> raw_template.RawTemplate | None:
    head = RequestHead("m", None)
    head.codec, head.json_length = codec, length
    return raw_template.learn(head, body, signature)


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=12, max_size=12), min_size=1, max_size=5),
    st.sampled_from(["msgpack", "binary"]),
)
def test_rows_read_together_are_those_read_alone(tensors: list[bytes], kind: str) -> None:
    body, length = (packed(ROW), None) if kind == "msgpack" else joined(ROW)
    codec = MSGPACK if kind == "msgpack" else JSON
    template = learn(codec, body, wire(), length)
    assert template is not None
    together = template.read_rows(tensors)
    for number, raw in enumerate(tensors):
        alone = codec.decode(template.key.prefix + raw + template.key.closing, wire(), length)
        assert alone.inputs[0] is not None
        assert together[number : number + 1].tobytes() == alone.inputs[0].tobytes()
        assert together[number].shape == alone.inputs[0].shape[1:]
        assert (alone.outputs, alone.key) == (template.request.outputs, template.request.key)
        assert alone.binary_outputs == template.request.binary_outputs


def test_the_decoder_says_where_the_tensor_is() -> None:
    """Also where the same bytes are elsewhere in the body, before or behind it."""
    zeros = np.zeros((1, 3), np.float32)
    raw = zeros.tobytes()
    before = msgpack.packb({"x": raw, "inputs": [entry(zeros, data=raw)]})
    template = learn(MSGPACK, before, wire())
    assert template is not None
    assert before.endswith(template.key.prefix[-2:] + raw)
    assert template.key.prefix.count(raw) == 1
    behind = msgpack.packb({"inputs": [entry(zeros, data=raw)], "x": raw})
    template = learn(MSGPACK, behind, wire())
    assert template is not None
    assert template.key.closing.count(raw) == 1


@settings(deadline=None)
@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_lists_of_numbers_are_never_raw(numbers: list[float]) -> None:
    for options in ({}, {"use_single_float": True}):
        body = msgpack.packb({"inputs": [entry(ROW, data=numbers)]}, **options)
        assert learn(MSGPACK, body, wire()) is None


def test_a_body_with_a_key_twice_is_never_raw() -> None:
    name, data = msgpack.packb("data"), msgpack.packb(ROW.tobytes())
    twice = packed(ROW).replace(b"\x84", b"\x85", 1).replace(name, name + data + name, 1)
    assert MSGPACK.decode(twice, wire(), None).rows == 1
    assert learn(MSGPACK, twice, wire()) is None


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (packed(np.ones((2, 3), np.float32)), wire()),
        (packed(ROW, id="7"), wire()),
        (packed(ROW, parameters={"timeout": 5}), wire()),
        (packed(ROW, outputs=[{"name": "label"}, {"name": "y"}]), wire()),
        (packed(ROW), wire(X, TensorSpec("z", "FP32", (-1, 3), optional=True))),
        (packed(ROW), wire(TensorSpec("x", "FP32", (1, 3)), batch_axis=False)),
        (packed(ROW), wire(TensorSpec("x", "FP32", (-1, 3), optional=True))),
        (packed(ROW, parameters={"at": 5}), timely()),
        (msgpack.packb({"inputs": [entry(ROW, data=ROW.ravel().tolist())]}), wire()),
        (b"\xc1", wire()),
    ],
    ids=[
        "rows",
        "id",
        "timeout",
        "order",
        "two-inputs",
        "no-batch",
        "optional",
        "time",
        "list",
        "broken",
    ],
)
def test_what_is_special_has_no_template(body: bytes, signature: WireSignature) -> None:
    assert learn(MSGPACK, body, signature) is None


def test_all_bytes_but_the_tensor_are_part_of_the_key_and_its_length_is() -> None:
    signature = wire(TensorSpec("x", "FP32", (-1, -1)))
    bodies = [(packed(ROW, outputs=[{"name": name}]), None, MSGPACK) for name in ("y", "label")]
    bodies += [(ROW.tobytes(), 0, JSON), (ROW.tobytes() * 2, 0, JSON), (*joined(ROW), JSON)]
    learnt = [learn(codec, body, signature, length) for body, length, codec in bodies]
    for template, (body, length, codec) in zip(learnt, bodies, strict=True):
        assert template is not None
        assert template is learn(codec, body, signature, length)
        assert template.request.outputs == codec.decode(body, signature, length).outputs
        assert template.shape == codec.decode(body, signature, length).inputs[0].shape
    assert len({template.key for template in learnt if template is not None}) == len(bodies)


def test_each_version_learns_for_itself_and_memory_is_bounded() -> None:
    body, old, new = packed(ROW), wire(), wire(TensorSpec("other", "FP32", (-1, 3)))
    assert learn(MSGPACK, body, old) is not None
    assert learn(MSGPACK, body, new) is None
    assert not new.body_templates
    for number in range(2 * MAX_TEMPLATES):
        assert learn(MSGPACK, packed(ROW, note=number), old) is not None
        assert len(old.body_templates) <= MAX_TEMPLATES


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


class Loop:
    def __init__(self) -> None:
        self.signature = wire()
        self.heads = HeadCache()
        self.coalescer = Coalescer(self, self.heads, self)  # type: ignore[arg-type]

    def serve(self, gathered: Any) -> None: ...

    def call_soon(self, _: Any) -> None: ...

    def answer(self, body: bytes, host: str = "x") -> bytes:
        """Answer a request that was read the plain way; returns its bytes."""
        raw = f"POST /v2/models/m/infer HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        head = self.heads.get(raw)
        if head is None:
            head = read_head("m", None, [(b"content-type", b"application/msgpack")])
            head.lines = raw
            self.heads[raw] = head
        call = Call(WRITER, head, 0.0)
        call.body = body
        call.servable = SimpleNamespace(wire=self.signature)  # type: ignore[assignment]
        self.coalescer.learn([(call, None)])
        return raw + body


def test_only_requests_that_differ_in_the_tensor_match() -> None:
    loop = Loop()
    raw = loop.answer(packed(ROW))
    other = raw.replace(ROW.tobytes(), (2 * ROW).tobytes())
    assert loop.coalescer.try_take(WRITER, other, 0.0) is not None
    (group,) = loop.coalescer._busy
    (numbers,) = group.numbers
    assert numbers == (2 * ROW).tobytes()
    assert other.endswith(b"\r\n\r\n" + group.body(numbers))
    assert group.template(loop.signature) is not None
    for wrong in (
        raw[:-1],
        raw + b"\0",
        raw.replace(b"host: x", b"host: y"),
        raw.replace(b"FP32", b"FP64"),
    ):
        assert loop.coalescer.try_take(WRITER, wrong, 0.0) is None


def test_a_group_goes_by_the_template_of_the_version_that_is_asked() -> None:
    loop, old, new = Loop(), wire(), wire(TensorSpec("x", "FP32", (-1, 3)))
    loop.signature = old
    raw = loop.answer(packed(ROW))
    loop.coalescer.try_take(WRITER, raw, 0.0)
    (group,) = loop.coalescer._busy
    found = group.template(old)
    assert found is not None
    assert group.template(new) is None
    loop.signature = new
    loop.answer(packed(2 * ROW))
    later = group.template(new)
    assert later is not None
    assert later in new.body_templates.values()
    assert group.template(old) is found


def test_what_cannot_be_learnt_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    original = raw_template.learn
    monkeypatch.setattr(raw_template, "learn", lambda *args: tried.append(1) or original(*args))
    loop = Loop()
    for _ in range(3 * MAX_TRIES):
        raw = loop.answer(packed(ROW, id="7"))
    assert loop.coalescer.try_take(WRITER, raw, 0.0) is None
    assert len(tried) == MAX_TRIES


def test_what_is_known_is_not_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    raw = loop.answer(packed(ROW))
    monkeypatch.setattr(raw_template, "learn", pytest.fail)
    assert loop.answer(packed(2 * ROW)).startswith(raw[:20])


def test_templates_of_one_length_are_bounded() -> None:
    loop = Loop()
    raws = [loop.answer(packed(ROW), f"{number:04}") for number in range(3 * MAX_ALIKE)]
    assert loop.coalescer.try_take(WRITER, raws[0], 0.0) is None
    assert loop.coalescer.try_take(WRITER, raws[-1], 0.0) is not None
