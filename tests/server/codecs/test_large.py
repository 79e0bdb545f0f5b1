from __future__ import annotations

import threading
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.server.codecs import json, large, numbers
from penstock.server.codecs.request import build
from penstock.server.errors import ApiError

pytest.importorskip("simdjson")

LONG = 700


def ordinary(body: bytes, wire: Any) -> Any:
    """What `json.decode` does without simdjson."""
    try:
        return build(orjson.loads(body), wire, json.read)
    except orjson.JSONDecodeError as error:
        return str(json.malformed(error))
    except ApiError as error:
        return str(error)


def long_lists(body: bytes, wire: Any) -> Any:
    return large.decode(body, wire)


def same(body: bytes, wire: Any) -> bool:
    """Whether both ways agree, the frame known or not, and whether simdjson took part."""
    expected = ordinary(body, wire)
    quick = long_lists(body, wire)
    try:
        given_: Any = json.decode(body, wire)
    except ApiError as error:
        given_ = str(error)
    if isinstance(expected, str):
        assert given_ == expected
        assert quick is None
        return False
    for slot in ("id", "rows", "outputs", "key", "response_order", "binary_outputs"):
        assert getattr(given_, slot) == getattr(expected, slot)
    for one, other in zip(given_.inputs, expected.inputs, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert one.flags.c_contiguous
    return quick is not None


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "UINT16", "INT64", "UINT64"])
@pytest.mark.parametrize("shape", [[LONG * 2], [2, LONG], [4, 5, 70]])
@pytest.mark.parametrize("layout", ["flat", "nested"])
def test_long_lists_take_the_short_way(
    wire_of: Any, tensor: Any, body_of: Any, datatype: str, shape: list[int], layout: str
) -> None:
    wire = wire_of(("x", datatype, (-1,) * len(shape)))
    values = (np.arange(LONG * 2) * 7919 % 127).reshape(shape)
    data: Any = values if layout == "nested" else values.ravel()
    if datatype.startswith("F"):
        data = data / np.float64(3)
    body = body_of(tensor(data, shape, datatype), id="1", outputs=[{"name": "label"}])
    assert same(body, wire) is (len(body) > large.MIN_LIST_BYTES + 100)


@pytest.mark.parametrize(
    "element",
    [
        b"null", b"true", b'"1"', b"{}", b"[]", b"[1]", b"1.0", b"-0", b"-0.0", b"1e39", b"1e400",
        b"3.4028235e38", b"3.4028235677973366e38", b"3.4028235677973362e38", b"1e-46", b"5e-324",
        b"18446744073709551615", b"18446744073709551616", b"9223372036854775808",
        b"9007199254740993", b"0.1000000014901161193847656", b"65519.99", b"65520", b"256", b"-1",
        b"01", b"1.", b".5", b"+1", b"NaN", b"", b"1 2", b"1,", b"]", b"]]", b"}", b'"', b'\\"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "UINT8", "INT64", "UINT64", "BOOL"])
def test_odd_elements_mean_the_same_in_long_lists(
    wire_of: Any, element: bytes, datatype: str
) -> None:
    wire = wire_of(("x", datatype, (-1,)))
    numbers = b"1.250," if datatype.startswith("F") else b"100,"
    body = b'{"inputs":[{"name":"x","shape":[%d],"datatype":"%b","data":[%b%b]}]}' % (
        2001,
        datatype.encode(),
        numbers * 2000,
        element,
    )
    same(body, wire)


LONG_LIST = b"[" + b",".join(b"%d.25" % (i % 90) for i in range(1024)) + b"]"
ROWS = b"[[" + b"],[".join([b",".join([b"1.5"] * 32)] * 32) + b"]]"
RAGGED = ROWS.replace(b"1.5],[1.5", b"1.5,1.5],[", 1)
UNEVEN = ROWS.replace(b"],[1.5,1.5", b",1.5],[1.5", 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"data":%b,"name":"x","shape":[32,32],"datatype":"FP32"}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data" : \n%b }] }',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":[1],"data":%b}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b,"data":[1]}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b,"more":[1]}]}',
        b'{"id":"data","inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}]}',
        b'{"data":%b,"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":[1]}]}',
        b'{"data":[{"data":%b}],"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":"data":%b}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","x"data":%b}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data"%b}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}]}x',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b]}]}',
        b'{"inputs":[{"name":"x","shape":[31,32],"datatype":"FP32","data":%b}]}',
        b'{"inputs":[{"name":"x","shape":[16,64],"datatype":"FP32","data":%b}]}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}],"id":"\\u0041"}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}],"id":"\xff"}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":"%b"}]}',
        b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":"\x010"}],"data":%b}',
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","parameters":{"data":%b}}]}',
    ],
)
@pytest.mark.parametrize("numbers", [LONG_LIST, ROWS, RAGGED, UNEVEN])
def test_odd_bodies_mean_the_same(wire_of: Any, body: bytes, numbers: bytes) -> None:
    assert len(numbers) > 4000
    padded = numbers.replace(b",", b", ")
    same(body.replace(b"%b", padded), wire_of(("x", "FP32", (-1, -1))))


