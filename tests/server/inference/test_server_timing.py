"""Which requests ask for their times."""

from __future__ import annotations

import pytest

from penstock.server.inference.server_timing import wants_timing


@pytest.mark.parametrize("pair", [tuple, list])
def test_the_header_is_read_whatever_kind_of_pair_a_server_gives(pair: type) -> None:
    assert wants_timing(b"", [pair((b"host", b"x")), pair((b"x-penstock-timing", b"1"))])
    assert not wants_timing(b"", [pair((b"x-penstock-timing", b"0"))])


def test_the_query_is_read() -> None:
    assert wants_timing(b"a=1&timing=true", [])
    assert not wants_timing(b"timing=1", [])
