"""Signed requests, as Standard Webhooks specifies: who receives one knows who sent it, and when.

Three headers: ``webhook-id``, ``webhook-timestamp`` in Unix seconds, and ``webhook-signature``,
``v1,`` and the base64 of the HMAC-SHA256 over id, timestamp and body, joined by dots. A receiver
refuses old timestamps, so that a request cannot be played again. https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """The key in a secret: base64 after ``whsec_``, with or without ``=``; else the text itself.

    Raises:
        ValueError: It is empty, or not base64 after the prefix.
    """
    secret = secret.strip()
    key = secret.encode()
    if secret.startswith(_PREFIX):
        encoded = secret.removeprefix(_PREFIX).rstrip("=")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except ValueError as error:
            raise ValueError(f"the secret is not base64 after {_PREFIX}") from error
    if not key:  # everybody could sign with it
        raise ValueError("the secret is empty")
    return key


def signed_headers(key: bytes, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a request.

    Args:
        key: Shared with the receiver.
        identity: Names what is sent, the same at each attempt.
        timestamp: Unix seconds of this attempt.
        body: As sent.
    """
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
