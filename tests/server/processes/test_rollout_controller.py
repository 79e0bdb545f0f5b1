"""Carrying rollouts on: real state, audit log, registry and counters; workers as they report."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.control.api.audit_history import AuditHistory
from penstock.server.control.api.command import Command
from penstock.server.control.api.deploy_command import DeployCommand
from penstock.server.control.api.operations import Operations
from penstock.server.control.api.rollback_check import RollbackCheck
from penstock.server.control.api.rollout_operations import RolloutOperations
from penstock.server.control.coordination.coordinator import Coordinator
from penstock.server.control.coordination.exposition import Exposition
from penstock.server.control.coordination.fleet import Fleet, Worker
from penstock.server.control.coordination.planner import Planner
from penstock.server.control.coordination.rollout_controller import RolloutController
from penstock.server.control.coordination.rollout_observer import Epoch, Observer
from penstock.server.control.coordination.step_label_counter import StepLabelCounter
from penstock.server.desired_state.audit import read_log
from penstock.server.desired_state.store import StateStore
from penstock.server.errors import Conflict, NotFound
from penstock.server.registry.intake import Intake
from penstock.server.rollout.checkpoint import Checkpoints
from penstock.server.rollout.counts import StepLabels
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.vetoes import Alarm, Vetoes

QUICK = {"steps": [50, 100], "hold": 2, "min_requests": 10, "watch": 0}


class Stage:
    """One control process; `follow` lets all workers do what the target says."""

    def __init__(self, tmp_path, workers=1):
        self.now = 1000.0
        self.tmp_path = tmp_path
        self.counters = tmp_path / "counters"
        self.counters.mkdir(exist_ok=True)
        names = [f"worker-{number}" for number in range(workers)]
        self.files = [CounterFile.create(self.counters, name) for name in names]
        self.file = self.files[0]
        self.store = StateStore(tmp_path / "state", lambda: "2031-05-01T12:00:00.000Z")
        self.exposition = Exposition(self.counters)
        self.fleet = Fleet(self.exposition.render, expected=workers)
        self.coordinator = self.new_coordinator()
        self.vetoes = Vetoes(tmp_path / "state" / "rollouts")
        self.labels = {}
        self.epoch = Epoch("first", 0.0)
        self.shadow = (True, ())
        self.start_over()
        for process in names:
            self.fleet.workers[process] = Worker(process, process, 0, SimpleNamespace(write=len))
        self.following = True

    def new_coordinator(self):
        """It goes on from the target on disk, and has not looked at the registry."""
        intake = Intake(self.tmp_path / "state", 1 << 30, 0.0)
        places = self.tmp_path / "registry", self.tmp_path / "target"
        planner = Planner(*places, intake, explicit=False)
        config = SimpleNamespace(settle_seconds=0.0)
        return Coordinator(config, self.store, planner, self.fleet)

    def start_over(self):
        """As a control process does that comes back."""
        observer = Observer(
            self.coordinator,
            self.exposition,
            self.vetoes,
            self.epoch,
            lambda _: self.shadow,
            StepLabelCounter(lambda *_: self.labels, *[lambda *_: {}] * 3),
        )
        checkpoints = Checkpoints(self.tmp_path / "state")
        self.controller = RolloutController(
            self.coordinator, observer, checkpoints, lambda: self.now
        )
        deploy = DeployCommand(self.coordinator, AuditHistory(), 5.0)
        without_log = SimpleNamespace(state_dir=self.tmp_path / "state", log_max_bytes=0)
        check = RollbackCheck(self.coordinator, without_log, self.tmp_path / "config")
        self.operations = Operations(deploy, self.controller, check)
        self.rollouts = RolloutOperations(
            deploy, self.controller, self.coordinator, self.exposition, self.vetoes
        )

    def follow(self):
        target = self.coordinator.planner.target
        for worker in self.fleet.workers.values():
            worker.target = worker.steered = target.number
            worker.models = [
                {
                    "name": plan.name,
                    "version": str(version),
                    "state": "READY",
                    "reason": "",
                    "directory": str(at),
                }
                for plan in target.models.values()
                for version, at in plan.versions.items()
            ]
        self.fleet._note_change()

    async def workers(self):
        while True:
            if self.following:
                self.follow()
            await asyncio.sleep(0.005)

    async def look(self, seconds=0.0):
        """One look, so many seconds later; workers follow what comes of it."""
        self.now += seconds
        progress = self.controller.progress("m")
        if progress is not None and not progress.rollout.final:
            await self.controller._look(progress)
        if self.following:
            self.follow()
        return self.controller.progress("m")

    def count(self, version, requests, errors=0, **more):
        model = self.file.model("m", str(version))
        model.add(layout.ARM_REQUESTS, requests)
        model.add(layout.ARM_ERRORS, errors)
        for name, count in more.items():
            model.add(getattr(layout, name), count)

    async def start(self, kind=Kind.CANARY, **asked):
        terms = {**QUICK, **asked} if kind is Kind.CANARY else asked
        command = Command("rollout.start", "m", "ci/ann", "try it")
        started = asyncio.Event()

        async def look():
            while not started.is_set():
                await self.look()
                self.controller._looked.set()
                await asyncio.sleep(0.005)

        looking = asyncio.create_task(look())
        try:
            outcome = await self.rollouts.start(command, "ci", kind, 2, terms)
        finally:
            started.set()
            await looking
        return outcome["rollout"]

    def command(self, action, **more):
        return Command(action, "m", "ci/ann", **more)

    def records(self):
        return [one.event for one in read_log(self.store.audit)]

    def phases(self):
        return [one.action for one in self.records() if one.action.startswith("rollout.")]

    @property
    def share(self):
        split = self.coordinator.planner.target.models["m"].split
        return None if split is None else split.percent


@pytest.fixture
def run(tmp_path, onnx_file):
    """Run a test on a stage with versions 1, which is stable, and 2."""
    for version in (1, 2, 3):
        at = tmp_path / "registry" / "m" / str(version) / "model.onnx"
        onnx_file(at, [("Relu", ["x"], ["y"])], [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])])
    (tmp_path / "state").mkdir()

    def begin(test, workers=1):
        async def main():
            stage = Stage(tmp_path, workers)
            following = asyncio.create_task(stage.workers())
            await stage.coordinator.refresh()
            await stage.operations.promote(stage.command("promote"), 1)
            await test(stage)
            following.cancel()
            stage.store.close()
            for file in stage.files:
                file.close()

        asyncio.run(main())

    return begin


def test_a_step_is_passed_by_requests_and_time_and_the_last_one_promotes(run):
    async def test(stage):
        await stage.start(steps=[5, 50, 100])
        assert stage.share == 5.0
        await stage.look(1)
        stage.count(1, 500)
        stage.count(2, 500)
        assert (await stage.look(1)).cause == "hold_seconds"
        assert (await stage.look(1)).rollout.percent == 50.0
        assert stage.share == 50.0
        assert (await stage.look(9)).cause == "no_traffic"
        stage.count(1, 400)
        stage.count(2, 400)
        await stage.look(9)
        assert stage.share is None
        now = stage.store.state.model("m")
        assert (now.stable, now.former[-1]) == (2, 1)
        assert stage.phases() == [
            "rollout.start",
            "rollout.ready",
            "rollout.advance",
            "rollout.succeed",
        ]
        assert stage.records()[-1].after["stable"] == 2

    run(test)


def test_evidence_takes_the_share_away_and_is_on_record(run):
    async def test(stage):
        await stage.start()
        stage.count(1, 50)
        stage.count(2, 50, errors=12, ARM_FALLBACKS=12)
        progress = await stage.look(0.5)
        assert (progress.rollout.phase, progress.rollout.cause) == (Phase.ABORTED, "evidence")
        assert stage.share is None
        event = stage.records()[-1]
        about = event.evidence["rollout"]
        assert (event.action, event.actor) == ("rollout.abort", "penstock")
        assert about["steps"][0]["canary"] == {"requests": 50, "errors": 12, "fallbacks": 12}
        assert about["e_value"] >= about["aborts_at"]
        assert len(about["terms"]) == 64

    run(test)


def test_a_control_that_acts_before_its_first_look_goes_on_serving(run):
    async def test(stage):
        await stage.start()
        before = stage.coordinator.planner.target
        assert before.models["m"].split is not None
        stage.coordinator = stage.new_coordinator()
        stage.start_over()
        assert not stage.coordinator.looked
        stage.count(1, 50)
        stage.count(2, 50, errors=12)
        progress = await stage.look(0.5)
        assert progress.rollout.phase is Phase.ABORTED
        after = stage.coordinator.planner.target
        assert after.number > before.number
        assert after.models["m"].default == before.models["m"].default
        assert 1 in after.models["m"].versions

    run(test)


def test_what_was_counted_before_it_began_is_not_held_against_it(run):
    async def test(stage):
        stage.count(2, 1000, errors=900)
        await stage.start()
        progress = await stage.look(1)
        assert progress.rollout.steps[0].counts.canary.requests == 0
        assert not progress.rollout.final

    run(test)


def test_a_share_is_only_in_force_when_every_worker_has_it(run):
    async def test(stage):
        await stage.start()
        stage.following = False
        stage.count(2, 100)
        stage.count(1, 100)
        await stage.look(0.5)
        slow = stage.fleet.workers["worker-1"]
        slow.steered -= 1
        stage.start_over()
        assert (await stage.look(60)).cause == "steering"
        slow.steered += 1
        await stage.look(0.5)
        stage.count(2, 500)
        assert (await stage.look(1)).cause == "hold_seconds"
        gone = stage.fleet.workers.pop("worker-1")
        assert (await stage.look(60)).cause == "steering"
        stage.fleet.workers["worker-1"] = gone
        assert (await stage.look(1)).rollout.phase is Phase.PROMOTED

    run(test, workers=2)


def test_a_worker_that_cannot_load_the_candidate_ends_it(run):
    async def test(stage):
        await stage.start()
        stage.following = False
        (report,) = [one for one in stage.fleet.workers["worker-0"].models if one["version"] == "2"]
        report |= {"state": "FAILED", "reason": "golden request 1 differs"}
        progress = await stage.look(0.5)
        assert (progress.rollout.phase, progress.rollout.cause) == (Phase.ABORTED, "trip")
        assert "worker-0 cannot load it: golden request 1 differs" in progress.rollout.reason

    run(test)


@pytest.mark.parametrize(
    ("in_flight", "phase"),
    [
        ([{"2": 3}], Phase.ABORTED),
        ([{"1": 9, "2": 1}], Phase.PROGRESSING),
        ([{"1": 9, "2": 1}, {"1": 9, "2": 1}], Phase.ABORTED),
        ([{"1": 9}, {"1": 9}], Phase.PROGRESSING),
    ],
)
def test_a_death_is_the_candidates_by_what_was_in_flight(run, in_flight, phase):
    async def test(stage):
        await stage.start()
        await stage.look(0.5)
        for requests in in_flight:
            dying = CounterFile.create(stage.counters, "worker-7")
            for version, count in requests.items():
                dying.model("m", version).enter(count)
            dying.close()
            progress = await stage.look(0.5)
        assert progress.rollout.phase is phase

    run(test)


def test_a_version_that_leaves_the_registry_or_changes_ends_it(run, tmp_path):
    async def test(stage):
        await stage.start()
        findings = stage.coordinator.planner.findings
        result = replace(findings.results["m", 2], digest="sha256:another")
        stage.coordinator.planner.findings = replace(
            findings, results={**findings.results, ("m", 2): result}
        )
        progress = await stage.look(0.5)
        assert (progress.rollout.phase, progress.rollout.cause) == (Phase.ABORTED, "trip")
        assert "its files are others by now" in progress.rollout.reason

    run(test)


def test_counts_that_cannot_be_read_move_nothing(run):
    async def test(stage):
        await stage.start()
        stage.count(1, 100)
        stage.count(2, 100, errors=100)
        (stage.counters / "base.json").write_text("{")
        assert (await stage.look(60)).cause == "metrics"
        (stage.counters / "base.json").unlink()
        assert (await stage.look(0.5)).rollout.phase is Phase.ABORTED

    run(test)


def test_a_counter_file_that_is_away_for_a_while_moves_nothing_and_counts_once(run):
    async def test(stage):
        await stage.start(min_requests=1000)
        stage.count(1, 100)
        stage.count(2, 100)
        await stage.look(0.5)
        (file,) = stage.counters.glob("worker-0*")
        away = file.rename(stage.tmp_path / file.name)
        progress = await stage.look(60)
        assert progress.cause == "metrics"
        assert "no counts of worker-0" in progress.message
        stage.count(2, 10)
        away.rename(file)
        counts = (await stage.look(0.5)).rollout.steps[0].counts
        assert (counts.stable.requests, counts.canary.requests) == (100, 110)
        file.unlink()
        assert (await stage.look(60)).cause == "metrics"

    run(test, workers=2)


def test_a_clock_that_is_set_back_moves_nothing_and_the_step_is_seen_again(run):
    async def test(stage):
        await stage.start()
        await stage.look(0.5)
        stage.count(1, 500)
        stage.count(2, 500)
        await stage.look(1.1)
        progress = await stage.look(-3600)
        assert (progress.cause, progress.rollout.phase) == ("clock", Phase.PROGRESSING)
        assert "set back by 3600 s" in progress.message
        assert progress.rollout.steps[0].counts.canary.requests == 500  # kept
        stage.start_over()  # and with what is on disk, from the future
        assert (await stage.look(0.5)).cause in {"clock", "hold_seconds"}
        assert (await stage.look(1)).cause == "hold_seconds"
        await stage.look(1)
        assert (await stage.look(1)).rollout.phase is Phase.PROMOTED

    run(test)


def test_labels_count_once_although_one_is_corrected(run):
    async def test(stage):
        await stage.start()
        await stage.look(0.5)
        stage.labels = {("1", "stable"): (100, 5), ("2", "canary"): (100, 60)}
        progress = await stage.look(6)
        assert progress.rollout.steps[0].counts.canary.wrong == 60
        assert progress.rollout.phase is Phase.ABORTED
        stage.labels = {("2", "canary"): (100, 59)}
        rollout = progress.rollout
        labels = await stage.controller._observer._labels.count(rollout, stage.now + 60)
        assert labels == (StepLabels(rollout.steps[0].began_at, (100, 5), (100, 60)),)

    run(test)


def test_nothing_is_lost_or_counted_twice_when_control_starts_over(run):
    async def test(stage):
        await stage.start(min_requests=1000)
        stage.count(1, 100)
        stage.count(2, 70, errors=1)
        before = (await stage.look(2)).rollout
        stage.count(2, 30)
        stage.start_over()
        assert stage.controller.progress("m").rollout.steps[0].counts.canary.requests == 70
        after = (await stage.look(2)).rollout
        assert after.steps[0].counts.canary.requests == 100
        assert after.steps[0].counts.canary.errors == 1
        assert (after.id, after.phase, after.percent) == (before.id, before.phase, before.percent)
        # The whole server: counters begin at zero, the checkpoint does not.
        stage.file.close()
        for path in stage.counters.iterdir():
            path.unlink()
        stage.file = CounterFile.create(stage.counters, "worker-0")
        stage.epoch = Epoch("second", 0.0)
        stage.start_over()
        stage.count(2, 5)
        assert (await stage.look(2)).rollout.steps[0].counts.canary.requests == 105

    run(test)


def test_a_checkpoint_of_another_step_is_old(run, tmp_path):
    async def test(stage):
        await stage.start(steps=[5, 50, 100])
        stage.count(1, 500)
        stage.count(2, 500)
        await stage.look(2)
        (path,) = (tmp_path / "state" / "rollouts").glob("m-*.json")
        old = path.read_text()
        stage.count(2, 500)
        await stage.look(3)
        assert (await stage.look(3)).rollout.percent == 50.0
        path.write_text(old)
        stage.start_over()
        assert stage.controller.progress("m").rollout.percent == 50.0
        path.write_text("{")
        stage.start_over()
        assert stage.controller.progress("m").rollout.percent == 50.0
        content = json.loads(old)
        assert len(content["steps"]) == 1

    run(test)


def test_a_move_that_cannot_be_recorded_is_not_made(run):
    async def test(stage):
        await stage.start()
        stage.count(1, 50)
        stage.count(2, 50, errors=12)
        stage.store.problem = "the disk is full"
        looking = asyncio.create_task(stage.controller.run())
        await stage.controller.wait(lambda: False, 0.2)
        assert stage.share == 50.0
        stage.store.problem = ""
        done = await stage.controller.wait(lambda: stage.share is None, 5.0)
        looking.cancel()
        assert done
        assert stage.phases()[-1] == "rollout.abort"

    run(test)


def test_an_alarm_aborts_and_forbids_another_start(run):
    async def test(stage):
        await stage.start()
        stage.vetoes.hear([Alarm("k", "Latency", "m", at=stage.now)])
        progress = await stage.look(0.5)
        assert (progress.rollout.phase, progress.rollout.cause) == (Phase.ABORTED, "veto")
        with pytest.raises(Conflict, match="Latency"):
            await stage.start()
        stage.vetoes.hear([Alarm("k", "Latency", "m", firing=False)])
        await stage.start()

    run(test)


def test_a_person_who_moves_stable_ends_it_with_its_counts_on_record(run):
    async def test(stage):
        await stage.start()
        stage.count(2, 50, errors=1)
        await stage.look(0.2)
        await stage.operations.promote(stage.command("promote", reason="enough"), 3)
        rollout = stage.controller.progress("m").rollout
        assert (rollout.phase, rollout.cause, rollout.by) == (Phase.ABORTED, "operator", "ci/ann")
        event = stage.records()[-1]
        assert (event.action, event.after) == ("promote", {"stable": 3})
        assert event.evidence["rollout"]["steps"][0]["canary"]["errors"] == 1
        await stage.operations.rollback(stage.command("rollback"))
        assert stage.store.state.model("m").stable == 1

    run(test)


def test_a_person_may_promote_the_candidate_and_the_rollout_says_so(run):
    async def test(stage):
        await stage.start()
        await stage.operations.promote(stage.command("promote"), 2)
        assert stage.controller.progress("m").rollout.phase is Phase.PROMOTED
        assert stage.store.state.model("m").stable == 2

    run(test)


def test_a_required_approval_binds_operators_too(run):
    async def test(stage):
        await stage.start(require_approval=True)
        for attempt in (
            stage.operations.promote(stage.command("promote"), 2),
            stage.rollouts.act(stage.command("promote")),
        ):
            with pytest.raises(Conflict, match="approv"):
                await attempt
        digest = stage.controller.progress("m").rollout.digest
        await stage.rollouts.approve(Command("approve", "m", "boss"), "boss", digest)
        await stage.rollouts.act(stage.command("promote"))
        assert stage.store.state.model("m").stable == 2

    run(test)


def test_one_rollout_at_a_time_and_its_candidate_stays(run):
    async def test(stage):
        await stage.start()
        with pytest.raises(Conflict, match="on trial"):
            await stage.start()
        with pytest.raises(Conflict, match="on trial"):
            await stage.operations.unload(stage.command("unload"), 2)
        await stage.rollouts.act(stage.command("abort"))
        with pytest.raises(NotFound, match="no rollout"):
            await stage.rollouts.act(stage.command("abort"))
        await stage.operations.unload(stage.command("unload"), 2)

    run(test)


def test_a_shadow_waits_for_its_process_and_ends_by_its_trip(run):
    async def test(stage):
        stage.shadow = (True, ())
        await stage.start(Kind.SHADOW)
        assert stage.share is None
        assert stage.coordinator.planner.target.models["m"].mirror.percent == 100.0
        stage.count(2, 0, PAIRS=40, DISAGREEMENTS=1)
        progress = await stage.look(0.5)
        assert progress.rollout.steps[0].counts.pairs.pairs == 40
        stage.shadow = (False, ("memory: it grew by 1 GiB",))
        progress = await stage.look(0.5)
        assert (progress.rollout.phase, progress.rollout.reason) == (
            Phase.ABORTED,
            "memory: it grew by 1 GiB",
        )

    run(test)


def test_what_was_seen_ends_with_the_evidence_it_ended_by_and_outlives_the_process(run):
    async def test(stage):
        await stage.start()
        stage.count(1, 50)
        stage.count(2, 50, errors=12)
        stage.now += 1
        looking = asyncio.create_task(stage.controller.run())
        assert await stage.controller.wait(lambda: stage.share is None, 5.0)
        history = Checkpoints(stage.tmp_path / "state").history
        rollout = stage.controller.progress("m").rollout
        assert await stage.controller.wait(lambda: history(rollout.id), 5.0)
        looking.cancel()
        stage.start_over()
        *_, last = stage.controller.progress("m").history
        assert (last.percent, last.canary) == (0.0, (50, 12))
        assert last.e_value >= 20

    run(test)


def test_without_a_rollout_nothing_is_looked_at(run, monkeypatch):
    async def test(stage):
        async def look(*_):
            raise AssertionError("nobody asked")

        monkeypatch.setattr(stage.controller._observer, "observe", look)
        looking = asyncio.create_task(stage.controller.run())
        await stage.controller.wait(lambda: False, 0.1)
        assert not looking.done()
        looking.cancel()

    run(test)


class Slow:
    """Verifies rollbacks; meanwhile something else happens."""

    def __init__(self, state, meanwhile):
        self.state, self.meanwhile = state, meanwhile

    async def verify(self, _, version):
        await self.meanwhile()
        return {"state": self.state, "reason": "asked today's requests", "version": version}


def test_a_rollback_goes_back_to_the_version_that_was_verified_or_not_at_all(run):
    async def test(stage):
        for version in (2, 3):
            await stage.operations.promote(stage.command("promote"), version)
        deploy = stage.operations._deploy

        async def somebody_else():
            await stage.operations.rollback(stage.command("rollback"))

        slow = Operations(deploy, stage.controller, Slow("valid", somebody_else))
        with pytest.raises(Conflict, match="while version 2 was being verified"):
            await slow.rollback(stage.command("rollback"))
        assert stage.store.state.model("m").stable == 2
        assert stage.store.state.model("m").former == (3, 1)

    run(test)


def test_a_refused_rollback_takes_back_its_own_load_and_no_other(run):
    async def test(stage):
        await stage.operations.promote(stage.command("promote"), 2)
        await stage.operations.unload(stage.command("unload"), 1)

        async def somebody_else():
            await stage.operations.load(stage.command("load"), 3)

        deploy = stage.operations._deploy
        slow = Operations(deploy, stage.controller, Slow("invalid", somebody_else))
        with pytest.raises(Conflict, match="version 1 of model 'm' is not valid"):
            await slow.rollback(stage.command("rollback"))
        wanted = stage.store.state.model("m")
        assert (wanted.stable, wanted.loaded, wanted.unloaded) == (2, {3}, {1})

    run(test)
