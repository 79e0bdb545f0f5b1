"""The certificate of the gRPC port, which is that of the prediction port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    #: A chain of certificates and its private key, in PEM.
    Pair = tuple[bytes, bytes]


def following(current: Callable[[], Pair]) -> grpc.ServerCredentials:
    """Credentials that give each new connection the present certificate.

    Args:
        current: The present pair; called from threads of gRPC.
    """
    known = current()

    def look() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        pair = current()
        if pair == known:
            return None  # gRPC goes on with what it has
        known = pair
        return _configuration(pair)

    # The stubs do not know that None stands for no change.
    return grpc.dynamic_ssl_server_credentials(_configuration(known), look)  # type: ignore[arg-type]


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    chain, key = pair
    return grpc.ssl_server_certificate_configuration([(key, chain)])
