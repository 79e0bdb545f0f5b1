"""Who sent the rows of a window: counts by client, and which client floods."""

from __future__ import annotations

from collections import Counter

import msgpack
import numpy as np
import pytest

from penstock.monitoring.drift.clients import LASTING_SECONDS, ClientCounts, ClientHistory, words
from penstock.monitoring.drift.row_history import RowHistory
from penstock.monitoring.drift.window import Window

HOUR = 3600.0


def counted(clients):
    found = ClientCounts()
    for name, rows in clients.items():
        found.take([name.encode()], np.array([rows]))
    return found


class Hours:
    """A history that is shown an hour after the other."""

    def __init__(self):
        self.history, self.now = ClientHistory(), 1e6

    def look(self, **clients):
        found = self.first(**clients)
        if found is None or not found.unsure:
            return found
        self.history.settle(counted(clients), self.now - HOUR, self.now, None)
        return None

    def first(self, **clients):
        start, self.now = self.now, self.now + HOUR
        return self.history.look(counted(clients), start, self.now)


@pytest.fixture
def hours():
    return Hours()


def test_counts_without_a_client_are_those_of_the_others():
    rng = np.random.default_rng(0)
    counts, others = ClientCounts(), np.zeros(4, np.int64)
    for _ in range(20):
        clients = [b"flood" if one < 0.4 else b"%d" % (one * 10) for one in rng.random(50)]
        rows = rng.integers(0, 4, 50)
        groups = counts.take(clients, rows)
        places = rng.integers(0, 4, rows.sum())
        counts.count("x", groups, places, 4)
        mine = np.repeat([one != b"flood" for one in clients], rows)
        others += np.bincount(places[mine], minlength=4)
    assert counts.without([b"flood"])["x"].tolist() == others.tolist()


def test_of_very_many_clients_some_of_the_others_are_left_out_and_none_of_the_flood_is_left_in():
    rng = np.random.default_rng(1)
    counts, others = ClientCounts(), 0
    for _ in range(100):
        clients = [b"flood" if one < 0.4 else b"%r" % one for one in rng.random(200).tolist()]
        groups = counts.take(clients, np.ones(200, np.int64))
        flood = np.array([one == b"flood" for one in clients])
        counts.count("x", groups, flood.astype(np.int64), 2)
        others += int((~flood).sum())
    left, mine = counts.without([b"flood"])["x"].tolist()
    assert mine == 0
    assert 0.8 * others < left <= others
    assert len(counts.rows) <= 2048
    assert counts.rows[b"flood"] == pytest.approx(8000, rel=0.03)
    assert counts.total == 20_000


def test_rows_of_the_largest_clients_are_known_of_any_number():
    rng = np.random.default_rng(2)
    counts, truth = ClientCounts(), Counter()
    for _ in range(50):
        clients = [b"%d" % one for one in rng.zipf(1.3, 500)]
        counts.take(clients, np.ones(500, np.int64))
        truth.update(clients)
    for name, rows in truth.most_common(20):
        assert rows - counts.total / 1025 <= counts.rows[name] <= rows


def test_a_client_that_sends_much_more_than_before_floods(hours):
    assert hours.look(a=100, b=90, c=5) is None
    found = hours.look(a=100, b=90, c=100)
    assert found.to_dict() == {
        "client": "c", "clients": ["c"], "share": pytest.approx(100 / 290), "usual": 0.0,
        "others": 190, "lasting": False,
    }  # fmt: skip
    assert hours.look(a=100, b=90, c=90).client == "c"
    assert hours.look(a=100, b=90, c=5) is None


@pytest.mark.parametrize(("first", "second"), [(200, 200), (60, 60), (200, 90)])
def test_two_clients_that_flood_at_once_are_both_named_and_left_out(hours, first, second):
    """Together they have a quarter of the rows, each 15 points more than before."""
    assert hours.look(a=100, b=100) is None
    found = hours.look(a=100, b=100, c=first, d=second)
    assert found.keys == (b"c", b"d")
    assert (found.clients, found.others) == (("c", "d"), 200)
    assert found.share == pytest.approx((first + second) / (200 + first + second))
    said = words(found.to_dict())
    assert "of the rows come from 2 clients, c and d (usual: up to 0 %)" in said


