"""Webhooks of MLflow: forged, replayed, late and doubled ones."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from penstock.server.errors import Unauthorized
from penstock.server.follow.webhook_signature import TOLERANCE_SECONDS, Deliveries

SECRET, BODY, NOW = b"secret", b'{"data": {"name": "m"}}', 1_700_000_000


def signed(
    delivery: str = "a", at: int = NOW, body: bytes = BODY, secret: bytes = SECRET
) -> dict[str, str]:
    content = f"{delivery}.{at}.".encode() + body
    mac = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {
        "x-mlflow-signature": f"v1,{mac}",
        "x-mlflow-timestamp": str(at),
        "x-mlflow-delivery-id": delivery,
    }


def test_a_delivery_counts_once() -> None:
    seen = Deliveries()
    assert seen.check(signed(), BODY, SECRET, NOW)
    assert not seen.check(signed(), BODY, SECRET, NOW)
    assert seen.check(signed("b"), BODY, SECRET, NOW)
    assert (seen.taken, seen.doubled, seen.refused) == (2, 1, 0)


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({}, BODY, "signature"),
        (signed(secret=b"other"), BODY, "signature"),
        (signed(), BODY + b" ", "signature"),
        (signed() | {"x-mlflow-delivery-id": "b"}, BODY, "signature"),
        (signed() | {"x-mlflow-timestamp": str(NOW + 1)}, BODY, "signature"),
        (signed() | {"x-mlflow-signature": "v1,ä"}, BODY, "signature"),
        (signed(at=NOW - int(TOLERANCE_SECONDS) - 1), BODY, "clocks"),
        (signed(at=NOW + int(TOLERANCE_SECONDS) + 1), BODY, "clocks"),
    ],
)
def test_a_forged_or_late_delivery_is_refused_and_counted(
    headers: dict[str, str], body: bytes, told: str
) -> None:
    seen = Deliveries()
    with pytest.raises(Unauthorized, match=told):
        seen.check(headers, body, SECRET, NOW)
    assert seen.refused == 1


def test_the_memory_is_bounded() -> None:
    seen = Deliveries()
    for number in range(10_050):
        seen.check(signed(str(number)), BODY, SECRET, NOW)
    assert len(seen._seen) == 10_000
