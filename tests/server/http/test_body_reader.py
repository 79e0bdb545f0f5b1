from __future__ import annotations

import numpy as np
import pytest

from penstock.server.http.body_reader import ALIGNMENT, joined
from penstock.server.inference.head import read_head


def head(*headers):
    return read_head("m", None, list(headers))


@pytest.mark.parametrize("length", [1, 15, 16, 17, 118])
def test_tensors_behind_json_are_aligned(length):
    json, tensor = b"j" * length, np.arange(7, dtype=np.float32).tobytes()
    pieces = [memoryview(json)[:1], json[1:] + tensor[:5], tensor[5:]]
    body = joined(head((b"inference-header-content-length", b"%d" % length)), pieces)
    assert bytes(body) == json + tensor
    behind = np.frombuffer(memoryview(body)[length:], np.float32)
    assert behind.ctypes.data % ALIGNMENT == 0
    assert behind.tolist() == list(range(7))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-encoding", b"gzip"), (b"inference-header-content-length", b"3")),
        ((b"inference-header-content-length", b"0"),),
    ],
)
def test_other_bodies_are_bytes(headers):
    body = joined(head(*headers), [b"a", memoryview(b"bc"), b""])
    assert type(body) is bytes
    assert body == b"abc"
