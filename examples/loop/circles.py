"""The two circles, step by step: a better model is promoted, a worse one refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chain import check_log, check_promotion
from stage import MODEL, StepMissing
from traffic import Traffic
from world import AUTUMN, SPRING, SUMMER

if TYPE_CHECKING:
    from stage import Stage

#: Requests that an accuracy is of.
JUDGED = 300


def both_circles(stage: Stage) -> None:
    """A good circle, then one whose labels are wrong, and the audit chain of both.

    Raises:
        StepMissing: A step did not happen.
    """
    stage.first_version(SPRING)
    with stage.served():
        stage.until("version 1 serves", lambda: stage.model().get("default") == 1)
        stage.watch(1, SPRING)
        with Traffic(stage.url, MODEL, SPRING, seed=1) as traffic:
            stage.until(
                "traffic is as usual, and version 1 is right in {found:.0%} of the cases",
                lambda: traffic.answered[1] > 1000 and traffic.accuracy,  # noqa: PLR2004
                traffic,
            )
            good_circle(stage, traffic)
            stage.watch(2, SUMMER)
            stage.until("traffic is as usual for version 2", lambda: usual(stage, 2), traffic)
            refusal(stage, traffic)
    check_log(stage)


def good_circle(stage: Stage, traffic: Traffic) -> None:
    """Drift, a retraining, gates, a canary, a promotion."""
    stage.say("DRIFT: prices rise, and others leave than before")
    stage.hold_out(SUMMER)
    traffic.season = SUMMER
    run = retrained(stage, traffic, number=1)
    stage.until("version 2 is published by the run", lambda: published(stage, run, 2), traffic)
    stage.until("its gates pass: {found}", lambda: gates(stage, 2, passed=True), traffic)
    stage.until("its canary begins by itself", lambda: stage.records("rollout.start"), traffic)
    stage.until("version 2 is promoted by itself", lambda: promoted(stage, 2), traffic)
    traffic.forget()
    stage.until(
        "version 2 is right in {found:.0%} of the cases",
        lambda: traffic.judged >= JUDGED and traffic.accuracy,
        traffic,
    )
    run = stage.get(f"/admin/models/{MODEL}/retrain")["last"]
    prediction = traffic.last_of[2]
    stage.until("a prediction of version 2 is logged", lambda: logged(stage, prediction), traffic)
    check_promotion(stage, run, prediction)
    if traffic.accuracy < 0.8:  # noqa: PLR2004  version 1 was right in about half of the cases
        raise StepMissing(f"version 2 is right in {traffic.accuracy:.0%} of the cases only")


def refusal(stage: Stage, traffic: Traffic) -> None:
    """Drift, a retraining with wrong labels, a gate that holds the version, and no answer of it."""
    stage.say("DRIFT again: and this time most labels are wrong")
    stage.hold_out(AUTUMN)
    traffic.season = AUTUMN
    run = retrained(stage, traffic, number=2)
    stage.until("version 3 is published by the run", lambda: published(stage, run, 3), traffic)
    stage.until("REFUSED: {found}", lambda: gates(stage, 3, passed=False), traffic)
    before = traffic.answered[2]
    stage.until("version 2 goes on", lambda: traffic.answered[2] > before + JUDGED, traffic)
    if traffic.answered[3] or stage.model()["default"] != 2:  # noqa: PLR2004
        raise StepMissing(f"version 3 must not answer; it has, {traffic.answered[3]} times")


def retrained(stage: Stage, traffic: Traffic, number: int) -> dict[str, Any]:
    """The run that the drift starts, once it has ended well."""

    def incident() -> Any:
        alerts = stage.get(f"/admin/alerts?model={MODEL}&open=true")["alerts"]
        version = str(stage.model()["default"])
        return next(
            (
                one["summary"]
                for one in alerts
                if one["kind"] == "drift" and one["version"] == version
            ),
            None,
        )

    def ended() -> dict[str, Any] | None:
        runs = stage.get(f"/admin/models/{MODEL}/retrain")["runs"]
        failed = [one for one in runs if one["phase"] == "failed"]
        if failed:
            raise StepMissing(f"the retraining failed: {failed[0]['problem']}")
        return runs[-number] if len(runs) >= number and runs[-number]["ended_at"] else None

    stage.until("incident: {found}", incident, traffic)
    stage.until(
        "a retraining is started: {found[0][evidence][run]}",
        lambda: len(found := stage.records("retrain.started")) >= number and found,
        traffic,
    )
    run: dict[str, Any] = stage.until(
        "the run has ended: {found[data][rows]} labelled predictions, {found[phase]}",
        ended,
        traffic,
    )
    return run


def published(stage: Stage, run: dict[str, Any], version: int) -> bool:
    """Whether the version names the run, and the data that were exported for it."""
    for one in stage.records("retrain.published"):
        evidence = one["evidence"]
        if (evidence["run"], evidence["result"]) == (run["id"], version):
            if evidence["data_hash"] != f"sha256:{run['data']['sha256']}":
                raise StepMissing("the version names other data than were exported")
            return True
    return False


def gates(stage: Stage, version: int, *, passed: bool) -> str:
    """What the gates say of a version; empty while they run."""
    found = stage.get(f"/admin/models/{MODEL}/versions/{version}/gates")
    report = found["report"]
    if report is None:
        return ""
    if report["passed"] != passed:
        raise StepMissing(f"the gates of version {version} say {found['reason'] or 'passed'}")
    if passed:
        return ", ".join(f"{one['gate']} {one['verdict']}" for one in report["results"])
    return str(found["reason"])


def promoted(stage: Stage, version: int) -> bool:
    """Whether the version is stable, because its rollout came to its end."""
    rollout = stage.model().get("rollout") or {}
    if rollout.get("phase") in {"held", "aborted"}:
        raise StepMissing(f"the canary is {rollout['phase']}: {rollout}")
    model = stage.model()
    return bool(model["default"] == version and rollout.get("phase") == "promoted")


def logged(stage: Stage, prediction: str) -> bool:
    """Whether the prediction log has it."""
    place = ("--state-dir", stage.state)
    return not stage.penstock("predictions", "show", prediction, *place, check=False).returncode


def usual(stage: Stage, version: int) -> bool:
    """Whether windows of the version were judged, and none of them drifts."""
    for one in stage.get(f"/admin/models/{MODEL}/drift")["versions"]:
        if one["version"] == str(version):
            return bool(one["features"]) and one["state"] not in {"drift", "provisional"}
    return False
