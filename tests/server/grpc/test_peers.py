"""The address of a gRPC client, as the library names it."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc")

from penstock.server.grpc.predictions import address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:5000", "10.0.0.7"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5B2001:db8::1%5D:5000", "2001:db8::1"),
        ("unix:/run/penstock.sock", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_client_has_no_port(peer: str, address: str) -> None:
    assert address_of(peer) == address
