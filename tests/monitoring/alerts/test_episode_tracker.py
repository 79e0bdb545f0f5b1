"""Error budgets, the monitor's own health, and episodes that do not flap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock.monitoring.alert_rules.counter_window import CounterWindow
from penstock.monitoring.alert_rules.episode_tracker import EpisodeTracker, Finding
from penstock.monitoring.alert_rules.monitor_health import lost_rows
from penstock.monitoring.alert_rules.self_watch import SelfWatch
from penstock.monitoring.alert_rules.slo_burn_rate import answered, burn_rate
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.alerts_file import AlertsFile
from penstock.monitoring.alerts.deliveries import Deliveries
from penstock.monitoring.alerts.reading import read_alerts, read_counts
from penstock.monitoring.alerts.retry import Verdict
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import merge
from penstock.monitoring.metrics.metrics import CounterFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from penstock.monitoring.alerts.alert import Alert

    Make = Callable[..., Alert]

NOW = 1_930_000_000.0
HOUR = 3600


def budget(rate: float, errors: float, hours: float, before: float = 6.0) -> Finding:
    """A model with so many requests a second, healthy and then for so many hours with errors."""
    window = CounterWindow(6 * HOUR, 60, 2)
    total = failed = 0.0
    now = NOW
    for second in range(0, int((before + hours) * HOUR), 60):
        now = NOW + second
        total += rate * 60
        failed += rate * 60 * errors if second > before * HOUR else 0
        window.read(now, (total, failed))
    return burn_rate("churn", window, 0.999, now)


@pytest.mark.parametrize(
    ("rate", "errors", "hours", "bad"),
    [
        (10, 0.0, 1, False),
        (10, 0.0009, 6, False),  # within the objective for ever
        (10, 0.02, 1, True),  # 20 times the budget for an hour
        (10, 0.02, 0.05, False),  # only three minutes of it: not in the long window yet
        (10, 1.0, 0.05, True),  # an outage is seen within three minutes
        (10, 0.007, 6, True),  # 7 times the budget for six hours
        (10, 0.004, 6, False),  # slow: Prometheus' rules over days
        (0.001, 1.0, 1, False),  # four requests: no trend
    ],
)
def test_the_budget_of_a_model(rate: float, errors: float, hours: float, bad: bool) -> None:
    found = budget(rate, errors, hours)
    assert found.bad is bad
    assert found.severity == "critical"
    assert found.evidence["requests"] >= found.evidence["errors"]


def test_an_outage_that_is_over_does_not_burn_any_more() -> None:
    window = CounterWindow(6 * HOUR, 60, 2)
    window.read(NOW, (0, 0))
    window.read(NOW + 60, (6000, 3000))
    assert burn_rate("m", window, 0.999, NOW + 61).bad
    for minute in range(2, 40):
        window.read(NOW + minute * 60, (6000 * minute, 3000))
    assert not burn_rate("m", window, 0.999, NOW + 40 * 60).bad


def test_requests_that_count() -> None:
    slots = [0] * layout.SLOTS
    for status, count in {200: 90, 400: 3, 499: 50, 500: 4, 503: 2, 504: 1}.items():
        slots[layout.status_index(status)] = count
    assert answered(slots) == (100, 7)


def test_a_meter_is_bounded_and_forgets_what_was_before_a_restart() -> None:
    window = CounterWindow(300, 10, 1)
    for second in range(5000):
        window.read(NOW + second, (second * 2.0,))
    assert len(window) <= 32
    assert window.growth(NOW + 4999, 300)[0] == pytest.approx(600, abs=20)
    window.read(NOW + 5000, (1.0,))
    window.read(NOW + 5010, (4.0,))
    assert window.growth(NOW + 5010, 300) == (3.0,)


@pytest.mark.parametrize(
    ("rows", "dropped", "bad"),
    [(100_000, 999, False), (100_000, 1001, True), (50, 50, False), (0, 0, False)],
)
def test_dropped_rows(rows: int, dropped: int, bad: bool) -> None:
    window = CounterWindow(300, 10, 2)
    window.read(NOW, (5, 5))
    window.read(NOW + 60, (5 + rows, 5 + dropped))
    assert lost_rows("samples", window, NOW + 60).bad is bad


def finding(*, bad: bool) -> Finding:
    return Finding("churn", "availability", bad, "critical", "it burns", {"rate": 20})


def states(path: Path) -> list[str]:
    return [one.alert.state for one in reversed(read_alerts(path, 100))]


def test_an_episode_does_not_flap(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    watch = EpisodeTracker(AlertStore(path), "slo.burn", 600)
    for second in range(0, 3000, 10):  # bad and good in turns
        watch.update(finding(bad=second % 100 < 50), NOW + second)
    assert states(path) == ["opened"]
    for second in range(3000, 3700, 10):
        watch.update(finding(bad=False), NOW + second)
    assert states(path) == ["opened", "closed"]
    watch.update(finding(bad=True), NOW + 5000)
    assert states(path) == ["opened", "closed", "opened"]
    assert len({one.alert.episode for one in read_alerts(path, 10)}) == 2


def test_another_life_goes_on_with_the_episode(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    EpisodeTracker(AlertStore(path), "slo.burn", 600).update(finding(bad=True), NOW)
    watch = EpisodeTracker(AlertStore(path), "slo.burn", 600)
    watch.update(finding(bad=True), NOW + 100)
    assert states(path) == ["opened"]
    watch.forget(set(), "gone", NOW + 200)
    watch.forget(set(), "gone", NOW + 900)
    assert states(path) == ["opened", "closed"]


def test_a_full_disk_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "no" / "alerts.db"
    (tmp_path / "no").write_text("a file where the directory should be")
    watch = EpisodeTracker(AlertStore(path), "slo.burn", 600)
    watch._open = {}
    with pytest.raises(OSError, match="exists"):
        watch.update(finding(bad=True), NOW)
    (tmp_path / "no").unlink()
    watch.update(finding(bad=True), NOW + 10)
    assert states(path) == ["opened"]


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[CounterFile]:
    (tmp_path / "run").mkdir()
    file = CounterFile.create(tmp_path / "run", "worker-0")
    yield file
    file.close()


def test_real_counters_open_and_close_episodes(tmp_path: Path, counters: Any) -> None:
    path = tmp_path / "alerts.db"
    block = counters.model("churn", "3")
    watch = SelfWatch(lambda: merge(tmp_path / "run"), path, AlertsFile(None), 0.999)

    def minutes(start: int, count: int, status: int, dropped: int) -> None:
        for second in range(start * 60, (start + count) * 60, 10):
            for _ in range(20):
                block.add(layout.status_index(status))
            block.add(layout.SAMPLED_ROWS, 1000)
            block.add(layout.SAMPLED_ROWS_DROPPED, dropped)
            watch.tick(NOW + second)

    minutes(0, 10, 200, 0)
    assert states(path) == []
    minutes(10, 10, 500, 100)
    told = [one.alert for one in read_alerts(path, 10)]
    assert sorted((one.kind, one.model, one.subject) for one in told) == [
        ("monitor.degraded", "", "samples"),
        ("slo.burn", "churn", "availability"),
    ]
    assert read_counts(path).open == {
        ("monitor.degraded", "", "warning"): 1,
        ("slo.burn", "churn", "critical"): 1,
    }
    minutes(20, 60, 200, 0)
    assert sorted(states(path)) == ["closed", "closed", "opened", "opened"]


def test_bad_inputs_and_a_full_disk_are_told(tmp_path: Path, counters: Any) -> None:
    path = tmp_path / "alerts.db"
    block, field = counters.model("churn", "3"), counters.field("churn", "3", "age")
    fine = counters.field("churn", "3", "income")
    watch = SelfWatch(lambda: merge(tmp_path / "run"), path, AlertsFile(None), 0.0)
    for second in range(0, 1200, 10):
        block.observe_batch(1000, 10)
        field.count("range", "pass", 50 if second >= 600 else 1)
        fine.count("null", "reject", 5)
        block.add(layout.LOG_WRITTEN, 1000)
        block.add(layout.LOG_DROPPED + layout.LOG_DROP_REASONS.index("thinned"), 5000)
        if second >= 900:
            block.add(layout.LOG_DROPPED + layout.LOG_DROP_REASONS.index("disk_full"), 100)
        watch.tick(NOW + second)
    told = sorted((one.alert.kind, one.alert.subject) for one in read_alerts(path, 10))
    assert told == [("monitor.degraded", "prediction log"), ("quality", "age")]


def test_a_sink_that_is_down_is_told_to_the_others(tmp_path: Path, an_alert: Make) -> None:
    path, file = tmp_path / "alerts.db", tmp_path / "alerts.toml"
    file.write_text('[sinks.hook]\nurl = "http://127.0.0.1:1"\n')
    settings = AlertsFile(file)
    watch = SelfWatch(lambda: merge(tmp_path), path, settings, 0.0)
    AlertStore(path).put(an_alert(time=NOW))
    deliveries = Deliveries(path)
    deliveries.route([settings.current().sinks["hook"]], NOW)
    for number in range(3):
        (due,) = deliveries.due(NOW + 100, ())
        deliveries.finish(due, Verdict("pending", NOW, "refused"), NOW + number)
    watch.tick(NOW + 100)
    assert [one.alert.kind for one in read_alerts(path, 10)] == ["drift"]
    watch.tick(NOW + 700)
    told = read_alerts(path, 10)[0].alert
    assert (told.kind, told.subject) == ("monitor.degraded", "sink hook")
    (due,) = deliveries.due(NOW + 800, ())
    deliveries.finish(due, Verdict("delivered", NOW, "200"), NOW + 800)
    for second in range(800, 1600, 10):
        watch.tick(NOW + second)
    deliveries.close()
    assert read_alerts(path, 10)[0].alert.name == "monitor.degraded.closed"


def test_moments_are_never_open(tmp_path: Path, an_alert: Make) -> None:
    path = tmp_path / "alerts.db"
    alert_store = AlertStore(path)
    for kind in ("rollout.aborted", "test", "drift"):
        alert_store.put(an_alert(kind, kind=kind))
    assert [one.alert.kind for one in read_alerts(path, 10, only_open=True)] == ["drift"]
    assert set(read_counts(path).open) == {("drift", "churn", "warning")}
