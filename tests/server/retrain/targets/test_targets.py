"""What each tool is asked, over real sockets, by a server that knows its published API.

Prefect and Dagster are run for real in `tests/integrations`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from penstock.monitoring.alerts.signature import key_of, signed_headers
from penstock.server.retrain.targets.airflow import Airflow
from penstock.server.retrain.targets.contract import Order, Standing, TargetFailed
from penstock.server.retrain.targets.flyte import Flyte
from penstock.server.retrain.targets.github import GitHub
from penstock.server.retrain.targets.http_api import HttpApi
from penstock.server.retrain.targets.kubeflow import Kubeflow
from penstock.server.retrain.targets.secret import Secret
from penstock.server.retrain.targets.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Asked, Tool

    Make = Callable[..., Order]


def test_a_webhook_is_signed_and_idempotent(tool: Tool, token: Secret, order: Make) -> None:
    one = order()
    assert Webhook(tool.api(token)).start(one) == ""
    Webhook(tool.api(token)).start(order(again=True))
    first, second = tool.asked
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == one.key
    expected = signed_headers(key_of("hunter2-long"), one.key, int(one.now), first.body)
    assert expected.items() <= first.headers.items()
    assert first.json == {"type": "penstock.retraining.requested", "data": one.payload}


def airflow(asked: Asked) -> tuple[int, Any]:
    """The stable REST API of Airflow 3: models with unknown keys are refused with 422."""
    if asked.path == "/auth/token":
        assert asked.json == {"username": "ann", "password": "hunter2-long"}
        return 201, {"access_token": "a-token"}
    if asked.headers["authorization"] != "Bearer a-token":
        return 401, {"detail": "Not authenticated"}
    if asked.method == "GET":
        assert asked.path == "/api/v2/dags/re%20train/dagRuns/m-20261130T120000Z-0a1b2c3d"
        return 200, {"dag_run_id": "x", "state": "success"}
    known = {
        "/api/v2/dags/re%20train/dagRuns": {
            *("dag_run_id", "data_interval_start", "data_interval_end", "logical_date"),
            *("run_after", "conf", "note", "partition_key"),
        },
        "/api/v2/assets/events": {"asset_id", "extra"},
    }[asked.path]
    if not asked.json.keys() <= known:
        return 422, {"detail": "Extra inputs are not permitted"}
    return 200, {"dag_run_id": asked.json.get("dag_run_id"), "state": "queued"}


def test_airflow_runs_a_dag_once_and_tells_how_it_stands(
    tool: Tool, secret: Secret, order: Make
) -> None:
    tool.handler = airflow
    target = Airflow(tool.api(secret), "re train")
    handle = target.start(order())
    assert tool.asked[-1].json["dag_run_id"] == handle
    assert tool.asked[-1].json["conf"] == {"retraining": order().payload}
    assert tool.asked[-1].json["logical_date"] is None
    assert target.look(handle) == Standing(ended=True, succeeded=True, detail="success")
    tool.handler = lambda one: (409, {}) if "dagRuns" in one.path else airflow(one)
    assert target.start(order(again=True)) == handle  # it is there already


def test_airflow_gives_an_asset_an_event(tool: Tool, secret: Secret, order: Make) -> None:
    tool.handler = airflow
    assert Airflow(tool.api(secret), asset=7).start(order()) == ""
    assert tool.asked[-1].json == {"asset_id": 7, "extra": {"retraining": order().payload}}


class Workflows:
    """GitHub's REST API of one workflow: dispatches, and lists its runs."""

    def __init__(self, *, details: bool) -> None:
        self.details = details
        self.runs: list[dict[str, Any]] = []

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        assert asked.headers["accept"] == "application/vnd.github+json"
        assert asked.headers["x-github-api-version"] == "2022-11-28"
        if asked.headers["authorization"] != "Bearer hunter2-long":
            return 401, {"message": "Bad credentials"}
        parts = urlsplit(asked.path)
        if parts.path == "/repos/a/b/actions/workflows/re.yml/dispatches":
            body = asked.json
            assert body["ref"] == "main"
            assert all(isinstance(one, str) for one in body["inputs"].values())
            number = len(self.runs) + 100
            self.runs.append({"id": number, "display_title": f"Retrain {body['inputs']['run']}"})
            if self.details and body["return_run_details"]:
                return 200, {"workflow_run_id": number, "run_url": "u", "html_url": "h"}
            return 204, b""
        if parts.path == "/repos/a/b/actions/workflows/re.yml/runs":
            query = parse_qs(parts.query)
            assert query["created"] == [">=2001-09-09T01:46:40Z"]
            assert query["event"] == ["workflow_dispatch"]
            return 200, {"total_count": len(self.runs), "workflow_runs": self.runs}
        assert parts.path == "/repos/a/b/actions/runs/100"
        return 200, {"id": 100, "status": "completed", "conclusion": "failure"}


@pytest.mark.parametrize("details", [True, False])
def test_github_dispatches_a_workflow_once_and_follows_it(
    tool: Tool, token: Secret, order: Make, details: bool
) -> None:
    tool.handler = server = Workflows(details=details)
    target = GitHub(tool.api(token), "a/b", "re.yml", "main")
    assert target.start(order()) == "100"
    assert target.start(order(again=True)) == "100"
    assert len(server.runs) == 1
    sent = next(one for one in tool.asked if one.method == "POST").json["inputs"]
    assert json.loads(sent["retraining"]) == order().payload
    assert target.look("100") == Standing(ended=True, succeeded=False, detail="failure")


