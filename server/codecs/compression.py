"""Compressed bodies: gzip (RFC 1952) and deflate (RFC 1950, and the RFC 1951 some clients send)."""

from __future__ import annotations

import zlib
from typing import Final

from penstock.server.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType

#: Smaller responses are not worth compressing: they fit in one or two packets as they are.
MIN_COMPRESSED_BYTES: Final = 1024

#: Members of a gzip stream; each costs microseconds, however little is in it.
MAX_MEMBERS: Final = 4096
#: What zlib is given at the beginning of a member ...
_FIRST_PIECE_BYTES: Final = 1024
#: ... and given, or asked for, at most at once.
_PIECE_BYTES: Final = 1 << 20

#: zlib's window bits say which of its formats to speak.
_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_FORMATS: Final = {"gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}


def decompress(body: bytes | bytearray | memoryview, encoding: str, limit_bytes: int) -> bytes:
    """Undo a ``Content-Encoding``.

    Args:
        body: As received.
        encoding: ``gzip`` or ``deflate``.
        limit_bytes: Size of the result that is refused when exceeded, without producing more.

    Raises:
        BodyTooLarge: The result would be larger than ``limit_bytes``.
        InvalidRequest: The stream is broken or ends early.
        UnsupportedMediaType: Another encoding.
    """
    formats = _FORMATS.get(encoding)
    if formats is None:
        raise UnsupportedMediaType(
            f"content-encoding {encoding!r} is not supported; use gzip, deflate or none"
        )
    failure: Exception | None = None
    for window_bits in formats:
        try:
            return _inflate(body, window_bits, limit_bytes)
        except zlib.error as error:
            failure = failure or error
    raise InvalidRequest(f"the body is not valid {encoding}: {failure}")


def _inflate(body: bytes | bytearray | memoryview, window_bits: int, limit_bytes: int) -> bytes:
    """Undo one format, in time linear in what is read and written.

    zlib copies all that follows a member of a gzip stream when that ends. So it is fed pieces that
    begin small with each member and double, and copies no more than it has read.
    """
    rest = whole = memoryview(body).cast("B")
    pieces: list[bytes] = []
    room = limit_bytes + 1
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(window_bits)
        fed = _FIRST_PIECE_BYTES
        while rest and not stream.eof:
            given, rest = rest[:fed], rest[fed:]
            room -= _feed(stream, given, pieces, room)
            if room <= 0:
                raise BodyTooLarge(f"the decompressed body is larger than {limit_bytes} bytes")
            fed = min(2 * fed, _PIECE_BYTES)
        if not stream.eof:
            raise zlib.error("the stream ends early")
        rest = whole[len(whole) - len(rest) - len(stream.unused_data) :]
        if not rest:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if window_bits != _GZIP:  # only gzip files may follow one another
            raise zlib.error(f"{len(rest)} bytes follow the end of the stream")
    raise InvalidRequest(f"the body has more than {MAX_MEMBERS} gzip members; compress it as one")


def _feed(stream: zlib._Decompress, given: memoryview, pieces: list[bytes], room: int) -> int:
    """Decompress a piece; returns how many bytes came out, ``room`` at most."""
    made = 0
    while made < room:
        piece = stream.decompress(given, min(room - made, _PIECE_BYTES))
        if piece:
            pieces.append(piece)
            made += len(piece)
        given = memoryview(stream.unconsumed_tail)
        if not given and len(piece) < _PIECE_BYTES:
            break
    return made


def compress(body: bytes, encoding: str) -> bytes:
    """Apply a ``Content-Encoding`` that `preferred_encoding` chose, at the fastest level."""
    (window_bits, *_) = _FORMATS[encoding]
    stream = zlib.compressobj(1, zlib.DEFLATED, window_bits)
    return stream.compress(body) + stream.flush()


def preferred_encoding(accept: bytes) -> str | None:
    """What an ``Accept-Encoding`` header wants of what is spoken here.

    Args:
        accept: The header's value; what cannot be read in it is passed over.

    Returns:
        ``gzip``, ``deflate``, or ``None`` for the body as it is.
    """
    weights: dict[str, float] = {}
    for item in accept.decode("latin-1").lower().split(","):
        coding, _, parameters = item.partition(";")
        weights[coding.strip().removeprefix("x-")] = _weight(parameters)
    rest = weights.get("*", 0.0)
    gzip = weights.get("gzip", rest)
    deflate = weights.get("deflate", rest)
    best = max(gzip, deflate)
    if best <= 0 or best < weights.get("identity", 0.0):
        return None
    return "gzip" if gzip == best else "deflate"


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
