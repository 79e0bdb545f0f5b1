"""What is made of the audit log's records of rollouts: series for Prometheus, alerts for people."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.metrics.collector import exposition
from penstock.server.control.coordination.rollout_alerts import LAST, RolloutAlerts, alert_of
from penstock.server.control.coordination.rollout_metrics import RolloutMetrics
from penstock.server.desired_state.audit_record import AuditEvent, make_record
from penstock.server.desired_state.rebuild import ABANDONED
from penstock.server.desired_state.rollout_state import event_of, put
from penstock.server.desired_state.state import DesiredState
from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec

TIME = "2031-05-01T12:00:00.000Z"
STARTED = begin("m-7", Kind.CANARY, "m", (1, 2), "sha256:d", RolloutSpec(), "ann", 100.0)
BAD = Counts(ArmCounts(requests=95), ArmCounts(requests=5, errors=4))
RUNNING = replace(STARTED, phase=Phase.PROGRESSING, steps=(Step(5.0, BAD),))


def record(seq, before, after, action="abort"):
    old = put(DesiredState(), before)
    event = event_of(action, "penstock", old, put(old, after), after)
    return make_record(seq, TIME, event, "0" * 64)


def aborted(seq, cause="evidence"):
    ended = replace(RUNNING, phase=Phase.ABORTED, cause=cause, reason="E = 25, aborts at 20")
    return record(seq, RUNNING, ended)


def series(metrics):
    _, body = exposition([metrics], "")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (one.rpartition(" ") for one in lines)}


def test_prometheus_is_told_the_phase_the_share_and_the_evidence():
    found = series(RolloutMetrics(lambda: [RUNNING]))
    assert found['penstock_rollout_phase{model="m",phase="progressing"}'] == 1
    assert found['penstock_rollout_phase{model="m",phase="aborted"}'] == 0
    assert found['penstock_rollout_weight{model="m"}'] == 5
    assert found['penstock_rollout_e_value{kind="errors",model="m"}'] > 20
    assert found['penstock_rollout_e_value{kind="slow",model="m"}'] == 1


def test_aborts_are_counted_by_reason_and_an_abandoned_one_is_not():
    metrics = RolloutMetrics(list)
    for one in (aborted(1), aborted(2), aborted(3, "veto"), record(4, STARTED, RUNNING, "ready")):
        metrics.add(one)
    metrics.add(aborted(5))
    metrics.add(make_record(6, TIME, AuditEvent(ABANDONED, "penstock", before=5), "0" * 64))
    found = series(metrics)
    assert found['penstock_rollout_aborts_total{model="m",reason="evidence"}'] == 2
    assert found['penstock_rollout_aborts_total{model="m",reason="veto"}'] == 1


def test_people_are_told_of_phases_that_matter_to_them():
    alert = alert_of(aborted(9))
    assert (alert.kind, alert.severity, alert.version) == ("rollout.aborted", "critical", "2")
    assert "E = 25" in alert.summary
    assert alert.evidence["steps"][0]["canary"]["errors"] == 4
    assert alert_of(record(1, STARTED, RUNNING, "ready")) is None
    assert alert_of(record(2, RUNNING, RUNNING, "approve")) is None
    assert alert_of(make_record(3, TIME, AuditEvent("promote", "ann"), "0" * 64)) is None


def test_each_is_told_once_and_those_of_the_last_life_again(tmp_path):
    alert_store = AlertStore(tmp_path / "alerts.db")

    def known():
        return [one.episode for one in alert_store.open_episodes()]

    async def told(past, new, expected):
        alerts = RolloutAlerts(alert_store)
        for one in past:
            alerts.add_past(one)
        telling = asyncio.create_task(alerts.run())
        for one in new:
            await asyncio.to_thread(alerts.add, one)
        async with asyncio.timeout(60):
            while await asyncio.to_thread(known) != expected:
                assert not telling.done()
                await asyncio.sleep(0.01)  # the disk is the writer's
        telling.cancel()

    asyncio.run(told([], [aborted(1), record(2, STARTED, RUNNING, "ready")], ["m-7:1"]))
    past = [aborted(seq) for seq in range(1, LAST + 4)]
    again = [f"m-7:{seq}" for seq in range(4, LAST + 4)]
    asyncio.run(told(past, [aborted(50)], ["m-7:1", *again, "m-7:50"]))
