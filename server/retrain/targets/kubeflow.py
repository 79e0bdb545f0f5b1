"""Kubeflow Pipelines: a run of a version of a pipeline, which is followed.

Source: API v2beta1 (``run.swagger.json``): ``POST``, ``GET /apis/v2beta1/runs``. It knows no
idempotency key: before a second attempt the run of the same name is looked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from .contract import standing_of
from .http_api import field_of, text_field

if TYPE_CHECKING:
    from .contract import Order, Standing
    from .http_api import HttpApi

_PATH: Final = "/apis/v2beta1/runs"
_ENDED: Final = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})


@dataclass(frozen=True, slots=True)
class Kubeflow:
    """One version of a pipeline.

    Attributes:
        api: Root of the API, and its token.
        pipeline: Id of the pipeline.
        version: Id of its version.
        experiment: Id of the experiment; empty for the default one.
    """

    api: HttpApi
    pipeline: str
    version: str
    experiment: str = ""

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        found = self._earlier(order.key) if order.again else ""
        if found:
            return found
        body: dict[str, Any] = {
            "display_name": order.key,
            "description": str(order.payload.get("reason", ""))[:1000],
            "pipeline_version_reference": {
                "pipeline_id": self.pipeline,
                "pipeline_version_id": self.version,
            },
            "runtime_config": {"parameters": {"retraining": order.payload}},
        }
        if self.experiment:
            body["experiment_id"] = self.experiment
        _, answer = self.api.ask("POST", _PATH, body)
        return text_field(answer, "Kubeflow", "run_id")

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        _, answer = self.api.ask("GET", f"{_PATH}/{quote(handle, safe='')}")
        state = text_field(answer, "Kubeflow", "state")
        return standing_of(state, _ENDED, "SUCCEEDED", field_of(answer, "error", "message"))

    def _earlier(self, key: str) -> str:
        wanted = {"operation": "EQUALS", "key": "display_name", "stringValue": key}
        query: dict[str, Any] = {"filter": json.dumps({"predicates": [wanted]}), "page_size": 1}
        if self.experiment:
            query["experiment_id"] = self.experiment
        _, answer = self.api.ask("GET", f"{_PATH}?{urlencode(query)}")
        runs = field_of(answer, "runs")
        if isinstance(runs, list) and runs:
            return text_field(runs[0], "Kubeflow", "run_id")
        return ""
