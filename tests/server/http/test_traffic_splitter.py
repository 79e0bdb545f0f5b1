"""Requests divided between two versions, at both front ends."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import moody
import msgpack
import numpy as np
import pytest

from penstock.monitoring.metrics import layout
from penstock.server.config.model_config import ModelConfig
from penstock.server.rollout.routing import Chooser
from penstock.server.rollout.segment_counts import SegmentCounts
from penstock.server.rollout.segment_table import BLOCKS, segments_of
from penstock.server.rollout.traffic import Split
from penstock.server.rollout.worst_units import UnitCounts, table_of, unit_key
from penstock.server.target.plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = {
    "requests": layout.ARM_REQUESTS,
    "errors": layout.ARM_ERRORS,
    "timeouts": layout.ARM_TIMEOUTS,
    "invalid": layout.ARM_INVALID,
    "slow": layout.ARM_SLOW,
    "fallbacks": layout.ARM_FALLBACKS,
}
#: What is counted beside: of units, and what became of fallbacks.
UNIT_KINDS = {
    **KINDS,
    "rescued": layout.ARM_RESCUED,
    "both_failed": layout.ARM_BOTH_FAILED,
    "repeated_failures": layout.ARM_REPEATED_FAILURES,
    "repeated_invalid": layout.ARM_REPEATED_INVALID,
    "repeated_slow": layout.ARM_REPEATED_SLOW,
    "warm_up_slow": layout.ARM_WARM_UP_SLOW,
}
_DATE = re.compile(rb"\r\ndate: [^\r]*")
_MADE_ID = re.compile(rb"x-request-id: [0-9a-f]{17,}(?=\r\n|$)")


def to(arm: str) -> str:
    return f"x-penstock-arm: {arm}"


def named(unit: object) -> str:
    return f"x-request-id: {unit}"


def of_arm(arm: str, percent: float = 50.0, rollout: str = "r-1") -> Iterator[str]:
    """Request ids that the split gives to this arm."""
    choose = Chooser(Split(rollout, 2, percent)).is_canary
    ids = (f"id-{i}" for i in range(10_000))
    return (named(one) for one in ids if choose(one.encode()) == (arm == "canary"))


class Server:
    """A running server whose splits can be set."""

    def __init__(self, live: Any) -> None:
        self.live = live
        self.ask = live.ask

    def share(self, model: str, split: Split | None) -> None:
        """Version 1 is stable; a split of its own for every test, as rollouts have."""
        segments = () if split is None else split.segments
        catalog = self.live.app.engine.catalog

        def steer() -> None:
            versions = dict.fromkeys(map(int, catalog.models[model].versions))
            plan = ModelPlan(
                model,
                versions,
                1,
                {"next": 2},
                ModelConfig(segments=segments),
                pinned=True,
                split=split,  # type: ignore[arg-type]
            )
            self.live.app.engine.host.steer({model: plan})

        self.live.on_loop(steer)

    def counts(self, model: str, version: str, kinds: dict[str, int]) -> dict[str, int]:
        """What has been counted of an arm and is not zero."""
        slots = self.live.app.engine.counters.model(model, version)._slots
        return {kind: slots[slot] for kind, slot in kinds.items() if slots[slot]}

    def under_way(self, model: str) -> list[int]:
        """Routed requests and requests in flight, of each version."""
        versions = self.live.app.engine.catalog.models[model].versions.values()
        return self.live.on_loop(
            lambda: [
                number
                for one in versions
                for number in (one.routed, one.counters._slots[layout.IN_FLIGHT])
            ]
        )


class Difference:
    """What a block of code has counted of each arm."""

    def __init__(self, server: Server, model: str, kinds: dict[str, int] = KINDS) -> None:
        self._server, self._model, self._kinds = server, model, kinds
        self._before = self._now()

    def _now(self) -> list[dict[str, int]]:
        return [self._server.counts(self._model, version, self._kinds) for version in "12"]

    def __call__(self) -> tuple[dict[str, int], dict[str, int]]:
        stable, canary = (
            {kind: n - was.get(kind, 0) for kind, n in now.items() if n != was.get(kind, 0)}
            for was, now in zip(self._before, self._now(), strict=True)
        )
        return stable, canary


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, live_server: Any
) -> Iterator[dict[str, Server]]:
    registry = tmp_path_factory.mktemp("moods")
    moody.add_moody(registry, "quick", ["x", "x"], 0.0)
    moody.add_moody(registry, "calm", ["x", "x"], 0.002)
    moody.add_moody(registry, "renamed", ["old", "new"], 0.0)
    options = {"threads": 4, "large_body_bytes": 65_536}
    with (
        moody.installed(tmp_path_factory.mktemp("site")),
        live_server(registry, "fast", **options) as fast,
        live_server(registry, "asgi", **options) as asgi,
    ):
        yield {"fast": Server(fast), "asgi": Server(asgi)}


@pytest.fixture(params=["fast", "asgi"])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]


@pytest.fixture(autouse=True)
def hands_off() -> Iterator[None]:
    moody.LET_GO.clear()
    yield
    moody.LET_GO.set()


@pytest.fixture
def ask(post: Callable[..., bytes], body: Callable[..., bytes]) -> Callable[..., bytes]:
    """A request for one value."""

    def make(model: str, value: float, *lines: str, name: str = "x") -> bytes:
        return post(model, body([[value]], name), *lines)

    return make


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come from another thread."""
    never, looks = threading.Event(), 0
    while not condition():
        looks += 1
        assert looks < 6000, "it never came"
        never.wait(0.01)


