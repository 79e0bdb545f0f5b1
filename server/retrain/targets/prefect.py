"""Prefect 3: a run of a deployment, which is followed.

Source: REST API of Prefect 3: ``GET /deployments/name/{flow}/{deployment}``,
``POST /deployments/{id}/create_flow_run`` with ``idempotency_key``, ``GET /flow_runs/{id}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from .contract import standing_of
from .http_api import field_of, text_field

if TYPE_CHECKING:
    from .contract import Order, Standing
    from .http_api import HttpApi

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


@dataclass(frozen=True, slots=True)
class Prefect:
    """One deployment.

    Attributes:
        api: Root of the API, such as ``http://127.0.0.1:4200/api``, and its key.
        deployment: ``flow/deployment``, or its id.
    """

    api: HttpApi
    deployment: str

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        body = {
            "name": order.key,
            "idempotency_key": order.key,
            "parameters": {"retraining": order.payload},
            "tags": ["penstock"],
        }
        path = f"/deployments/{self._number()}/create_flow_run"
        _, answer = self.api.ask("POST", path, body)
        return text_field(answer, "Prefect", "id")

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        _, answer = self.api.ask("GET", f"/flow_runs/{quote(handle, safe='')}")
        state = text_field(answer, "Prefect", "state_type")
        return standing_of(state, _ENDED, "COMPLETED", field_of(answer, "state", "message"))

    def _number(self) -> str:
        """The id of the deployment."""
        if _ID.fullmatch(self.deployment):
            return self.deployment
        flow, _, name = self.deployment.partition("/")
        path = f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}"
        _, answer = self.api.ask("GET", path)
        return text_field(answer, "Prefect", "id")
