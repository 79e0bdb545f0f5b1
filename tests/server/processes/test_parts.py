"""The small parts of the process tree, each alone."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batching.options import BatchingOptions
from penstock.server.config.model_config import ModelConfig
from penstock.server.config.version_policy import VersionPolicy
from penstock.server.errors.incidents import Incidents
from penstock.server.processes.restart import MAX_DELAY_SECONDS, after_death
from penstock.server.processes.run_directory import RunDirectory, RunDirectoryInUse
from penstock.server.rollout.traffic import Mirror, Split
from penstock.server.supervisor.listening import CannotListen, open_listener, url_of
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, encode_target, next_target
from penstock.server.worker.reconciler import Reconciler

# -- restart -----------------------------------------------------------------------------------


def test_the_first_death_is_answered_at_once():
    assert after_death(0, started_at=100.0, now=100.1).at == 100.1


def test_a_long_life_forgives():
    assert after_death(9, started_at=0.0, now=60.0).failures == 1


@given(st.lists(st.floats(0.01, 9.9), min_size=60, max_size=200))
def test_who_always_dies_young_is_started_ever_more_rarely(runs):
    now, failures, delays = 0.0, 0, []
    for history in runs:
        started_at, now = now, now + history
        restart = after_death(failures, started_at, now)
        failures = restart.failures
        delays.append(restart.at - now)
        now = restart.at
    assert all(0 <= delay <= MAX_DELAY_SECONDS + 1e-6 for delay in delays)
    assert delays[-1] == pytest.approx(MAX_DELAY_SECONDS)
    assert sum(delays[:9]) > 50  # nine starts a minute at the very most, then two
    assert all(delay < 31 for delay in delays[:15])  # minutes in which somebody may mend it
    assert sum(delays[:60]) > 3 * 3600  # then so seldom that logs stay small


# -- listening ---------------------------------------------------------------------------------


def test_a_listener_can_be_reached_where_it_says():
    with open_listener("127.0.0.1", 0, "port") as listener:
        host, port = url_of(listener).removeprefix("http://").split(":")
        socket.create_connection((host, int(port))).close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_addresses_are_bracketed():
    try:
        listener = open_listener("::1", 0, "port")
    except CannotListen:
        pytest.skip("no IPv6 here")
    with listener:
        assert url_of(listener, "https").startswith("https://[::1]:")


def test_all_interfaces_are_shown_as_this_machine():
    with open_listener("0.0.0.0", 0, "port") as listener:
        assert url_of(listener).startswith("http://127.0.0.1:")


def test_an_unknown_host_is_explained():
    with pytest.raises(CannotListen, match=r"cannot listen on 999\.0\.0\.1 port 0"):
        open_listener("999.0.0.1", 0, "port")


# -- run directory -----------------------------------------------------------------------------


def test_what_an_earlier_server_left_is_cleared(tmp_path):
    first = RunDirectory.create(tmp_path / "run")
    (first.counters / "old.counters").write_text("x")
    first.target.write_text("x")
    with pytest.raises(RunDirectoryInUse):
        RunDirectory.create(tmp_path / "run")
    os.close(first._lock)
    second = RunDirectory.create(tmp_path / "run")
    assert list(second.counters.iterdir()) == []
    assert not second.target.exists()
    second.remove()
    assert (tmp_path / "run").exists()


def test_a_temporary_directory_disappears_and_so_do_those_of_the_dead(
    tmp_path_factory, monkeypatch
):
    parent = tmp_path_factory.mktemp("m")  # short: sockets go there
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(parent))
    (parent / "penstock-1" / "counters").mkdir(parents=True)
    directory = RunDirectory.create(None)
    assert directory.path.parent == parent
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert not (parent / "penstock-1").exists()
    directory.remove()
    assert list(parent.iterdir()) == []


def test_a_path_too_long_for_a_socket_is_refused(tmp_path):
    with pytest.raises(OSError, match="longer than"):
        RunDirectory.create(tmp_path / ("x" * 100))


# -- target ------------------------------------------------------------------------------------

PLAN = ModelPlan(
    "m",
    {1: Path("/r/m/1"), 12: Path("/r/m/12")},
    12,
    {"stable": 12},
    ModelConfig(
        platform="onnx_onnxv1",
        version_policy=VersionPolicy(specific=(1, 12)),
        default_version=12,
        batching=BatchingOptions(max_batch_size=3),
        settings={"deep": {"list": [1, 2.5, "x", True]}},
    ),
    pinned=True,
    split=Split("m-7", 12, 2.5, "x-user", fallback=False, slow_seconds=0.25),
    mirror=Mirror("m-8", 13, Path("/r/m/13"), 100.0),
)


def test_a_target_survives_its_journey():
    target = Target(3, {"m": PLAN, "n": ModelPlan("n", {}, None, {}, ModelConfig())})
    assert decode_target(encode_target(target)) == target


def test_the_number_grows_with_every_change_and_only_then():
    first = next_target(Target(), {})
    assert first.number == 1
    second = next_target(first, {"m": PLAN})
    assert second.number == 2
    assert next_target(second, {"m": PLAN}) is second


# -- reconciler --------------------------------------------------------------------------------


class Host:
    def __init__(self):
        self.applied = []
        self.steered = []
        self.go_on = asyncio.Event()
        self.incidents = Incidents()
        self.pauses = []
        self.woken = asyncio.Event()

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        await self.woken.wait()
        self.woken.clear()

    def steer(self, models):
        self.steered.append(sorted(models))
        if "unsteerable" in models:
            raise RuntimeError("no way")

    async def apply(self, models):
        self.applied.append(sorted(models))
        await self.go_on.wait()
        if "bad" in models:
            raise RuntimeError("boom")


def run(body):
    async def main():
        host, reports = Host(), []
        reconciler = Reconciler(
            host, lambda: reports.append(reconciler.applied), host.incidents, host.sleep
        )
        task = asyncio.create_task(reconciler.run())
        async with asyncio.timeout(60):
            await body(host, reconciler, reports)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


async def settle():
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_newer_target_waits_for_no_load_of_an_older_one():
    async def body(host, reconciler, reports):
        for number in (1, 2, 3, 4):
            reconciler.aim(Target(number, {str(number): PLAN}))
            if number == 1:
                await settle()
        await settle()
        assert host.applied == [["1"], ["4"]]
        assert reports == [0, 0, 0, 0]
        host.go_on.set()
        await settle()
        assert host.applied == [["1"], ["4"]]
        assert reports == [0, 0, 0, 0, 4]

    run(body)


def test_the_same_target_again_is_only_reported():
    async def body(host, reconciler, reports):
        host.go_on.set()
        for _ in range(2):
            reconciler.aim(Target(1, {}))
            await settle()
        assert len(host.applied) == 1
        assert reports == [0, 1, 1, 1]

    run(body)


def test_a_host_that_breaks_does_not_end_the_reconciler():
    async def body(host, reconciler, reports):
        host.go_on.set()
        reconciler.aim(Target(1, {"bad": PLAN}))
        await settle()
        assert reconciler.settled.is_set()
        reconciler.aim(Target(2, {}))
        await settle()
        assert reports == [0, 0, 0, 2]

    run(body)


def test_pointers_move_while_an_earlier_target_is_still_being_loaded():
    async def body(host, reconciler, reports):
        reconciler.aim(Target(1, {"slow": PLAN}))
        await settle()
        reconciler.aim(Target(2, {"slow": PLAN, "back": PLAN}))
        assert host.steered[-1] == ["back", "slow"]
        assert (reconciler.steered, reconciler.applied) == (2, 0)
        host.go_on.set()
        await settle()
        assert (reconciler.steered, reconciler.applied) == (2, 2)

    run(body)


def test_what_could_not_be_applied_is_tried_again_ever_more_rarely_and_told():
    async def body(host, reconciler, reports):
        host.go_on.set()
        reconciler.aim(Target(1, {"bad": PLAN}))
        await settle()
        for times in range(1, 9):
            assert f"target 1 could not be applied, {times} times" in reconciler.problem
            assert "RuntimeError: boom; it is tried again in" in reconciler.problem
            host.woken.set()
            await settle()
        assert host.pauses[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        assert host.applied == [["bad"]] * 9
        (told,) = host.incidents.report()
        assert (told["place"], told["count"]) == ("applying a target", 9)
        reconciler.aim(Target(2, {}))  # does not wait for the pause
        await settle()
        assert (reconciler.applied, reconciler.problem) == (2, "")

    run(body)


def test_pointers_that_cannot_be_moved_are_left_to_the_load():
    async def body(host, reconciler, reports):
        host.go_on.set()
        reconciler.aim(Target(1, {"unsteerable": PLAN}))
        assert (reconciler.steered, reports) == (0, [0])
        await settle()
        assert (reconciler.steered, reconciler.applied) == (1, 1)

    run(body)
