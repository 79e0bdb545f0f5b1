"""Flyte: an execution of a launch plan, which is followed.

Source: flyteadmin's HTTP gateway (``flyteidl/service/admin.proto``): ``POST /api/v1/executions``,
``GET /api/v1/executions/{project}/{domain}/{name}``. The execution's name is made of the
idempotency key: a second one of a name is answered with 409.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import orjson

from .contract import standing_of
from .http_api import field_of, text_field

if TYPE_CHECKING:
    from .contract import Order, Standing
    from .http_api import HttpApi

_CONFLICT: Final = 409
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True)
class Flyte:
    """One launch plan.

    Attributes:
        api: Root of the API, and its token.
        project: Its project.
        domain: Its domain, such as ``production``.
        launch_plan: Name of the launch plan.
        version: Its version.
    """

    api: HttpApi
    project: str
    domain: str
    launch_plan: str
    version: str

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        # A name has at most 20 letters and digits, and begins with a letter.
        name = "p" + hashlib.sha256(order.key.encode()).hexdigest()[:19]
        payload = orjson.dumps(order.payload).decode()
        body = {
            "project": self.project,
            "domain": self.domain,
            "name": name,
            "spec": {
                "launch_plan": {
                    "resource_type": "LAUNCH_PLAN",
                    "project": self.project,
                    "domain": self.domain,
                    "name": self.launch_plan,
                    "version": self.version,
                }
            },
            "inputs": {
                "literals": {"retraining": {"scalar": {"primitive": {"string_value": payload}}}}
            },
        }
        self.api.ask("POST", "/api/v1/executions", body, accepted=(_CONFLICT,))
        return name

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        parts = (quote(one, safe="") for one in (self.project, self.domain, handle))
        _, answer = self.api.ask("GET", f"/api/v1/executions/{'/'.join(parts)}")
        phase = text_field(answer, "Flyte", "closure", "phase")
        message = field_of(answer, "closure", "error", "message")
        return standing_of(phase, _ENDED, "SUCCEEDED", message)
