"""Requests for the differential fuzz: families of like requests, as different clients write them.

A family is a handful of requests for one model. Most have the same head and the same length, so
that a server that remembers may take one for another. They differ in numbers, in the forms of
numbers, in the bytes around them, in doubled and escaped keys, or in single bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus_binary import binary_bodies
from corpus_json import json_bodies
from corpus_msgpack import msgpack_bodies

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

#: OIP v2 datatype -> ONNX element type.
ELEMENT_TYPES = {
    "BOOL": "BOOL",
    "UINT8": "UINT8",
    "UINT16": "UINT16",
    "UINT32": "UINT32",
    "UINT64": "UINT64",
    "INT8": "INT8",
    "INT16": "INT16",
    "INT32": "INT32",
    "INT64": "INT64",
    "FP16": "FLOAT16",
    "FP32": "FLOAT",
    "FP64": "DOUBLE",
    "BYTES": "STRING",
}


@dataclass(frozen=True)
class Target:
    """A model of the fuzz.

    Attributes:
        model: Name of the model.
        datatype: Of its first input ``x``.
        shape: Shape of a request of one row.
        second: Whether it has a second input ``b``, INT64 of shape [1, 1].
        version: Asked for in the path; empty to let routing choose.
    """

    model: str
    datatype: str
    shape: tuple[int, ...]
    second: bool = False
    version: str = ""

    @property
    def size(self) -> int:
        """Elements of a row."""
        size = 1
        for dimension in self.shape:
            size *= dimension
        return size


TARGETS = [
    *(
        Target(f"echo-{datatype.lower()}-{width}", datatype, (1, width))
        for datatype in ELEMENT_TYPES
        for width in (1, 3)
    ),
    *(
        Target(f"wide-{kind.lower()}", kind, (1, 300))
        for kind in ("FP32", "FP64", "INT64", "UINT8")
    ),
    *(Target("open", "FP32", (1, width)) for width in (1, 2, 3)),
    Target("whole", "FP32", (1, 3)),
    Target("pair", "FP32", (1, 2), second=True),
    Target("gated", "FP32", (1, 3)),
    Target("swapped", "FP32", (1, 3)),
    Target("swapped", "FP32", (1, 3), version="1"),
    Target("swapped", "FP32", (1, 3), version="2"),
    Target("split", "FP32", (1, 2)),
]

KINDS = ("json", "json", "msgpack", "binary")
_LINES = [
    *[""] * 8,
    "accept-encoding: gzip\r\n",
    "x-request-id: mine\r\n",
    "x-request-timeout-ms: 60000\r\n",
    "X-Note: one\r\nx-note: two\r\n",
    "priority: u=7\r\n",
]
#: They decide the arm, so that both servers choose the same.
_ARMS = ["x-penstock-arm: canary\r\n", "x-penstock-arm: stable\r\n", "x-user: u\r\n"]


def family(rng: random.Random, kinds: Sequence[str] = KINDS) -> list[bytes]:
    """Some requests that are like each other."""
    target = rng.choice(TARGETS)
    kind = rng.choice(kinds)
    if kind == "json":
        bodies = [(body, None) for body in json_bodies(rng, target)]
    elif kind == "msgpack":
        bodies = [(body, None) for body in msgpack_bodies(rng, target)]
    else:
        bodies = list(binary_bodies(rng, target))
    arm = rng.choice(_ARMS) if target.model == "split" else ""
    lines = rng.choice(_LINES)
    requests = []
    for body, json_length in bodies:
        own = arm + (lines if rng.random() < 0.9 else rng.choice(_LINES))
        requests.append(request(target, kind, body, json_length, own))
    return requests


def request(
    target: Target, kind: str, body: bytes, json_length: int | None, lines: str = ""
) -> bytes:
    """A whole request.

    Args:
        target: What it is for.
        kind: ``json``, ``msgpack`` or ``binary``.
        body: Its body.
        json_length: For the header of the binary extension.
        lines: More header lines.
    """
    version = f"/versions/{target.version}" if target.version else ""
    content_type = {"json": "json", "msgpack": "msgpack", "binary": "octet-stream"}[kind]
    length = "" if json_length is None else f"inference-header-content-length: {json_length}\r\n"
    head = (
        f"POST /v2/models/{target.model}{version}/infer HTTP/1.1\r\nhost: x\r\n"
        f"content-type: application/{content_type}\r\ncontent-length: {len(body)}\r\n"
        f"{length}{lines}\r\n"
    )
    return head.encode() + body
