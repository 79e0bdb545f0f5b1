"""GitHub Actions: ``workflow_dispatch``, whose run is followed, or ``repository_dispatch``.

Source: REST API, "create a workflow dispatch event" (``return_run_details`` since February 2026),
"list workflow runs for a workflow", "get a workflow run", "create a repository dispatch event".
GitHub knows no idempotency key. A workflow whose ``run-name`` holds the run's id is found again
before a second attempt; of a ``repository_dispatch`` nothing can be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import orjson

from .contract import Standing
from .http_api import field_of, text_field

if TYPE_CHECKING:
    from .contract import Order
    from .http_api import HttpApi

_HEADERS: Final = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
}
EVENT: Final = "penstock-retraining"


@dataclass(frozen=True, slots=True)
class GitHub:
    """One repository, or one workflow of it.

    Attributes:
        api: Root of the API, and its token.
        repository: ``owner/name``.
        workflow: File of the workflow; empty for a ``repository_dispatch``.
        ref: Branch or tag of the workflow.
    """

    api: HttpApi
    repository: str
    workflow: str = ""
    ref: str = ""

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        if not self.workflow:
            body: dict[str, Any] = {
                "event_type": EVENT,
                "client_payload": {"retraining": order.payload},
            }
            self._ask("POST", f"/repos/{self.repository}/dispatches", body)
            return ""
        found = self._earlier(order) if order.again else ""
        if found:
            return found
        inputs = {"run": order.key, "retraining": orjson.dumps(order.payload).decode()}
        wanted = {"ref": self.ref, "inputs": inputs, "return_run_details": True}
        _, answer = self._ask("POST", f"{self._path}/dispatches", wanted)
        # Releases of GitHub Enterprise that are older answer 204, and the run is looked for.
        number = field_of(answer, "workflow_run_id")
        return str(number) if number else self._earlier(order)

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        _, answer = self._ask("GET", f"/repos/{self.repository}/actions/runs/{handle}")
        status = text_field(answer, "GitHub", "status")
        conclusion = field_of(answer, "conclusion") or ""
        return Standing(status == "completed", conclusion == "success", conclusion or status)

    @property
    def _path(self) -> str:
        workflow = quote(self.workflow, safe="")
        return f"/repos/{self.repository}/actions/workflows/{workflow}"

    def _earlier(self, order: Order) -> str:
        """The run that has the key in its title; empty if there is none."""
        since = datetime.fromtimestamp(order.decided_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = urlencode({"event": "workflow_dispatch", "created": f">={since}", "per_page": 100})
        _, answer = self._ask("GET", f"{self._path}/runs?{query}")
        runs = field_of(answer, "workflow_runs")
        for one in runs if isinstance(runs, list) else []:
            if order.key in str(field_of(one, "display_title")):
                return text_field(one, "GitHub", "id")
        return ""

    def _ask(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        return self.api.ask(method, path, content, headers=_HEADERS)
