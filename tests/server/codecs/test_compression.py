from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.codecs.compression import compress, decompress, preferred_encoding
from penstock.server.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType

TEXT = b'{"inputs":[]}' * 100


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
    ],
)
def test_both_encodings_in_all_their_forms(body: bytes, encoding: str) -> None:
    assert decompress(body, encoding, len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge, match=f"larger than {len(TEXT) - 1} bytes"):
        decompress(body, encoding, len(TEXT) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    bomb = compress(bytes(50_000_000), encoding)
    with pytest.raises(BodyTooLarge, match="larger than 1000 bytes"):
        decompress(bomb, encoding, 1000)


def test_a_bomb_in_many_members_is_stopped_too() -> None:
    with pytest.raises(BodyTooLarge):
        decompress(gzip.compress(bytes(900)) * 2, "gzip", 1000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "break_",
    [lambda b: b"", lambda b: b[:-1], lambda b: b[:20], lambda b: b + b"x", lambda _: TEXT],
)
def test_broken_streams_are_invalid(encoding: str, break_: object) -> None:
    body = break_(compress(TEXT, encoding))  # type: ignore[operator]
    with pytest.raises(InvalidRequest, match=f"the body is not valid {encoding}: "):
        decompress(body, encoding, 10_000)


def test_other_encodings_are_not_spoken() -> None:
    with pytest.raises(UnsupportedMediaType, match="'br' is not supported; use gzip, deflate"):
        decompress(b"", "br", 1000)


@given(body=st.binary(), encoding=st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_can_be_decompressed(body: bytes, encoding: str) -> None:
    assert decompress(compress(body, encoding), encoding, len(body)) == body


@given(body=st.binary(), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_read_or_refused(body: bytes, encoding: str) -> None:
    with contextlib.suppress(InvalidRequest, BodyTooLarge):
        assert len(decompress(body, encoding, 100)) <= 100


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (b"", None),
        (b"gzip", "gzip"),
        (b"GZIP", "gzip"),
        (b"x-gzip", "gzip"),
        (b"deflate", "deflate"),
        (b"deflate, gzip, br, zstd", "gzip"),
        (b"gzip;q=0.5, deflate", "deflate"),
        (b"gzip; q=0.5 , deflate;q=0.4", "gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=0, *", "deflate"),
        (b"*", "gzip"),
        (b"*;q=0", None),
        (b"br", None),
        (b"identity", None),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=0.5", "gzip"),
        (b"gzip;q=nonsense", None),
        (b"gzip;q=7", None),
        (b"gzip;q=nan", None),
        (b",;=,\xff", None),
    ],
)
def test_preferred_encoding(accept: bytes, expected: str | None) -> None:
    assert preferred_encoding(accept) == expected


@given(accept=st.binary(max_size=40))
def test_any_accept_header_is_read(accept: bytes) -> None:
    assert preferred_encoding(accept) in {None, "gzip", "deflate"}
