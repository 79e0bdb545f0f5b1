"""Airflow 3: a run of a DAG, which is followed, or an event of an asset.

Source: stable REST API v2: ``POST /api/v2/dags/{dag_id}/dagRuns``, ``GET .../{dag_run_id}``,
``POST /api/v2/assets/events``; ``POST /auth/token`` gives a token for ``user:password``.
The run's id is the idempotency key: a second run of one id is answered with 409.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from penstock.monitoring.airflow_login import LOGIN_HEADERS, LOGIN_PATH, login_body, token_in

from .contract import TargetFailed, standing_of
from .http_api import HttpApi, refusal, text_field

if TYPE_CHECKING:
    from .contract import Order, Standing

_CONFLICT: Final = 409
_ENDED: Final = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class Airflow:
    """One DAG, or one asset.

    Attributes:
        api: Root of the server, and a token or ``user:password``.
        dag: Id of the DAG; empty for an event of the asset.
        asset: Id of the asset.
    """

    api: HttpApi
    dag: str = ""
    asset: int | None = None

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        conf = {"retraining": order.payload}
        if not self.dag:
            self._ask("POST", "/api/v2/assets/events", {"asset_id": self.asset, "extra": conf})
            return ""
        body = {
            "dag_run_id": order.key,
            "logical_date": None,
            "conf": conf,
            "note": str(order.payload.get("reason", ""))[:1000],
        }
        self._ask("POST", self._path, body, accepted=(_CONFLICT,))
        return order.key

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        _, answer = self._ask("GET", f"{self._path}/{quote(handle, safe='')}")
        state = text_field(answer, "Airflow", "state")
        return standing_of(state, _ENDED, "success")

    @property
    def _path(self) -> str:
        return f"/api/v2/dags/{quote(self.dag, safe='')}/dagRuns"

    def _ask(
        self, method: str, path: str, content: Any = None, accepted: tuple[int, ...] = ()
    ) -> tuple[int, Any]:
        secret = self.api.secret.read()
        if ":" not in secret:
            return self.api.ask(method, path, content, accepted=accepted)
        headers = {"authorization": f"Bearer {self._token(secret)}"}
        return self.api.ask(method, path, content, headers=headers, accepted=accepted)

    def _token(self, secret: str) -> str:
        answer = self.api.send("POST", LOGIN_PATH, login_body(secret), LOGIN_HEADERS, secret)
        if not answer.done:
            raise refusal(answer, f"POST {LOGIN_PATH}", secret)
        try:
            return token_in(answer.content)
        except ValueError as error:
            raise TargetFailed(str(error)) from None
