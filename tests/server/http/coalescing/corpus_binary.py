"""Bodies of the binary extension for the differential fuzz."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from corpus import Target

_FLAGS: list[dict[str, Any]] = [{}, {"binary_data_output": True}, {"binary_data_output": False}]
_FLAGS += [{"binary_data_output": True, "timeout": 60_000_000}, {"seen_at": 1}]


def binary_bodies(rng: random.Random, target: Target) -> Iterator[tuple[bytes, int]]:
    """Bodies, each with the length of its JSON; some have no JSON at all."""
    if rng.random() < 0.2:
        for _ in range(rng.randint(3, 8)):
            yield _tensor(rng, target), 0
        return
    style = rng.choice([(",", ":"), (", ", ": ")])
    for text, tensor in _pairs(rng, target, style):
        length = len(text)
        if rng.random() < 0.05:
            length += rng.choice([-1, 1, 2])
        yield text + tensor, length


def _pairs(
    rng: random.Random, target: Target, style: tuple[str, str]
) -> Iterator[tuple[bytes, bytes]]:
    document = _document(rng, target)
    for _ in range(rng.randint(3, 8)):
        if rng.random() < 0.2:
            document = _document(rng, target)
        tensor = _tensor(rng, target)
        entry = document["inputs"][0]
        size = len(tensor) if rng.random() < 0.95 else len(tensor) + rng.choice([-1, 1])
        entry["parameters"] = {"binary_data_size": size}
        if rng.random() < 0.05:
            entry["data"] = [1]
        else:
            entry.pop("data", None)
        text = json.dumps(document, separators=style).encode()
        if rng.random() < 0.1:
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice([b"0", b" ", b'"', b"\xff", b"}"]) + text[place + 1 :]
        yield text, tensor


def _document(rng: random.Random, target: Target) -> dict[str, Any]:
    shape = [rng.choice([1] * 9 + [2]), *target.shape[1:]]
    fields = {"name": "x", "shape": shape, "datatype": target.datatype}
    entries = [{name: fields[name] for name in rng.sample(list(fields), 3)}]
    if target.second:
        entries.append({"name": "b", "shape": [1, 1], "datatype": "INT64", "data": [3]})
    document: dict[str, Any] = {"inputs": entries}
    if rng.random() < 0.6:
        document["parameters"] = rng.choice(_FLAGS)
    if rng.random() < 0.4:
        names = rng.choice([["y"], ["z"], ["z", "y"], ["y", "z"], ["q"]])
        forms: list[dict[str, bool]] = [{}, {"binary_data": True}, {"binary_data": False}]
        document["outputs"] = [{"name": one, "parameters": rng.choice(forms)} for one in names]
    if rng.random() < 0.1:
        document["id"] = "me"
    return document


def _tensor(rng: random.Random, target: Target) -> bytes:
    if target.datatype == "BYTES":
        items = [rng.choice([b"a", b"bc", b"", b"\xff", b"\0"]) for _ in range(target.size)]
        return b"".join(len(item).to_bytes(4, "little") + item for item in items)
    size = NUMPY_OF[target.datatype].itemsize * target.size
    tensor = rng.choice([bytes(size), rng.randbytes(size), rng.randbytes(size)])
    return tensor if rng.random() < 0.95 else tensor + rng.choice([b"\0", tensor])