def test_the_last_rows_of_a_flood_are_of_the_flood_and_not_usual(hours):
    hours.look(a=500, b=500)
    assert hours.look(a=500, b=500, flood=1000).clients == ("flood",)
    last = hours.look(a=450, b=450, flood=100)
    assert (last.keys, last.clients, last.others) == ((b"flood",), ("flood",), 900)
    assert hours.look(a=500, b=500, flood=20) is None
    assert hours.look(a=450, b=450, flood=100) is None, "it is over, and this is little"
    assert hours.look(a=500, b=500, flood=400).usual == pytest.approx(0.1)


def test_of_two_that_flood_one_becomes_traffic_after_a_week_of_its_own(hours):
    hours.look(a=100, b=100)
    weeks = [hours.look(a=100, b=100, c=200) for _ in range(170)]
    assert weeks[-1].lasting
    found = hours.look(a=100, b=100, c=200, d=200)
    assert (found.keys, found.clients, found.lasting) == ((b"d",), ("c", "d"), False)
    assert found.others == 400


def test_many_clients_that_are_new_at_once_are_no_flood(hours):
    hours.look(a=100, b=100)
    assert hours.look(a=100, c=80, d=80, e=80, f=80) is None


def test_a_client_that_always_sends_most_of_the_rows_does_not(hours):
    assert [hours.look(proxy=500, other=rows) for rows in (10, 100, 10, 200)] == [None] * 4


def test_in_the_first_window_the_only_client_does_not_flood(hours):
    assert hours.first(a=100) is None


@pytest.mark.parametrize("flooded", [True, False])
def test_of_the_first_window_it_is_settled_later_whether_its_largest_client_floods(hours, flooded):
    clients = {"a": 60, "b": 60, "c": 180}
    start = hours.now
    found = hours.first(**clients)
    assert (found.keys, found.others, found.unsure) == ((b"c",), 120, True)
    settled = found if flooded else None
    hours.history.settle(counted(clients), start, start + HOUR, settled)
    later = hours.look(**clients)
    assert (later is not None) == flooded
    if flooded:
        assert (later.keys, later.unsure, later.usual) == ((b"c",), False, 0.0)


@pytest.mark.parametrize("fresh", [{"x": 200}, {"x": 70, "y": 65, "z": 65}, {"x": 100, "y": 100}])
def test_traffic_under_new_names_is_no_flood(hours, fresh):
    for _ in range(3):
        hours.look(a=100, b=100)
    assert hours.look(**fresh) is None
    assert hours.look(**fresh) is None


def test_rows_of_unknown_clients_are_those_of_nobody():
    history = ClientHistory()
    assert history.look(counted({"": 100, "a": 10}), 0.0, HOUR) is None
    assert history.look(counted({"": 500, "a": 10}), HOUR, 2 * HOUR) is None
    assert history.look(counted({"": 100, "a": 100}), 2 * HOUR, 3 * HOUR).client == "a"


def test_a_client_that_goes_on_for_a_week_is_traffic_and_still_named(hours):
    hours.look(a=100, b=100)
    weeks = [hours.look(a=100, b=100, c=200) for _ in range(200)]
    assert [one.client for one in weeks] == ["c"] * 200
    first = [one.lasting for one in weeks].index(True)
    assert (first + 1) * HOUR == LASTING_SECONDS
    assert all(one.lasting for one in weeks[first:])


def test_a_history_goes_on_after_a_restart():
    history = RowHistory()
    window = Window(0.0, HOUR)
    window.clients = counted({"a": 100, "b": 100})
    found = history.settle(window, history.look(window), flooded=False)
    assert (found.flood, found.notes) == (None, {})
    history = RowHistory.from_dict(msgpack.unpackb(msgpack.packb(history.to_dict())))
    window = Window(HOUR, 2 * HOUR)
    window.clients = counted({"a": 100, "b": 100, "c": 100})
    assert history.look(window).notes["flood"]["client"] == "c"


def test_of_many_large_clients_the_latest_are_remembered(hours):
    for place in range(300):
        assert hours.look(**{f"c{place}": 20, "a": 100}) is None
    assert len(hours.history.to_dict()["usual"]) == 256
    assert hours.look(c299=40, a=100) is None
    assert hours.look(c0=40, a=100).client == "c0"
