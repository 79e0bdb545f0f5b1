"""The signature of a webhook of MLflow, which follows Standard Webhooks. Pure but for its memory.

    X-MLflow-Signature: v1,BASE64(HMAC-SHA256(secret, "DELIVERY_ID.TIMESTAMP.BODY"))

Source: ``mlflow/webhooks/delivery.py`` of MLflow 3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from penstock.server.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How old, or how far ahead, a delivery may be: the tolerance of Standard Webhooks.
TOLERANCE_SECONDS: Final = 300.0
#: Deliveries that are remembered, so that a copy of one is known.
_MOST_REMEMBERED: Final = 10_000
_CHALLENGE: Final = ((b"www-authenticate", b'MLflow-Signature realm="penstock"'),)


class Deliveries:
    """Checks deliveries, and remembers them.

    Attributes:
        taken: Deliveries that were new.
        doubled: Deliveries that came once more.
        refused: Deliveries that were refused.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.taken = 0
        self.doubled = 0
        self.refused = 0

    def check(self, headers: Mapping[str, str], body: bytes, secret: bytes, now: float) -> bool:
        """Whether a delivery is new.

        Args:
            headers: Of the request, in small letters.
            body: Of the request.
            secret: What both sides know.
            now: Unix seconds.

        Raises:
            Unauthorized: It is forged, or too old.
        """
        delivery = headers.get("x-mlflow-delivery-id", "")
        timestamp = headers.get("x-mlflow-timestamp", "")
        signed = f"{delivery}.{timestamp}.".encode() + body
        right = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        given = headers.get("x-mlflow-signature", "")
        if not hmac.compare_digest(f"v1,{right}".encode(), given.encode()):
            self._refuse("the signature is not that of this body with the secret of this alias")
        if not timestamp.isdecimal() or abs(now - int(timestamp[:18])) > TOLERANCE_SECONDS:
            self._refuse(f"it was not sent within {TOLERANCE_SECONDS:g} s; look at both clocks")
        if delivery in self._seen:
            self.doubled += 1
            return False
        self._seen[delivery] = None
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        self.taken += 1
        return True

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        raise Unauthorized(f"the webhook is refused: {reason}", headers=_CHALLENGE)
