"""Triton's metrics say the same as ours, in Triton's words."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from penstock.monitoring.metrics.collector import exposition
from penstock.monitoring.metrics.layout import FAILED_NANOSECONDS, status_index
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.triton_collector import TritonCollector


def scrape(accept: str = "") -> str:
    counters = CounterFile.anonymous("worker-0")
    model = counters.model("iris", "3")
    model.enter()
    model.observe_batch(3, 2_000_000)
    model.observe_many(status_index(200), [1.0, 1.25], 1.5, 2.0)
    model.observe_request(status_index(500), 50_000)
    model.add(FAILED_NANOSECONDS, 50_000)
    counters.unmatched.observe_request(status_index(404), 1)
    collector = TritonCollector(lambda: snapshot(counters))
    return exposition([collector], accept)[1].decode()


def test_the_names_labels_and_units_are_tritons() -> None:
    found = {
        sample.name: (sample.labels, sample.value)
        for family in text(scrape())
        for sample in family.samples
    }
    assert {name: value for name, (_, value) in found.items()} == {
        "nv_inference_request_success": 2,
        "nv_inference_request_failure": 1,
        "nv_inference_count": 3,
        "nv_inference_exec_count": 1,
        "nv_inference_request_duration_us": 1_750_050,
        "nv_inference_queue_duration_us": 750_000,
        "nv_inference_compute_infer_duration_us": 1_000_000,
        "nv_inference_compute_input_duration_us": 0,
        "nv_inference_compute_output_duration_us": 0,
        "nv_inference_pending_request_count": 1,
    }
    for name, (labels, _) in found.items():
        expected = {"model": "iris", "version": "3"}
        if name == "nv_inference_request_failure":
            expected["reason"] = "OTHER"
        assert labels == expected


def test_openmetrics_is_valid() -> None:
    assert len(list(openmetrics(scrape("application/openmetrics-text; version=1.0.0")))) == 10
