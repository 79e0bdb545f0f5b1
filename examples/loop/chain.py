"""The audit chain of a retraining: from the data to a prediction, link by link."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stage import MODEL, StepMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stage import Stage


def check_promotion(stage: Stage, run: Mapping[str, Any], prediction: str) -> None:
    """The records lead from the exported data to a prediction of the version that they made.

    Args:
        stage: Its server runs.
        run: The retraining.
        prediction: Request that the version has answered.

    Raises:
        StepMissing: A link is not there, or not after the one before.
    """
    digest, version = run["result_digest"], run["result"]
    sha256 = run["data"]["sha256"]
    found = [
        link(stage, "retrain.requested", run=run["id"]),
        link(stage, "retrain.started", run=run["id"]),
        link(stage, "retrain.published", run=run["id"], data_hash=f"sha256:{sha256}"),
        link(stage, "gates.run", version=version, digest=digest),
        link(stage, "rollout.start", version=version),
        link(stage, "rollout.succeed", version=version),
    ]
    if found[1]["evidence"]["data"]["sha256"] != sha256:
        raise StepMissing("the record of the start names other data")
    if found[2]["evidence"]["result_digest"] != digest:
        raise StepMissing("the record of the version names other files")
    order = [one["seq"] for one in found if one["action"] != "retrain.published"]
    if order != sorted(order):
        raise StepMissing(f"the records are not in order: {order}")
    place = ("--registry", stage.registry, "--state-dir", stage.state)
    done = stage.penstock("predictions", "show", prediction, "--json", *place)
    origin = json.loads(done.stdout)["lineage"]
    if (origin["digest"], origin["data"]) != (digest, f"sha256:{sha256}"):
        raise StepMissing(f"prediction {prediction} leads to {origin}")
    actions = " -> ".join(f"{one['action']} (record {one['seq']})" for one in found)
    stage.say(f"chain: data {sha256[:12]} -> {actions} -> prediction {prediction}")


def link(stage: Stage, action: str, **expected: Any) -> dict[str, Any]:
    """The newest record of an action whose evidence has these values.

    Raises:
        StepMissing: There is none.
    """
    records: list[dict[str, Any]] = stage.records(action)
    for one in records:
        if all(one["evidence"].get(key) == value for key, value in expected.items()):
            return one
    raise StepMissing(f"no record {action} of {MODEL} has {expected}")


def check_log(stage: Stage) -> None:
    """No record was changed, removed or put in between.

    Raises:
        StepMissing: The log is broken.
    """
    done = stage.penstock("audit", "verify", "--state-dir", stage.state, check=False)
    if done.returncode:
        raise StepMissing(f"the audit log is broken: {done.stdout}{done.stderr}")
    stage.say(f"audit: {done.stdout.strip()}")
