"""The exposition: valid, complete, and the same as its documentation."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from penstock.monitoring.metrics.collector import PenstockCollector, exposition
from penstock.monitoring.metrics.layout import ARM_REQUESTS, ARM_SLOW, status_index
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def scrape(counters, accept=""):
    collector = PenstockCollector(lambda: snapshot(counters), "1.2.3")
    content_type, body = exposition([collector], accept)
    return content_type.decode(), body.decode()


def busy():
    counters = CounterFile.anonymous("worker-0")
    model = counters.model('odd "name"', "3")
    model.enter()
    model.observe_batch(3, 2_000_000)
    model.observe_many(status_index(200), [1.0, 1.001, 1.002], 1.003, 1.01)
    model.observe_request(status_index(503), 50_000)
    model.drop("queue_time")
    model.add(ARM_REQUESTS, 4)
    model.add(ARM_SLOW)
    counters.unmatched.observe_request(status_index(404), 1)
    return counters


def samples(body):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text(body)
        for sample in family.samples
    }


def test_figures_come_out_as_they_were_counted():
    content_type, body = scrape(busy())
    assert content_type.startswith("text/plain; version=0.0.4")
    found = samples(body)
    labels = (("model", 'odd "name"'), ("version", "3"))
    assert found["penstock_requests_total", (*labels[:1], ("status", "200"), labels[1])] == 3
    assert found["penstock_requests_total", (*labels[:1], ("status", "503"), labels[1])] == 1
    assert found["penstock_rows_total", labels] == 3
    assert found["penstock_batches_total", labels] == 1
    assert found["penstock_in_flight", labels] == 1
    assert found["penstock_request_seconds_count", labels] == 4
    assert abs(found["penstock_request_seconds_sum", labels] - 0.02705) < 1e-6
    assert found["penstock_compute_seconds_sum", labels] == 0.002
    assert found["penstock_dropped_total", (labels[0], ("reason", "queue_time"), labels[1])] == 1
    assert found["penstock_arm_requests_total", labels] == 4
    assert found["penstock_arm_slow_total", labels] == 1
    assert found["penstock_arm_fallbacks_total", labels] == 0
    unmatched = (("model", ""), ("status", "404"), ("version", ""))
    assert found["penstock_requests_total", unmatched] == 1
    assert found["penstock_process_up", (("process", "worker-0"),)] == 1


def test_openmetrics_is_spoken_when_asked_for():
    content_type, body = scrape(busy(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")
    assert {family.name for family in openmetrics(body)} >= {"penstock_requests"}


def test_histogram_buckets_ascend_to_their_count():
    _, body = scrape(busy())
    for family in text(body):
        if family.type != "histogram":
            continue
        buckets = [one.value for one in family.samples if one.name.endswith("_bucket")]
        counts = [one.value for one in family.samples if one.name.endswith("_count")]
        per_series = len(buckets) // len(counts)
        for index, count in enumerate(counts):
            series = buckets[index * per_series : (index + 1) * per_series]
            assert series == sorted(series)
            assert series[-1] == count


def test_the_documentation_lists_every_family():
    _, body = scrape(busy())
    exposed = {family.name + "_total" * (family.type == "counter") for family in text(body)}
    documented = set(re.findall(r"^\| `([a-z_]+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert exposed - documented == set()  # other collectors have families there, too


def test_only_versions_of_a_split_have_figures_of_arms():
    counters = CounterFile.anonymous("worker-0")
    counters.model("m", "1").observe_request(status_index(200), 1)
    counters.model("m", "2").add(ARM_REQUESTS)
    _, body = scrape(counters)
    arms = [labels for name, labels in samples(body) if name.startswith("penstock_arm_")]
    assert set(arms) == {(("model", "m"), ("version", "2"))}
