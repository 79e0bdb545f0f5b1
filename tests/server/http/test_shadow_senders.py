import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.config.model_config import ModelConfig
from penstock.server.inference.shadow_senders import ShadowSenders
from penstock.server.rollout.traffic import Mirror
from penstock.server.target.plan import ModelPlan


def plans(percent=None, rollout="m-1", default=1):
    mirror = None if percent is None else Mirror(rollout, 2, None, percent)
    versions = {1: Path("1"), 3: Path("3")}
    return {"m": ModelPlan("m", versions, default, {}, ModelConfig(), mirror=mirror)}


@pytest.fixture
def mirrors(tmp_path):
    loop = asyncio.new_event_loop()
    one = ShadowSenders(tmp_path / "shadow.sock", CounterFile.anonymous(), loop)
    yield one
    one.close()
    loop.close()


def threads():
    return [one for one in threading.enumerate() if one.name == "penstock-mirror"]


def test_without_a_mirror_there_is_neither_route_nor_thread(mirrors):
    mirrors.follow(plans())
    assert mirrors.routes == {}
    assert threads() == []


def test_nothing_is_copied_while_the_candidate_is_made_ready(mirrors):
    mirrors.follow(plans(0.0))
    assert mirrors.routes == {}


def test_answers_of_the_default_version_are_copied(mirrors):
    mirrors.follow(plans(25.0))
    [(key, feed)] = mirrors.routes.items()
    assert key == ("m", "1")
    assert feed.share == 0.25
    assert (feed.counters.model, feed.counters.version) == ("m", "2")
    assert len(threads()) == 1


def test_the_same_rollout_goes_on_with_its_feed(mirrors):
    mirrors.follow(plans(25.0))
    [feed] = mirrors.routes.values()
    mirrors.follow(plans(100.0, default=3))
    assert mirrors.routes == {("m", "3"): feed}
    assert feed.share == 1.0


def test_the_path_sees_a_change_in_the_routes_that_it_was_given(mirrors):
    routes = mirrors.routes
    mirrors.follow(plans(100.0))
    assert routes
    mirrors.follow(plans())
    assert routes == {}


def test_another_rollout_has_another_feed_and_the_end_ends_the_thread(mirrors):
    mirrors.follow(plans(100.0))
    [before] = mirrors.routes.values()
    mirrors.follow(plans(100.0, "m-2"))
    [after] = mirrors.routes.values()
    assert after is not before
    mirrors.close()
    assert threads() == []


def test_an_error_with_one_feed_ends_neither_the_thread_nor_the_other_feed(mirrors):
    both = plans(100.0) | {"n": replace(plans(100.0, "n-1")["m"], name="n")}
    mirrors.follow(both)
    broken, sound = mirrors.routes["m", "1"], mirrors.routes["n", "1"]
    turns = threading.Semaphore(0)

    def fail():
        raise SystemExit

    broken.turn = broken.break_off = fail
    sound.turn = turns.release
    for _ in range(3):
        assert turns.acquire(timeout=60)
    assert len(threads()) == 1
