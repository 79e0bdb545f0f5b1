from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs import msgpack as codec
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.raw import MIN_VIEW_BYTES
from penstock.server.errors import InvalidRequest


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 2)))


def pack(*inputs: Any, **extras: Any) -> bytes:
    packed: bytes = msgpack.packb({"inputs": list(inputs), **extras})
    return packed


@pytest.mark.parametrize(
    "data",
    [np.array([1, 2.5], np.float32).tobytes(), [1, 2.5], [[1, 2.5]], (1.0, 2.5)],
)
def test_data_is_raw_or_a_list(wire: Any, tensor: Any, data: Any) -> None:
    request = codec.decode(pack(tensor(data, [1, 2]), id="7"), wire)
    assert request.inputs[0].tolist() == [[1, 2.5]]  # type: ignore[union-attr]
    assert request.id == "7"


def test_nan_and_infinity_need_no_spelling(wire: Any, tensor: Any) -> None:
    request = codec.decode(pack(tensor([float("nan"), float("-inf")], [1, 2])), wire)
    assert np.array_equal(
        request.inputs[0],  # type: ignore[arg-type]
        np.array([[np.nan, -np.inf]], np.float32),
        equal_nan=True,
    )


def test_byte_strings_are_lists(wire_of: Any, tensor: Any) -> None:
    wire = wire_of(("x", "BYTES", (-1,)))
    request = codec.decode(pack(tensor([b"\xff", "é", b""], [3], "BYTES")), wire)
    assert request.inputs[0].tolist() == [b"\xff", "é".encode(), b""]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid msgpack"),
        (b"\xc1", "the body is not valid msgpack"),
        (b"\x80\x80", "the body is not valid msgpack"),
        (b"\x81\x90\x90", "the body is not valid msgpack"),
        (b"\xdf\xff\xff\xff\xff", "the body is not valid msgpack"),
        (b"\x91" * 5000, "the body is not valid msgpack"),
        (b"\xa1\xff", "the body is not valid msgpack"),
        (b"\x81\xa6inputs\xd6\xff\0\0\0\0", "'inputs' that are not a list"),
        (b"\x07", "the body must be an object with 'inputs', not 7"),
        (pack(), "missing input 'x'"),
    ],
)
def test_bodies_that_are_no_requests(wire: Any, body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        codec.decode(body, wire)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1234567", r"FP32 of shape \[1, 2\] takes 8 bytes, got 7"),
        (None, "has no 'data'; expected bin, or a list of numbers"),
        ("12345678", "has 'data' that is '12345678'; expected bin"),
        ([1], r"shape \[1, 2\] needs 2 elements, data has 1"),
        ([b"1", 2], "element 0 is b'1'; FP32 takes numbers"),
        ([1e39, 2], "outside the range of FP32"),
    ],
)
def test_wrong_data(wire: Any, tensor: Any, data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        codec.decode(pack(tensor(data, [1, 2])), wire)


def test_byte_strings_as_one_bin_are_refused(wire_of: Any, tensor: Any) -> None:
    wire = wire_of(("x", "BYTES", (-1,)))
    with pytest.raises(InvalidRequest, match="expected a list of bin"):
        codec.decode(pack(tensor(b"abc", [1], "BYTES")), wire)


@pytest.mark.parametrize("identity", [None, "7", "é" * 100])
def test_a_response_in_full(wire: Any, identity: str | None) -> None:
    request = InferRequest([None], 1, wire.all_outputs, id=identity)
    outputs = [np.array([1]), np.array([[0.25, 0.75]], np.float32)]
    body = codec.encode(wire, request, outputs)
    assert isinstance(body, bytes)
    expected: dict[str, Any] = {} if identity is None else {"id": identity}
    assert msgpack.unpackb(body) == {
        **expected,
        "model_name": "iris",
        "model_version": "3",
        "outputs": [
            {"name": n, "datatype": d, "shape": list(a.shape), "data": a.tobytes()}
            for n, d, a in zip(wire.all_outputs, ("INT64", "FP32"), outputs, strict=True)
        ],
    }


@pytest.mark.parametrize("size", [0, 255, 256, 65535, 65536, 70000])
def test_large_outputs_are_not_copied(wire_of: Any, size: int) -> None:
    wire = wire_of(("x", "FP32", (-1,)), outputs=(("y", "UINT8", (-1,)),))
    array = np.arange(size, dtype=np.uint32).astype(np.uint8)
    body = codec.encode(wire, InferRequest([None], 1, wire.all_outputs), [array])
    assert isinstance(body, list) == (size >= MIN_VIEW_BYTES)
    if isinstance(body, list):
        assert np.shares_memory(np.frombuffer(body[-1], np.uint8), array)
        body = b"".join(body)
    assert msgpack.unpackb(body)["outputs"][0]["data"] == array.tobytes()


def test_many_outputs(wire_of: Any) -> None:
    specs = tuple((f"o{index}", "INT64", (-1,)) for index in range(20))
    wire = wire_of(("x", "FP32", (-1,)), outputs=specs)
    body = codec.encode(
        wire, InferRequest([None], 1, wire.all_outputs), [np.array([i]) for i in range(20)]
    )
    assert len(msgpack.unpackb(body)["outputs"]) == 20


@given(data=st.data(), datatype=st.sampled_from(sorted(NUMPY_OF)))
def test_what_is_encoded_can_be_decoded(
    wire_of: Any, arrays: Any, data: st.DataObject, datatype: str
) -> None:
    array = data.draw(arrays(datatype))
    spec = ("t", datatype, (-1,) * array.ndim)
    wire = wire_of(spec, outputs=(spec,), batch=False)
    body = codec.encode(wire, InferRequest([None], 1, wire.all_outputs), [array])
    outputs = msgpack.unpackb(body)["outputs"]
    back = codec.decode(pack(*outputs), wire).inputs[0]
    assert back is not None
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tolist() == array.tolist() or back.tobytes() == array.tobytes()
    listed = codec.decode(pack({**outputs[0], "data": array.tolist()}), wire).inputs[0]
    assert np.array_equal(listed, array, equal_nan=datatype.startswith("FP"))  # type: ignore[arg-type]


@given(data=st.data(), rows=st.integers(0, 5), names=st.lists(st.sampled_from(sorted(NUMPY_OF))))
def test_rows_of_a_batch_are_encoded_as_if_alone(
    wire_of: Any, arrays: Any, data: st.DataObject, rows: int, names: list[str]
) -> None:
    specs = tuple((f"%o{i}", name, (-1,)) for i, name in enumerate(names or ["FP32"]))
    wire = wire_of(("x", "FP32", (-1, 2)), outputs=specs)
    batch = [data.draw(arrays(name, rows=rows)) for _, name, _ in specs]
    ids = data.draw(st.lists(st.none() | st.text(max_size=3), min_size=rows, max_size=rows))
    requests = [InferRequest([None], 1, wire.all_outputs, id=identity) for identity in ids]
    alone = [
        codec.encode(wire, request, [array[row : row + 1] for array in batch])
        for row, request in enumerate(requests)
    ]
    assert codec.encode_rows(wire, requests, batch) == alone


@pytest.mark.parametrize("name", ["x", "xx", "xxx", "xxxx"])
def test_a_large_tensor_is_right_and_copied_only_where_it_is_not_aligned(
    wire_of: Any, name: str
) -> None:
    values = np.arange(codec.COPIED_BYTES // 2, dtype=np.float32).reshape(-1, 2)
    entry = {
        "name": name,
        "shape": list(values.shape),
        "datatype": "FP32",
        "data": values.tobytes(),
    }
    body = msgpack.packb({"inputs": [entry], "parameters": {"priority": 1}})
    request = codec.decode(body, wire_of((name, "FP32", (-1, 2))))
    (array,) = request.inputs
    assert np.array_equal(array, values)
    assert not array.flags.writeable
    whole = np.frombuffer(body, np.uint8)
    start = whole.ctypes.data + body.index(values[:8].tobytes())
    assert np.shares_memory(array, whole) == (start % 4 == 0)
    assert array.flags.aligned


def test_a_large_bin_for_texts_is_refused_as_a_small_one_is(wire_of: Any, tensor: Any) -> None:
    wire = wire_of(("x", "BYTES", (-1,)))
    problems = set()
    for size in (10, 2 * codec.COPIED_BYTES):
        with pytest.raises(InvalidRequest) as caught:
            codec.decode(pack(tensor(b"a" * size, [1], "BYTES")), wire)
        problems.add(str(caught.value)[:40])
    assert len(problems) == 1