def value_of(answer: Any) -> Any:
    return json.loads(answer.body)["outputs"][0]["data"][0]


# -- which arm -----------------------------------------------------------------------------------


def test_both_doors_say_the_same_of_the_same_requests(
    servers: dict[str, Server], ask: Callable[..., bytes], post: Callable[..., bytes]
) -> None:
    data = np.array([7.0], "<f4").tobytes()
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32"}
    packed = msgpack.packb({"inputs": [{**tensor, "data": data}]})
    sized = {**tensor, "parameters": {"binary_data_size": 4}}
    outline = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
    binary = f"inference-header-content-length: {len(outline)}"
    arms = set()
    for i in range(12):
        for make in (
            lambda *lines: ask("quick", 7.0, *lines),
            lambda *lines: post("quick", packed, "content-type: application/msgpack", *lines),
            lambda *lines: post("quick", outline + data, binary, *lines),
            lambda *lines: ask("quick", moody.RAISE, *lines),
            lambda *lines: ask("quick", moody.HOPELESS, *lines),
            lambda *lines: ask("quick", 7.0, *lines, name="unknown"),
        ):
            said = []
            for each in servers.values():
                each.share("quick", Split("r-1", 2, 50.0))
                answer = each.ask(make(named(f"n-{i}")))
                said.append((_DATE.sub(b"", answer.head), answer.body))
                arms.add((answer.headers["x-penstock-arm"], answer.headers["x-model-version"]))
            assert said[0] == said[1]
    assert arms == {("stable", "1"), ("canary", "2"), ("canary", "1")}


def test_the_arm_follows_the_id_and_is_the_version_in_the_body(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    for arm, version in (("stable", "1"), ("canary", "2")):
        for _, line in zip(range(5), of_arm(arm), strict=False):
            answer = server.ask(ask("quick", 3.0, line))
            assert answer.headers["x-penstock-arm"] == arm
            assert answer.headers["x-model-version"] == version
            assert json.loads(answer.body)["model_version"] == version
            assert value_of(answer) == 3.0 * int(version)
    assert counted() == ({"requests": 5}, {"requests": 5})
    assert server.under_way("quick") == [0, 0, 0, 0]


def test_requests_that_name_a_version_or_an_alias_are_not_shared(
    server: Server, post: Callable[..., bytes], body: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 100.0))
    counted = Difference(server, "quick")
    for name, version in (("1", "1"), ("2", "2"), ("next", "2")):
        answer = server.ask(post(f"/v2/models/quick/versions/{name}/infer", body([[1.0]])))
        assert answer.headers["x-model-version"] == version
        assert "x-penstock-arm" not in answer.headers
    failed = server.ask(post("/v2/models/quick/versions/2/infer", body([[moody.RAISE]])))
    assert (failed.status, "x-penstock-fallback" in failed.headers) == (400, False)
    assert counted() == ({}, {})