def test_github_tells_a_repository(tool: Tool, token: Secret, order: Make) -> None:
    tool.handler = lambda _: (204, b"")
    assert GitHub(tool.api(token), "a/b").start(order()) == ""
    (asked,) = tool.asked
    assert asked.path == "/repos/a/b/dispatches"
    assert asked.json["event_type"] == "penstock-retraining"
    assert asked.json["client_payload"] == {"retraining": order().payload}  # at most 10 keys


def kubeflow(asked: Asked) -> tuple[int, Any]:
    """API v2beta1 of Kubeflow Pipelines."""
    assert asked.headers["authorization"] == "Bearer hunter2-long"
    parts = urlsplit(asked.path)
    if asked.method == "POST":
        known = {
            *("display_name", "description", "pipeline_version_reference", "runtime_config"),
            *("experiment_id", "service_account", "pipeline_spec", "storage_state"),
        }
        if parts.path != "/apis/v2beta1/runs" or not asked.json.keys() <= known:
            return 400, {"error": "unknown field"}
        return 200, {"run_id": "r-1", "state": "PENDING"}
    if parts.query:
        (wanted,) = json.loads(parse_qs(parts.query)["filter"][0])["predicates"]
        assert (wanted["operation"], wanted["key"]) == ("EQUALS", "display_name")
        found = [{"run_id": "r-1"}] if wanted["stringValue"] == "known" else []
        return 200, {"runs": found} if found else {}
    assert parts.path == "/apis/v2beta1/runs/r-1"
    return 200, {"run_id": "r-1", "state": "FAILED", "error": {"code": 2, "message": "no rows"}}


def test_kubeflow_runs_a_version_of_a_pipeline_once(tool: Tool, token: Secret, order: Make) -> None:
    tool.handler = kubeflow
    target = Kubeflow(tool.api(token), "p", "v", "e")
    assert target.start(order()) == "r-1"
    body = tool.asked[-1].json
    assert body["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "v"}
    assert body["runtime_config"] == {"parameters": {"retraining": order().payload}}
    assert target.start(order("known", again=True)) == "r-1"
    assert tool.asked[-1].method == "GET"
    assert target.start(order("new", again=True)) == "r-1"
    assert tool.asked[-1].method == "POST"
    assert target.look("r-1") == Standing(ended=True, succeeded=False, detail="FAILED: no rows")


def test_flyte_executes_a_launch_plan_once(tool: Tool, token: Secret, order: Make) -> None:
    target = Flyte(tool.api(token), "p", "d", "re.train", "v1")
    handle = target.start(order())
    body = tool.asked[-1].json
    assert tool.asked[-1].path == "/api/v1/executions"
    assert (body["project"], body["domain"], body["name"]) == ("p", "d", handle)
    assert len(handle) == 20
    assert handle[1:] == hashlib.sha256(order().key.encode()).hexdigest()[:19]
    plan = body["spec"]["launch_plan"]
    assert (plan["resource_type"], plan["name"], plan["version"]) == (
        "LAUNCH_PLAN",
        "re.train",
        "v1",
    )
    value = body["inputs"]["literals"]["retraining"]["scalar"]["primitive"]["string_value"]
    assert json.loads(value) == order().payload
    tool.handler = lambda one: (
        (409, {}) if one.method == "POST" else (200, {"closure": {"phase": "SUCCEEDED"}})
    )
    assert target.start(order(again=True)) == handle
    assert target.look(handle) == Standing(ended=True, succeeded=True, detail="SUCCEEDED")
    assert tool.asked[-1].path == f"/api/v1/executions/p/d/{handle}"


@pytest.mark.parametrize(
    ("status", "final", "after"), [(422, True, 0), (302, True, 0), (401, False, 0), (503, False, 7)]
)
def test_a_refusal_says_why_and_hides_the_secret(
    tool: Tool, secret: Secret, order: Make, status: int, final: bool, after: float
) -> None:
    tool.handler = lambda one: (
        (status, f"bad hunter2-long {one.headers.get('authorization')}".encode())
    )
    for target in (Webhook(tool.api(secret)), Kubeflow(tool.api(secret), "p", "v")):
        with pytest.raises(TargetFailed) as failed:
            target.start(order())
        assert str(status) in str(failed.value)
        assert "hunter2" not in str(failed.value)
        assert "YW5u" not in str(failed.value)
        assert (failed.value.final, failed.value.retry_after) == (final, after)


def test_a_target_that_is_away_is_no_end(tool: Tool, order: Make) -> None:
    api = HttpApi("http://127.0.0.1:9", tool.api().exchange, Secret(), lambda: 0.0)
    with pytest.raises(TargetFailed, match="no answer") as failed:
        Webhook(api).start(order())
    assert not failed.value.final


def test_the_secret_may_be_in_the_environment(
    tool: Tool, order: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Kubeflow(tool.api(Secret(variable="TRAIN_TOKEN")), "p", "v")
    with pytest.raises(TargetFailed, match=r"\$TRAIN_TOKEN is empty"):
        target.start(order())
    monkeypatch.setenv("TRAIN_TOKEN", "from-outside")
    with pytest.raises(TargetFailed, match="answered without run_id"):
        target.start(order())
    assert tool.asked[-1].headers["authorization"] == "Bearer from-outside"
