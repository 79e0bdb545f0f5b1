"""Quantiles, distinct and new categories: near the truth, merged, kept, and of no need."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgpack
import numpy as np
import pytest

from penstock.monitoring.drift import sketches as module
from penstock.monitoring.drift import store as store_module
from penstock.monitoring.drift import window as window_module
from penstock.monitoring.drift.drift_state import DriftState
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.sketches import RANKS, Sketches
from penstock.monitoring.drift.store import ClosedWindow, Key, WindowStore
from penstock.monitoring.drift.window import Window

KEY = Key("m", "1", "")
DAY = 86_400.0


def restored(sketches):
    return Sketches.from_dict(msgpack.unpackb(msgpack.packb(sketches.to_dict())))


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_quantiles_are_near_those_of_all_values_also_of_many_pieces(draw):
    rng = np.random.default_rng(4)
    values = getattr(rng, draw)(60_000)
    whole = Sketches()
    for piece in np.array_split(values, 40):
        part = Sketches()
        part.add_numbers("x", piece)
        whole.merge(restored(part))
    found = restored(whole).figures()["x"]["quantiles"]
    ranks = np.searchsorted(np.sort(values), found) / values.size
    assert np.abs(ranks - RANKS).max() < 0.0265  # twice the error that holds in 99 %


def test_values_that_are_not_finite_or_too_large_do_no_harm():
    sketches = Sketches()
    sketches.add_numbers("x", np.array([np.nan, np.inf, -np.inf, 1e300, 3.0]))
    sketches.add_numbers("none", np.array([np.nan]))
    assert sketches.figures() == {"x": {"quantiles": [3.0] * len(RANKS)}}


def test_distinct_and_new_categories_are_counted():
    whole = Sketches()
    for start in (0, 2000):
        part = Sketches()
        found = {f"c{number}": 1 for number in range(start, start + 3000)}
        part.add_categories("word", found | {"late": 4, "rare": 1}, ["late", "rare"])
        whole.merge(restored(part))
    figures = restored(whole).figures()["word"]
    assert figures["distinct"] == pytest.approx(5002, rel=0.05)
    assert figures["new"] == [["late", 8]]  # one that came twice is not named


def test_new_categories_take_bounded_room():
    sketches = Sketches()
    for number in range(200):
        sketches.add_categories("word", {f"{number}": 5}, [f"{number}"])
    assert len(sketches.figures()["word"]["new"]) <= module.MOST_NEW
    assert len(sketches.to_dict()["new"]["word"]) < 4096


def closed_at(end, values):
    references = {"x": number_reference(np.arange(1000.0)), "c": category_reference(["a", "b"] * 4)}
    window = Window.sketching(end - 60)
    for name, reference in references.items():
        window.add(name, reference, values[name])
    window.rows, window.end = 500, end
    window = Window.from_dict(msgpack.unpackb(msgpack.packb(window.to_dict())))  # a checkpoint
    watch = DriftState()
    watch.window = window
    verdict = watch.conclude(references, DriftOptions())
    return ClosedWindow(KEY, "b", verdict.state, window, verdict.findings)


def values_of(rng, word):
    return {"x": rng.normal(500, 100, 500), "c": np.array(["a"] * 480 + [word] * 20, object)}


def windows_in(path):
    with closing(sqlite3.connect(path)) as database:
        return store_module.read_windows(database, "m", None, 100)


def test_a_closed_window_has_figures_and_its_day_those_of_all(tmp_path):
    rng = np.random.default_rng(5)
    path = tmp_path / "windows.db"
    store = WindowStore(path)
    for number, word in enumerate(("new", "newer", "new")):
        store.put(closed_at(DAY * 100.5 + 60 * number, values_of(rng, word)), {})
    for one in windows_in(path):
        assert one.window.sketches is None
        assert one.window.figures["x"]["quantiles"][4] == pytest.approx(500, abs=20)
        assert one.window.figures["c"]["distinct"] == 2
        assert one.findings["c"]["faults"] == {"range": 0, "domain": 20, "missing": 0}
    store.maintain(DAY * 116)
    (day,) = windows_in(path)
    assert day.span == "day"
    assert day.window.figures["x"]["quantiles"][4] == pytest.approx(500, abs=12)
    assert day.window.figures["c"] == {"distinct": 3, "new": [["new", 40], ["newer", 20]]}
    assert store._database.execute("SELECT count(*) FROM sketches").fetchone() == (0,)
    store.close()


def test_without_the_library_all_else_is_the_same(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    open_window = closed_at(DAY * 100.5, values_of(rng, "new")).window
    for one in (module, window_module, store_module):
        monkeypatch.setattr(one, "library", lambda: None)
    assert Window.from_dict(open_window.to_dict()).sketches is None
    store = WindowStore(tmp_path / "windows.db")
    for number in range(2):
        store.put(closed_at(DAY * 100.5 + 60 * number, values_of(rng, "new")), {})
    store.maintain(DAY * 116)
    (day,) = windows_in(tmp_path / "windows.db")
    assert (day.window.figures, day.window.counts["c"].tolist()) == ({}, [960, 0, 0, 40, 0])
    store.close()
