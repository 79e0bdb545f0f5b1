"""Bodies of labels cost what they are, whatever they say."""

from __future__ import annotations

import struct
import tracemalloc

import msgpack
import orjson
import pytest

from penstock.server.monitor.label_body import read_body

MIB = 1 << 20
LABELS = [{"request_id": f"r{number}", "label": number / 7} for number in range(10_000)]


def test_the_most_labels_are_read_in_both_formats():
    for content in (LABELS, LABELS[0], []):
        assert read_body(orjson.dumps(content), 10_000, packed=False) == content
        assert read_body(msgpack.packb(content), 10_000, packed=True) == content


def array32(count):
    return b"\xdd" + struct.pack(">I", count)


COSTLY = {
    "empty lists": (b"[" + b"[]," * MIB + b"[]]", False),
    "lists in lists": (b"[" * 4 * MIB, False),
    "numbers": (b"[" + b"0," * 2 * MIB + b"0]", False),
    "a label of many keys": (b"[{" + b'"":0,' * (MIB // 2) + b'"":0}]', False),
    "packed lists": (array32(4 * MIB - 5) + b"\x90" * (4 * MIB - 5), True),
    "packed promises": (array32(4 * MIB) * 1000, True),
    "packed promises in a label": (b"\x91\x81\xa1a" + array32(4 * MIB) * 1000, True),
    "packed maps": (array32(9_000) + b"\xde\xff\xff" * 9_000, True),
    "too many packed": (array32(20_000) + b"\x80" * 20_000, True),
    "more behind": (b"\x90\x90", True),
    "cut short": (b"\x92\x80", True),
    "empty": (b"", True),
    "a byte that begins nothing": (b"\xc1", True),
}


@pytest.mark.parametrize("case", COSTLY)
def test_what_is_no_list_of_labels_is_refused_cheaply(case):
    body, packed = COSTLY[case]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"not JSON|not msgpack|more than|at most"):
            read_body(body, 10_000, packed=packed)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body) + 8 * MIB
    finally:
        tracemalloc.stop()
