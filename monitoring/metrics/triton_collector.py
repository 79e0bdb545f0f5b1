"""The metrics of the Triton Inference Server, so that dashboards made for it go on.

Names, labels and units are Triton's (microseconds, counters without ``_total``); source: "Metrics"
of the documentation of the Triton Inference Server. As in
`penstock.server.serving.statistics`, a request waits until its run, and the rest of its time
counts as the inference: reading and writing are not told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.registry import Collector

from . import layout
from .request_figures import RequestFigures, request_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import Metric

    from .merge import Merged

_LABELS: Final = ("model", "version")
_PER_MICROSECOND: Final = 1000
_REASON: Final = "OTHER"
#: Families with the labels of `_LABELS`, in the order of Triton's page.
_FAMILIES: Final = {
    "nv_inference_request_success": "Requests answered with 200.",
    "nv_inference_count": "Rows that went through the model.",
    "nv_inference_exec_count": "Runs of the model.",
    "nv_inference_request_duration_us": "Time of all requests together.",
    "nv_inference_queue_duration_us": "Of this, until their runs began.",
    "nv_inference_compute_infer_duration_us": "Of this, from the begin of their runs on.",
    "nv_inference_compute_input_duration_us": "Always 0: see the inference.",
    "nv_inference_compute_output_duration_us": "Always 0: see the inference.",
}


class TritonCollector(Collector):
    """Renders the counters in Triton's words at each scrape.

    Args:
        figures: Reads the counters.
    """

    def __init__(self, figures: Callable[[], Merged]) -> None:
        self._figures = figures

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not read the counters when it is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families, from one reading of the counters."""
        families = {
            name: UnknownMetricFamily(name, text, labels=_LABELS)
            for name, text in _FAMILIES.items()
        }
        failures = UnknownMetricFamily(
            "nv_inference_request_failure", "Requests that failed.", labels=(*_LABELS, "reason")
        )
        pending = GaugeMetricFamily(
            "nv_inference_pending_request_count",
            "Requests admitted and not yet answered.",
            labels=_LABELS,
        )
        for labels, slots in sorted(self._figures().blocks.items()):
            if not labels[1]:
                continue  # requests of no model
            figures = request_figures(slots)
            for name, value in _values(figures).items():
                families[name].add_metric(labels, value)
            failures.add_metric((*labels, _REASON), figures.failed)
            pending.add_metric(labels, slots[layout.IN_FLIGHT])
        yield from families.values()
        yield failures
        yield pending


def _values(figures: RequestFigures) -> Mapping[str, float]:
    """The figures of `_FAMILIES` for one version."""
    whole = figures.succeeded_ns + figures.failed_ns
    return {
        "nv_inference_request_success": figures.succeeded,
        "nv_inference_count": figures.rows,
        "nv_inference_exec_count": figures.runs,
        "nv_inference_request_duration_us": whole // _PER_MICROSECOND,
        "nv_inference_queue_duration_us": figures.queue_ns // _PER_MICROSECOND,
        "nv_inference_compute_infer_duration_us": figures.infer_ns // _PER_MICROSECOND,
        "nv_inference_compute_input_duration_us": 0,
        "nv_inference_compute_output_duration_us": 0,
    }