def test_without_a_split_nobody_speaks_of_arms(server: Server, ask: Callable[..., bytes]) -> None:
    server.share("quick", None)
    answer = server.ask(ask("quick", 1.0, to("canary")))
    assert (answer.headers["x-model-version"], answer.status) == ("1", 200)
    assert "x-penstock-arm" not in answer.headers


def test_an_arm_can_be_forced_and_is_then_no_evidence(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    for arm, version in (("stable", "1"), ("canary", "2")):
        for line in (next(of_arm("stable")), next(of_arm("canary"))):
            answer = server.ask(ask("quick", 1.0, line, to(arm)))
            assert answer.headers["x-penstock-arm"] == arm
            assert answer.headers["x-model-version"] == version
    fallen = server.ask(ask("quick", moody.RAISE, to("canary")))
    assert (fallen.status, fallen.headers["x-penstock-fallback"]) == (200, "canary")
    assert counted() == ({}, {})
    unknown = server.ask(ask("quick", 1.0, to("green")))
    assert (unknown.status, unknown.headers["x-error-code"]) == (400, "invalid_request")


def test_the_same_user_stays_in_one_arm_whatever_the_request(
    servers: dict[str, Server], ask: Callable[..., bytes]
) -> None:
    split = Split("r-1", 2, 50.0, sticky="X-User")
    arms: dict[int, set[str]] = {}
    for server in servers.values():
        server.share("quick", split)
        for user in range(12):
            for lines in ((), (named("any"),), ("accept: */*",), ()):
                answer = server.ask(ask("quick", 1.0, *lines, f"X-uSeR:  u{user} "))
                arms.setdefault(user, set()).add(answer.headers["x-penstock-arm"])
    expected = Chooser(split)
    assert arms == {
        user: {"canary" if expected.is_canary(b"u%d" % user) else "stable"} for user in range(12)
    }
    assert {"canary", "stable"} == set.union(*arms.values())


def test_who_has_no_such_header_is_shared_by_request(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0, sticky="x-user"))
    for arm in ("stable", "canary"):
        for empty in ((), ("x-user:",)):
            answer = server.ask(ask("quick", 1.0, next(of_arm(arm)), *empty))
            assert answer.headers["x-penstock-arm"] == arm


# -- what counts, and who answers ----------------------------------------------------------------


@pytest.mark.parametrize("model", ["quick", "calm"])
@pytest.mark.parametrize(
    ("mood", "kind"),
    [(moody.RAISE, "errors"), (moody.NAN, "invalid"), (moody.SHORT, "invalid")],
)
def test_what_the_canary_fails_at_stable_answers(
    server: Server, ask: Callable[..., bytes], model: str, mood: float, kind: str
) -> None:
    server.share(model, Split("r-1", 2, 50.0))
    counted = Difference(server, model)
    answer = server.ask(ask(model, mood, next(of_arm("canary"))))
    assert (answer.status, value_of(answer)) == (200, mood)
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-penstock-arm"] == "canary"
    assert answer.headers["x-penstock-fallback"] == "canary"
    assert counted() == ({}, {"requests": 1, kind: 1, "fallbacks": 1})
    assert server.under_way(model) == [0, 0, 0, 0]


