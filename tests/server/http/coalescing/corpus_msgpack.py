"""msgpack bodies of the differential fuzz, as libraries of many languages write them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from corpus import Target

#: How typed languages write numbers: struct format by first byte.
TYPED = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h"}
TYPED |= {0xD2: "i", 0xD3: "q"}
#: What a typed language writes for an element of a datatype.
NATURAL = {"FP32": 0xCA, "FP64": 0xCB, "UINT8": 0xCC, "UINT16": 0xCD, "UINT32": 0xCE}
NATURAL |= {"UINT64": 0xCF, "INT8": 0xD0, "INT16": 0xD1, "INT32": 0xD2, "INT64": 0xD3}
# fmt: off
#: Elements that are no plain numbers, or that read the same in several ways.
ODD = [
    b"\xc0", b"\xc2", b"\xc3", b"\xa0", b"\xa1a", b"\xc4\x00", b"\xc4\x01a", b"\x90", b"\x80",
    b"\xd4\x01\x00", b"\xd6\xff\0\0\0\0", b"\xcb\x7f\xf8" + bytes(6), b"\xca\x7f\x80\0\0", b"\xc1",
    b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xcd\x01\x01", b"\xe0", b"\x7f",
    b"\xca" + bytes(4), b"\xcb" + bytes(8),
]
# fmt: on


def msgpack_bodies(rng: random.Random, target: Target) -> Iterator[bytes]:
    """Bodies; some hold a ``bin``, some a list that takes as many bytes."""
    order = rng.sample(["name", "shape", "datatype", "data"], 4)
    extras = _extras(rng)
    outputs_differ = rng.random() < 0.25
    form = rng.choice(["bin", "bin", "list", "mixed"])
    code = rng.choice([*TYPED, *[NATURAL.get(target.datatype, 0xCB)] * 10])
    items = []
    for _ in range(rng.randint(3, 8)):
        own = rng.choice(["bin", "list"]) if form == "mixed" else form
        data = _bin(rng, target) if own == "bin" else _list(rng, target, code)
        again = _extras(rng) if rng.random() < 0.2 else extras
        if outputs_differ:
            again = [("outputs", [{"name": rng.choice("yz")}])]
        items.append(_body(rng, target, order, data, again))
    length = max(map(len, items))
    for body in items:
        padded = _padded(body, length) if rng.random() < 0.8 else body
        yield _mutated(rng, padded) if rng.random() < 0.1 else padded


def _body(
    rng: random.Random, target: Target, order: list[str], data: bytes, extras: list[tuple[str, Any]]
) -> bytes:
    shape = [rng.choice([1] * 9 + [2]), *target.shape[1:]]
    fields = {"name": "x", "shape": shape, "datatype": target.datatype}
    pairs = [_text(rng, key) + (data if key == "data" else _pack(fields[key])) for key in order]
    if rng.random() < 0.05:  # a key twice
        pairs.insert(0, _text(rng, "data") + data)
    entries = [bytes([0x80 | len(pairs)]) + b"".join(pairs)]
    if target.second:
        second = {"name": "b", "shape": [1, 1], "datatype": "INT64", "data": struct.pack("<q", 7)}
        entries.insert(rng.randint(0, 1), _pack(second))
    inputs = _text(rng, "inputs") + bytes([0x90 | len(entries)]) + b"".join(entries)
    rest = [_pack(key) + _pack(value) for key, value in extras]
    place = 0 if extras and extras[0][0] == "outputs" else rng.choice([0, len(rest), len(rest)])
    whole = [*rest[:place], inputs, *rest[place:]]
    if rng.random() < 0.03:
        whole.append(inputs)
    body = bytes([0x80 | len(whole)]) + b"".join(whole)
    return body if rng.random() < 0.97 else body + rng.choice([b"\0", b"\xc0", b"\x80"])


def _extras(rng: random.Random) -> list[tuple[str, Any]]:
    choices: list[list[tuple[str, Any]]] = [*[[]] * 5, [("outputs", [{"name": "y"}])]]
    choices += [[("outputs", [{"name": name}])] for name in ("z", "q")]
    choices += [[("outputs", [{"name": "z"}, {"name": "y"}])], [("id", "me")], [("note", 1)]]
    choices += [[("parameters", {"timeout": 60_000_000})], [("note", bytes(12))]]
    choices += [[("parameters", {"seen_at": 5})]]
    return rng.choice(choices)


def _bin(rng: random.Random, target: Target) -> bytes:
    if target.datatype == "BYTES":
        items = [rng.choice([b"a", b"", b"\xff\xfe", b"bcd"]) for _ in range(target.size)]
        return _pack(items)
    size = NUMPY_OF[target.datatype].itemsize * target.size
    content = rng.choice(
        [bytes(size), rng.randbytes(size), np.ones(target.size, "f8").tobytes()[:size]]
    )
    if rng.random() < 0.1:
        content = content[:-1] if rng.random() < 0.5 else content + b"\0"
    header = rng.choice(
        [b"\xc5" + struct.pack(">H", len(content)), b"\xc6" + struct.pack(">I", len(content))]
    )
    return (
        bytes([0xC4, len(content)]) if len(content) < 256 and rng.random() < 0.8 else header
    ) + content


def _list(rng: random.Random, target: Target, code: int) -> bytes:
    count = target.size
    items = [_typed(rng, code) for _ in range(count)]
    chance = rng.random()
    if chance < 0.3:
        items = [bytes([code]) + bytes(len(item) - 1) for item in items]
    elif chance < 0.5:
        items[rng.randrange(count)] = rng.choice(ODD)
    wide = b"\xdc" + struct.pack(">H", count)
    header = bytes([0x90 | count]) if count < 16 and rng.random() < 0.8 else wide
    return header + b"".join(items)


def _typed(rng: random.Random, code: int) -> bytes:
    kind = TYPED[code]
    value: float = rng.choice([0, 0, 1, 5, rng.randint(0, 127)])
    if kind in "fd" and rng.random() < 0.5:
        value = rng.choice([1.5, -2.25, 6.9e-41, rng.random()])
    return bytes([code]) + struct.pack(">" + kind, value)


def _text(rng: random.Random, text: str) -> bytes:
    raw = text.encode()
    if rng.random() < 0.95:
        return _pack(text)
    return rng.choice(
        [b"\xd9" + bytes([len(raw)]) + raw, b"\xda\0" + bytes([len(raw)]) + raw, _pack(raw)]
    )


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _padded(body: bytes, length: int) -> bytes:
    """The same with one more key, so that it has this length where it can."""
    missing = length - len(body) - 3
    if missing < 0 or missing > 31 or not 0x80 <= body[0] < 0x8F:
        return body
    return bytes([body[0] + 1]) + b"\xa1_" + bytes([0xA0 | missing]) + b"." * missing + body[1:]


def _mutated(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body))
    return body[:place] + rng.randbytes(1) + body[place + rng.choice([0, 1, 1]) :]
