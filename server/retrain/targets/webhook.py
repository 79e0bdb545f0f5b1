"""A webhook, signed as Standard Webhooks says. It does not tell how the run stands.

Source: https://www.standardwebhooks.com. The receiver takes each ``idempotency-key`` once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from penstock.monitoring.alerts.signature import key_of, signed_headers

from .contract import Standing, TargetFailed
from .http_api import refusal

if TYPE_CHECKING:
    from .contract import Order
    from .http_api import HttpApi


@dataclass(frozen=True, slots=True)
class Webhook:
    """One receiver.

    Attributes:
        api: Its URL, and the key that signs.
    """

    api: HttpApi

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        secret = self.api.secret.read()
        body = orjson.dumps({"type": "penstock.retraining.requested", "data": order.payload})
        headers = {"content-type": "application/json", "idempotency-key": order.key}
        if secret:
            try:
                key = key_of(secret)
            except ValueError as error:
                raise TargetFailed(str(error)) from None
            headers |= signed_headers(key, order.key, int(order.now), body)
        answer = self.api.send("POST", "", body, headers, secret)
        if not answer.done:
            raise refusal(answer, "POST", secret)
        return ""

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        del self, handle
        return Standing(ended=False, succeeded=False)
