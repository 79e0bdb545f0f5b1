from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.loadtests.wire import BadResponse, build_request, parse_response

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
)


def test_a_request_is_one_piece_with_its_length():
    request = build_request("h:1", "/p", b"body", {"content-type": "text/plain"})
    assert request == (
        b"POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-length: 4\r\n"
        b"content-type: text/plain\r\n\r\nbody"
    )


@pytest.mark.parametrize("data", [WHOLE, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE])
def test_a_complete_response_is_read(data):
    response = parse_response(data)
    assert response is not None
    assert (response.status, response.body, response.keep_alive) == (200, b"hello", True)


@given(data=st.sampled_from([WHOLE, CHUNKED]), share=st.floats(0, 1, exclude_max=True))
def test_any_beginning_of_a_response_is_incomplete(data, share):
    assert parse_response(data[: int(share * len(data))]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_closing_response_is_not_kept_alive(data):
    response = parse_response(data)
    assert response is not None
    assert not response.keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        WHOLE + b"more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_cannot_be_delimited_is_refused(data):
    with pytest.raises(BadResponse):
        parse_response(data)
