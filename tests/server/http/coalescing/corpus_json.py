"""JSON bodies of the differential fuzz."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from corpus import Target

#: Numbers in forms that parsers read differently, or not at all.
WORDS = r"""
1E5 1e5 -0 -0.0 0e0 -0e0 1. .5 01 -01 +1 1e 1e+ 0x1 1_0 NaN Infinity -Infinity nan inf true false
null "7" "" [] {} [1] [[1]] {"a":1} 1.0 2.5 255 256 -1 -129 65504 65519 65520 70000 3.4028235e38
3.4028236e38 1e39 1e300 1e308 1e309 1e400 -1e400 1e-400 5e-324 1e-46 9007199254740993
4503599627370495 4503599627370495.0 4503599627370496 9223372036854775807 9223372036854775808
"a 1/**/ "\u0031" \u0031 null,null 1,2 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809
0.1000000000000000055511151231257827021181583404541015625 123456789123456789123456789123456789
,1 1, 1] [1 1}
"""
ODD = [*WORDS.split(), "1\0", "\u06f1", "\ufeff1", "", " 4 ", "\t5\n", "1 2", "\u00a06", "9" * 40]

# fmt: off
#: What may stand between the key and the list, where nothing but white space belongs.
BETWEEN = [
    b" ", b"\n", b'7,"x":', b'{"a":', b"nonsense", b'"', b'7,"datatype":"INT64","data":', b"-",
    b"\xff", b"\xef\xbb\xbf", b"[", b"[[", b"null,", b'"a":', b"/**/", b"\0", b",", b":",
]
CLOSINGS = [
    b"}]}", b" } ] }\n", b"}\n]\t}", b"}]}}", b"}]} x", b"}]}\0", b"}]", b"}}", b"]}]}", b"]]}]}",
    b',"z":1}]}', b',"data":[1,2,3]}]}', b'}],"id":"a"}', b'}],"outputs":[{"name":"y"}]}',
    b'}],"inputs":[]}', b'}],"parameters":{"binary_data_output":true}}', b"}]}\xff", b"}]}{}",
]
BEFORE = [
    b'"d\\u0061ta":[9,9,9],', b'"data":[9,9,9],', b'"data":7,', b'"shape":[2,2],', b'"name":"z",',
    b'"parameters":{},', b'"parameters":{"binary_data_size":4},', b'"x":{"data":[1]},',
]
# fmt: on


def json_bodies(rng: random.Random, target: Target) -> Iterator[bytes]:
    """Bodies, most of them of one length and with the same bytes around their numbers."""
    opening, closing = _around(rng, target)
    space = rng.choice([b"", b"", b" "])
    count = rng.randint(3, 8)
    bodies = [opening + space + _list(rng, target, 0.0) + closing for _ in range(2)]
    for _ in range(count):
        body = opening + space + _list(rng, target, rng.choice([0.0, 0.0, 0.5])) + closing
        chance = rng.random()
        if chance < 0.2:
            body = opening + rng.choice(BETWEEN) + _list(rng, target, 0.0) + closing
        elif chance < 0.3:
            body = opening + space + _list(rng, target, 0.0) + rng.choice(CLOSINGS)
        elif chance < 0.4:
            body = _mutated(rng, body)
        bodies.append(body)
    length = max(map(len, bodies)) + rng.randint(0, 3)
    for body in bodies:
        yield _padded(rng, body, opening, length) if rng.random() < 0.9 else body


def _around(rng: random.Random, target: Target) -> tuple[bytes, bytes]:
    rows = rng.choice([1] * 8 + [2, 0])
    shape = [rows, *target.shape[1:]]
    separators = rng.choice([(",", ":"), (", ", ": ")])
    fields = {"name": "x", "shape": shape, "datatype": target.datatype}
    names = rng.sample(list(fields), 3)
    text = json.dumps({name: fields[name] for name in names}, separators=separators)[:-1]
    if rng.random() < 0.1:
        text = text[0] + rng.choice(BEFORE).decode() + text[1:]
    key = rng.choice(['"data"'] * 12 + ['"d\\u0061ta"', '"data" '])
    opening = f'{{"inputs"{separators[1]}[{text}{separators[0]}{key}{separators[1]}'.encode()
    closing = rng.choice(CLOSINGS[:3]) if rng.random() < 0.9 else rng.choice(CLOSINGS)
    second = b'{"name":"b","shape":[1,1],"datatype":"INT64","data":[%d]}' % rng.randint(0, 9)
    if target.second:
        if rng.random() < 0.5:
            return opening, b"}," + second + b"]}"
        return opening.replace(b"[{", b"[" + second + b",{", 1), closing
    if rng.random() < 0.05:
        opening = opening.replace(b"{", b'{"id":"\\"data\\":[1]",', 1)
    return opening, closing


def _list(rng: random.Random, target: Target, odd: float) -> bytes:
    numbers = [number(rng, target.datatype) for _ in range(target.size)]
    if rng.random() < odd:
        numbers[rng.randrange(len(numbers))] = rng.choice(ODD)
        if rng.random() < 0.2:
            numbers = numbers[1:] if rng.random() < 0.5 else [*numbers, "1"]
    separator = rng.choice([",", ",", ", "])
    text = separator.join(numbers)
    return (f"[[{text}]]" if rng.random() < 0.05 else f"[{text}]").encode()


def number(rng: random.Random, datatype: str) -> str:
    """An ordinary element, as JSON has it."""
    if datatype == "BOOL":
        return rng.choice(["true", "false", "1", "0"])
    if datatype == "BYTES":
        return json.dumps(rng.choice(["a", "bc", "", "\n", "ä", "[1]", '"data":', "\U0001f600"]))
    if datatype.startswith("FP"):
        return repr(rng.choice([0.0, 1.5, -2.0, rng.random(), rng.uniform(-9e4, 9e4)]))
    top = 2 ** (int(datatype.lstrip("UINT")) - (0 if datatype[0] == "U" else 1)) - 1
    return str(rng.choice([0, 1, rng.randint(0, top), top, 0 if datatype[0] == "U" else -top - 1]))


def _padded(rng: random.Random, body: bytes, opening: bytes, length: int) -> bytes:
    """The same with white space in its list, so that it has this length."""
    missing = max(0, length - len(body))
    first = body.find(b"[", len(opening)) + 1
    last = body.find(b"]", first)
    place = rng.choice([first, last]) if 0 < first <= last else len(body)
    return body[:place] + b" " * missing + body[place:]


def _mutated(rng: random.Random, body: bytes) -> bytes:
    place = rng.randrange(len(body))
    piece = bytes([rng.choice([*b'[]{},:"\\ 01-.eE\n', 0, 0x80, 0xFF, rng.randrange(256)])])
    return body[:place] + piece + body[place + rng.choice([0, 1, 1]) :]
