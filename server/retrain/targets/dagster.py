"""Dagster: a run of a job, which is followed.

Source: GraphQL API: ``launchRun``, ``runsOrError``, ``runOrError``. Dagster knows no idempotency
key: before a second attempt the run with the tag of the first one is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from .contract import TargetFailed, standing_of
from .http_api import field_of, text_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import Order, Standing
    from .http_api import HttpApi

_TAG: Final = "penstock/run"
_PAYLOAD: Final = "penstock/retraining"
_ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_LAUNCH: Final = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}"""
_FIND: Final = """
query Find($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) { __typename ... on Runs { results { runId } } }
}"""
_LOOK: Final = """
query Look($run: ID!) {
  runOrError(runId: $run) { __typename ... on Run { status } ... on Error { message } }
}"""


@dataclass(frozen=True, slots=True)
class Dagster:
    """One job.

    Attributes:
        api: Root of the webserver, and the token of a user of Dagster+.
        job: Name of the job.
        location: Its code location.
        repository: Its repository; empty for the only one of the location.
        config: Its run configuration.
    """

    api: HttpApi
    job: str
    location: str
    repository: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`."""
        tag = {"key": _TAG, "value": order.key}
        if order.again:
            found = self._query(_FIND, {"filter": {"tags": [tag]}}, "runsOrError")
            results = field_of(found, "results")
            if isinstance(results, list) and results:
                return text_field(results[0], "Dagster", "runId")
        payload = orjson.dumps(order.payload).decode()
        params = {
            "selector": {
                "repositoryLocationName": self.location,
                "repositoryName": self.repository or "__repository__",
                "jobName": self.job,
            },
            "runConfigData": dict(self.config),
            "executionMetadata": {"tags": [tag, {"key": _PAYLOAD, "value": payload}]},
        }
        found = self._query(_LAUNCH, {"params": params}, "launchRun")
        kind = field_of(found, "__typename")
        if kind != "LaunchRunSuccess":
            raise TargetFailed(
                f"Dagster answered {kind}: {_words(found)}", final=kind != "PythonError"
            )
        return text_field(found, "Dagster", "run", "runId")

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        found = self._query(_LOOK, {"run": handle}, "runOrError")
        state = field_of(found, "status")
        if not isinstance(state, str):
            raise TargetFailed(f"Dagster answered {field_of(found, '__typename')}: {_words(found)}")
        return standing_of(state, _ENDED, "SUCCESS")

    def _query(self, query: str, variables: dict[str, Any], key: str) -> Any:
        secret = self.api.secret.read()
        headers = {"dagster-cloud-api-token": secret} if secret else {}
        _, answer = self.api.ask(
            "POST", "/graphql", {"query": query, "variables": variables}, headers=headers
        )
        found = field_of(answer, "data", key)
        if found is None:
            errors = field_of(answer, "errors")
            first = errors[0] if isinstance(errors, list) and errors else None
            raise TargetFailed(f"Dagster: {field_of(first, 'message') or 'no data'}"[:500])
        return found


def _words(found: Any) -> str:
    errors = field_of(found, "errors")
    first = errors[0] if isinstance(errors, list) and errors else found
    return str(field_of(first, "message") or "")[:500]