def test_several_long_inputs(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("a", "FP32", (-1, LONG)), ("b", "INT64", (-1, LONG)))
    a = tensor([1 / 3] * LONG, [1, LONG], name="a")
    b = tensor([10**9] * LONG, [1, LONG], "INT64", name="b")
    assert same(body_of(a, b), wire)
    assert same(body_of(b, a), wire)
    assert not same(body_of(a, b, b), wire)


@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**64), 2**65),
        min_size=1,
        max_size=4,
    ),
    datatype=st.sampled_from(["FP16", "FP32", "FP64", "INT32", "INT64", "UINT64"]),
    layout=st.sampled_from(["flat", "nested"]),
)
@example([1.401298464324817e-45, 7.006492321624085e-46, 3.4028235677973366e38], "FP32", "flat")
def test_all_numbers_become_the_same_bits(
    wire_of: Any, values: list[Any], datatype: str, layout: str
) -> None:
    wire = wire_of(("x", datatype, (-1, -1)))
    row = (values * 512)[:512]
    data = [row] * 4 if layout == "nested" else row * 4
    body = orjson.dumps(
        {"inputs": [{"name": "x", "shape": [4, 512], "datatype": datatype, "data": [1]}]}
    )
    text = repr(data).replace("'", "").encode()
    same(body.replace(b'"data":[1]', b'"data":' + text), wire)


@given(data=st.data())
def test_mutated_bodies_mean_the_same(wire_of: Any, data: st.DataObject) -> None:
    wire = wire_of(("x", "FP32", (-1, -1)))
    body = bytearray(
        b'{"inputs":[{"name":"x","shape":[32,32],"datatype":"FP32","data":%b}]%b}'
        % (
            data.draw(st.sampled_from([LONG_LIST, ROWS])).replace(b",", b",   "),
            data.draw(st.sampled_from([b"", b',"id":"data"'])),
        )
    )
    for _ in range(data.draw(st.integers(1, 3))):
        near = data.draw(st.sampled_from([0, 56, len(body) - 20]))
        place = min(near + data.draw(st.integers(0, 30)), len(body))
        piece = data.draw(st.sampled_from([*b'[]{},:"\\ 1-.e', 1, 255]))
        body[place : place + data.draw(st.integers(0, 2))] = bytes([piece])
    same(bytes(body), wire)


def test_time_is_linear_in_keys_without_lists(wire_of: Any) -> None:
    body = b'{"id":[' + b'"data":' * 300_000  # quadratic would take minutes
    assert not same(body, wire_of(("x", "FP32", (-1,))))


def test_threads_have_parsers_of_their_own(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP64", (-1,)))
    failures: list[Exception] = []

    def work(seed: int) -> None:
        try:
            values = np.random.default_rng(seed).random(1000)
            body = body_of(tensor(values, [1000], "FP64"))
            for _ in range(50):
                assert np.array_equal(json.decode(body, wire).inputs[0], values)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001  told to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_without_simdjson_the_ordinary_way_is_taken(
    wire_of: Any, tensor: Any, body_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "AVAILABLE", False)
    wire = wire_of(("x", "FP64", (-1,)))
    body = body_of(tensor(np.arange(2000) / 3, [2000], "FP64"))
    assert long_lists(body, wire) is None
    assert json.decode(body, wire).rows == 2000