def test_who_wants_to_know_is_told_of_a_canarys_failures_only(
    server: Server, ask: Callable[..., bytes]
) -> None:
    splitter = server.live.app.engine.inference.splitter
    told: list[int] = []
    splitter.on_failure = lambda: told.append(1)
    try:
        for fallback, rollout in ((True, "r-1"), (False, "r-2")):
            server.share("quick", Split(rollout, 2, 50.0, fallback=fallback, slow_seconds=1e-9))
            for mood, arm, expected in (
                (1.0, "canary", 0),  # slow
                (moody.HOPELESS, "stable", 0),
                (moody.RAISE, "canary", 1),
                (moody.NAN, "canary", 1),
            ):
                told.clear()
                server.ask(ask("quick", mood, next(of_arm(arm, rollout=rollout))))
                assert len(told) == expected
    finally:
        splitter.on_failure = int


def test_without_fallback_the_caller_sees_what_the_canary_does(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0, fallback=False))
    counted = Difference(server, "quick")
    failed = server.ask(ask("quick", moody.RAISE, next(of_arm("canary"))))
    assert (failed.status, failed.headers["x-error-code"]) == (400, "invalid_request")
    assert failed.headers["x-penstock-arm"] == "canary"
    assert failed.headers["x-model-version"] == "2"
    nothing = server.ask(ask("quick", moody.NAN, next(of_arm("canary"))))
    assert (nothing.status, value_of(nothing)) == (200, None)
    assert counted() == ({}, {"requests": 2, "errors": 1, "invalid": 1})


def test_inputs_that_stable_fails_on_too_are_no_evidence(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    answers = [
        server.ask(ask("quick", moody.HOPELESS, next(of_arm(arm)))) for arm in ("stable", "canary")
    ]
    assert [answer.status for answer in answers] == [400, 400]
    assert answers[1].headers["x-penstock-fallback"] == "canary"
    assert counted() == ({}, {"fallbacks": 1})
    assert server.under_way("quick") == [0, 0, 0, 0]


@pytest.mark.parametrize("value", [moody.RAISE, moody.SHORT, moody.UNSUITABLE])
def test_inputs_that_stable_answers_are_the_fault_of_the_canary_that_blames_them(
    server: Server, ask: Callable[..., bytes], value: float
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    answer = server.ask(ask("quick", value, next(of_arm("canary"))))
    assert (answer.status, value_of(answer)) == (200, value)
    assert answer.headers["x-penstock-fallback"] == "canary"
    kind = "invalid" if value == moody.SHORT else "errors"
    assert counted()[1] == {"requests": 1, kind: 1, "fallbacks": 1}


def test_both_arms_are_measured_alike(server: Server, ask: Callable[..., bytes]) -> None:
    server.share("quick", Split("r-1", 2, 50.0, fallback=False))
    counted = Difference(server, "quick")
    answers = [
        server.ask(ask("quick", moody.HOPELESS, next(of_arm(arm)))) for arm in ("stable", "canary")
    ]
    assert [answer.status for answer in answers] == [400, 400]
    assert counted() == ({"requests": 1, "errors": 1}, {"requests": 1, "errors": 1})
    assert server.under_way("quick") == [0, 0, 0, 0]


def test_clients_in_error_are_no_evidence_and_get_no_second_opinion(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    for raw in (
        ask("quick", 1.0, next(of_arm("canary")), name="unknown"),
        ask("quick", 1.0, next(of_arm("stable")), name="unknown"),
    ):
        answer = server.ask(raw)
        assert answer.status == 400
        assert "x-penstock-arm" in answer.headers
        assert "x-penstock-fallback" not in answer.headers
    assert counted() == ({}, {})
    assert server.under_way("quick") == [0, 0, 0, 0]


def test_slow_answers_are_counted_whatever_else_they_are(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("calm", Split("r-1", 2, 50.0, slow_seconds=moody.SLOW_SECONDS))
    counted = Difference(server, "calm")
    assert server.ask(ask("calm", moody.SLOW, next(of_arm("canary")))).status == 200
    assert counted() == ({}, {"requests": 1, "slow": 1})


def test_requests_are_counted_by_segment_in_their_arm_with_what_was_bad_about_them(
    server: Server, ask: Callable[..., bytes]
) -> None:
    fields, slow = ("x", "header:x-plan"), moody.SLOW_SECONDS
    split = Split("by-segment", 2, 50.0, fallback=False, slow_seconds=slow, segments=fields)
    server.share("calm", split)
    asked = [(3.0, "stable"), (moody.SLOW, "stable"), (moody.SLOW, "canary"), (moody.NAN, "canary")]
    for value, arm in asked:
        unit = next(of_arm(arm, rollout="by-segment"))
        assert server.ask(ask("calm", value, unit, f"X-Plan: {arm}")).status == 200
    blocks = server.live.app.engine.counters.model("calm", "2").segments(BLOCKS)
    found = segments_of("by-segment", fields, [block.tolist() for block in blocks])
    server.share("calm", None)
    # On a busy machine any answer may be slow.
    known = {name: one._replace(stable_slow=0, canary_slow=0) for name, one in found.items()}
    assert {name: one for name, one in known.items() if any(one)} == {
        "x=3": SegmentCounts(stable=1),
        "x=600": SegmentCounts(stable=1, canary=1),
        "x=200": SegmentCounts(canary=1, canary_failed=1),
        "header:x-plan=stable": SegmentCounts(stable=2),
        "header:x-plan=canary": SegmentCounts(canary=2, canary_failed=1),
    }
    assert found["x=600"].canary_slow == 1
    assert found["header:x-plan=canary"].canary_slow == 1


def test_a_hanging_canary_is_given_up_in_time_and_its_late_answer_is_for_nobody(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("calm", Split("r-1", 2, 50.0))
    counted = Difference(server, "calm")
    with server.live.connect() as client:
        client.send(
            ask("calm", moody.HANG, next(of_arm("canary")), "x-request-timeout-ms: 2000"),
            ask("calm", 5.0, next(of_arm("stable"))),
        )
        first, second = client.answer(), client.answer()
        assert (first.status, value_of(first)) == (200, moody.HANG)
        assert first.headers["x-penstock-fallback"] == "canary"
        assert (second.status, value_of(second)) == (200, 5.0)
        assert counted() == (
            {"requests": 1},
            {"requests": 1, "timeouts": 1, "fallbacks": 1},
        )
        moody.LET_GO.set()
        third = client.send(ask("calm", 6.0, next(of_arm("canary")))).answer()
        assert (third.status, value_of(third)) == (200, 12.0)
    until(lambda: server.under_way("calm") == [0, 0, 0, 0])
    assert counted()[1] == {"requests": 2, "timeouts": 1, "fallbacks": 1}


def test_what_stable_cannot_read_is_answered_with_the_canarys_error(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("renamed", Split("r-1", 2, 50.0))
    counted = Difference(server, "renamed")
    line = next(of_arm("canary"))
    good = server.ask(ask("renamed", 3.0, line, name="new"))
    assert (good.status, value_of(good)) == (200, 6.0)
    failed = server.ask(ask("renamed", moody.RAISE, line, name="new"))
    assert (failed.status, failed.headers["x-error-code"]) == (400, "invalid_request")
    assert "bad mood" in json.loads(failed.body)["error"]
    assert failed.headers["x-model-version"] == "2"
    assert "x-penstock-fallback" not in failed.headers
    assert counted()[1]["errors"] == 1
    assert server.under_way("renamed") == [0, 0, 0, 0]


def test_what_began_under_another_split_is_no_evidence(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("calm", Split("r-1", 2, 50.0, fallback=False))
    counted = Difference(server, "calm")
    with server.live.connect() as client:
        client.send(ask("calm", moody.HANG, next(of_arm("canary"))))
        until(lambda: server.under_way("calm")[3] == 1)
        server.share("calm", Split("r-1", 2, 60.0, fallback=False))
        moody.LET_GO.set()
        answer = client.answer()
        assert (answer.status, answer.headers["x-penstock-arm"]) == (200, "canary")
    assert counted() == ({}, {})


def test_all_failures_of_a_user_count_and_one_is_evidence(
    server: Server, ask: Callable[..., bytes]
) -> None:
    split = Split("r-user", 2, 50.0, sticky="x-user")
    server.share("quick", None)
    server.share("quick", split)
    counted = Difference(server, "quick", UNIT_KINDS)
    users = [f"u{i}" for i in range(100) if Chooser(split).is_canary(f"u{i}".encode())][:2]
    for user in users:
        for _ in range(3):
            assert server.ask(ask("quick", moody.RAISE, f"x-user: {user}")).status == 200
    assert counted() == (
        {},
        {"requests": 6, "errors": 6, "fallbacks": 6, "rescued": 6, "repeated_failures": 4},
    )


def test_a_request_id_that_is_sent_again_is_evidence_once(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-id", 2, 50.0, fallback=False))
    counted = Difference(server, "quick", UNIT_KINDS)
    for arm in ("stable", "canary"):
        unit = next(of_arm(arm, rollout="r-id"))
        for _ in range(3):
            server.ask(ask("quick", moody.HOLLOW, unit))
    each = {"requests": 3, "invalid": 3, "repeated_invalid": 2}
    assert counted() == (each, each)


def test_what_stable_fails_at_too_is_told_from_what_it_answers(
    server: Server, ask: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-both", 2, 50.0))
    ids = of_arm("canary", rollout="r-both")
    canary = server.live.app.engine.counters.model("quick", "2").units()
    failing, broken = next(ids), next(ids)
    for unit, mood in ((failing, moody.RAISE), (broken, moody.HOLLOW)):
        for _ in range(4):
            server.ask(ask("quick", mood, unit))
        server.ask(ask("quick", 1.0, unit))
    table = table_of("r-both", [canary.tolist()], [])
    assert table.entered == 2
    found = {one.key: one for one in table.canary}
    for unit, expected in ((failing, (1, 3, 0, 0)), (broken, (1, 0, 3, 0))):
        key = unit_key("r-both", unit.partition(": ")[2].encode())
        assert found[key] == UnitCounts(key, *expected)


def test_the_first_slow_answers_of_a_version_are_its_warm_up(
    server: Server, ask: Callable[..., bytes]
) -> None:
    slow = moody.SLOW_SECONDS
    server.share("calm", Split("r-warm", 2, 50.0, slow_seconds=slow, warm_up_requests=2))
    counted = Difference(server, "calm", UNIT_KINDS)
    ids = of_arm("canary", rollout="r-warm")
    for _ in range(4):
        assert server.ask(ask("calm", moody.SLOW, next(ids))).status == 200
    assert counted() == ({}, {"requests": 4, "warm_up_slow": 1, "slow": 3})


def test_large_and_compressed_bodies_fall_back_as_well(
    server: Server, post: Callable[..., bytes], body: Callable[..., bytes]
) -> None:
    server.share("quick", Split("r-1", 2, 50.0))
    counted = Difference(server, "quick")
    rows = [[1.0]] * 20_000 + [[moody.RAISE]]
    answer = server.ask(post("quick", body(rows), next(of_arm("canary"))))
    assert answer.status == 200
    assert answer.headers["x-penstock-fallback"] == "canary"
    assert len(json.loads(answer.body)["outputs"][0]["data"]) == len(rows)
    assert counted()[1]["fallbacks"] == 1


def test_heads_with_a_header_for_each_user_do_not_push_the_others_out(
    servers: dict[str, Server], ask: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.server.http.coalescing.head_cache.MAX_HEADS", 16)
    server = servers["fast"]
    known = server.live.app.engine.port.head_cache
    server.live.on_loop(known.clear)
    server.share("quick", Split("r-1", 2, 50.0, sticky="x-user"))
    with server.live.connect() as client:
        for i in range(100):
            client.send(ask("quick", 1.0, "x-user: regular")).answer()
            client.send(ask("quick", 1.0, f"x-user: u{i}")).answer()
    assert any(b"regular" in head for head in known)
    assert len(known) <= 8
