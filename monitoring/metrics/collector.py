"""The counter files as Prometheus metric families for ``/metrics``.

`docs/metrics.md` lists every family; a test compares the two.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ShownExemplar
from prometheus_client.utils import floatToGoString

from . import layout
from .log_metrics import prediction_log
from .process_stats import read_process
from .quality_collector import quality_families
from .shadow_metrics import shadows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from .exemplars import Exemplar
    from .merge import Merged
    from .process_figures import ProcessFigures

    #: The exemplars of buckets, by model and version.
    Exemplars = Mapping[tuple[str, str], Mapping[int, Exemplar]]

_LABELS = ("model", "version")
_NANOSECOND = 1e-9


class PenstockCollector(Collector):
    """Renders what `figures()` returns at each scrape.

    Args:
        figures: Reads the counters, for example ``partial(fold, directory)``.
        version: Version of Penstock, for ``penstock_build_info``.
        exemplars: Reads the exemplars; they are shown in the OpenMetrics format only.
    """

    def __init__(
        self, figures: Callable[[], Merged], version: str, exemplars: Callable[[], Exemplars] = dict
    ) -> None:
        self._figures = figures
        self._version = version
        self._exemplars = exemplars

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not read the counters when it is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families, from one reading of the counters."""
        merged = self._figures()
        build = GaugeMetricFamily(
            "penstock_build_info", "The running release; always 1.", labels=["release"]
        )
        build.add_metric([self._version], 1.0)
        yield build
        yield from _requests(merged)
        yield from _arms(merged)
        yield from shadows(merged)
        yield from prediction_log(merged)
        yield from quality_families(merged)
        yield from _histograms(merged, self._exemplars())
        yield from _processes(merged)


def exposition(collectors: Iterable[Collector], accept: str) -> tuple[bytes, bytes]:
    """Render a scrape.

    Args:
        collectors: Collectors to render, in this order.
        accept: The scraper's Accept header; OpenMetrics when it asks for that, else text 0.0.4.

    Returns:
        The content type and the body.
    """
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return content_type.encode(), encode(registry)


def _requests(merged: Merged) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "penstock_requests", "Requests answered, by HTTP status.", labels=[*_LABELS, "status"]
    )
    dropped = CounterMetricFamily(
        "penstock_dropped",
        "Requests dropped before the model ran, by reason.",
        labels=[*_LABELS, "reason"],
    )
    plain: dict[int, CounterMetricFamily | GaugeMetricFamily] = {
        layout.BATCH_ROWS.total: CounterMetricFamily(
            "penstock_rows", "Rows that went through the model.", labels=_LABELS
        ),
        layout.SAMPLED_ROWS: CounterMetricFamily(
            "penstock_sampled_rows", "Rows picked for the drift monitor.", labels=_LABELS
        ),
        layout.SAMPLED_ROWS_DROPPED: CounterMetricFamily(
            "penstock_sampled_rows_dropped",
            "Rows picked for the drift monitor for which there was no room.",
            labels=_LABELS,
        ),
        layout.IN_FLIGHT: GaugeMetricFamily(
            "penstock_in_flight", "Requests admitted and not yet answered.", labels=_LABELS
        ),
    }
    batches = CounterMetricFamily("penstock_batches", "Runs of the model.", labels=_LABELS)
    for labels, slots in sorted(merged.blocks.items()):
        for index, status in enumerate(layout.STATUS_LABELS):
            if slots[layout.STATUS + index]:
                requests.add_metric([*labels, status], slots[layout.STATUS + index])
        for index, reason in enumerate(layout.DROP_REASONS):
            if slots[layout.DROPPED + index]:
                dropped.add_metric([*labels, reason], slots[layout.DROPPED + index])
        if not labels[1]:
            continue  # not a model: only statuses mean something
        for slot, family in plain.items():
            family.add_metric(labels, slots[slot])
        batches.add_metric(labels, sum(_buckets(layout.BATCH_ROWS, slots)))
    yield from (requests, dropped, batches, *plain.values())


_ARM_COUNTERS: Final = (
    (
        layout.ARM_REQUESTS,
        "penstock_arm_requests",
        "Requests of a split that this version was chosen for.",
    ),
    (layout.ARM_ERRORS, "penstock_arm_errors", "Of those, failed by the version's fault."),
    (layout.ARM_TIMEOUTS, "penstock_arm_timeouts", "Of those, not answered in time."),
    (layout.ARM_INVALID, "penstock_arm_invalid", "Of those, answered with NaN or infinity."),
    (layout.ARM_SLOW, "penstock_arm_slow", "Of those, slower than the split allows."),
    (
        layout.ARM_FALLBACKS,
        "penstock_arm_fallbacks",
        "Answered by the other version in its place.",
    ),
    (
        layout.ARM_REPEATED_FAILURES,
        "penstock_arm_repeated_failures",
        "Errors and timeouts that repeat an earlier one of their unit.",
    ),
    (
        layout.ARM_REPEATED_INVALID,
        "penstock_arm_repeated_invalid",
        "Invalid answers that repeat an earlier one of their unit.",
    ),
    (
        layout.ARM_REPEATED_SLOW,
        "penstock_arm_repeated_slow",
        "Slow answers that repeat an earlier one of their unit.",
    ),
    (
        layout.ARM_RESCUED,
        "penstock_arm_rescued",
        "Failures, timeouts aside, that the other version answered.",
    ),
    (
        layout.ARM_BOTH_FAILED,
        "penstock_arm_both_failed",
        "Failures, timeouts aside, that the other version failed at, too.",
    ),
    (
        layout.ARM_WARM_UP_SLOW,
        "penstock_arm_warm_up_slow",
        "Slow answers in the warm-up allowance.",
    ),
)


def _arms(merged: Merged) -> Iterator[Metric]:
    """Only versions that a split was ever between have these series."""
    for slot, name, text in _ARM_COUNTERS:
        family = CounterMetricFamily(name, text, labels=_LABELS)
        for labels, slots in sorted(merged.blocks.items()):
            if any(slots[layout.ARM_REQUESTS : layout.ARM_FALLBACKS + 1]):
                family.add_metric(labels, slots[slot])
        yield family


def _histograms(merged: Merged, exemplars: Exemplars) -> Iterator[Metric]:
    families = (
        (
            layout.LATENCY,
            "penstock_request_seconds",
            "From the first byte of a request to its answer.",
            _NANOSECOND,
        ),
        (layout.QUEUE, "penstock_queue_seconds", "Waiting for a batch to form.", _NANOSECOND),
        (layout.COMPUTE, "penstock_compute_seconds", "One run of the model.", _NANOSECOND),
        (layout.BATCH_ROWS, "penstock_batch_rows", "Rows in one run of the model.", 1.0),
    )
    for histogram, name, text, unit in families:
        family = HistogramMetricFamily(name, text, labels=_LABELS)
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        for labels, slots in sorted(merged.blocks.items()):
            cumulative = list(accumulate(_buckets(histogram, slots)))
            if labels[1] or cumulative[-1]:
                kept = exemplars.get(labels, {}) if histogram is layout.LATENCY else {}
                buckets = [
                    (bound, float(count), _exemplar(kept[number]))
                    if number in kept
                    else (bound, float(count))
                    for number, (bound, count) in enumerate(zip(bounds, cumulative, strict=True))
                ]
                family.add_metric(labels, buckets, slots[histogram.total] * unit)
        yield family


def _exemplar(exemplar: Exemplar) -> ShownExemplar:
    trace_id, seconds, time = exemplar
    return ShownExemplar({"trace_id": trace_id}, seconds, time)


def _buckets(histogram: layout.Histogram, slots: list[int]) -> list[int]:
    return slots[histogram.first : histogram.total]


def _processes(merged: Merged) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "penstock_process_up", "Whether the process is alive.", labels=["process"]
    )
    restarts = CounterMetricFamily(
        "penstock_process_restarts", "Times the process was started again.", labels=["process"]
    )
    live = {one.process for one in merged.live}
    for process, starts in sorted(merged.starts.items()):
        up.add_metric([process], float(process in live))
        restarts.add_metric([process], starts - 1)
    yield up
    yield restarts
    yield _errors(merged.live)
    yield from _gauges(merged.live)
    yield from _operating_system(merged.live)


def _errors(live: list[ProcessFigures]) -> Metric:
    family = CounterMetricFamily(
        "penstock_internal_errors",
        "Errors in the process that no caller was told of.",
        labels=["process"],
    )
    for one in live:
        family.add_metric([one.process], one.gauges[layout.INTERNAL_ERRORS])
    return family


def _gauges(live: list[ProcessFigures]) -> Iterator[Metric]:
    for slot, name, text, unit in (
        (layout.MODELS_LOADED, "penstock_models_loaded", "Versions served.", 1.0),
        (layout.CONNECTIONS, "penstock_connections", "Open client connections.", 1.0),
        (
            layout.LOOP_LAG_NANOSECONDS,
            "penstock_event_loop_lag_seconds",
            "How late the last timer of the event loop was.",
            _NANOSECOND,
        ),
    ):
        family = GaugeMetricFamily(name, text, labels=["process"])
        for one in live:
            family.add_metric([one.process], one.gauges[slot] * unit)
        yield family


def _operating_system(live: list[ProcessFigures]) -> Iterator[Metric]:
    label = ["process"]
    cpu = CounterMetricFamily("process_cpu_seconds", "User and system time.", labels=label)
    resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", labels=label)
    descriptors = GaugeMetricFamily("process_open_fds", "Open file descriptors.", labels=label)
    start = GaugeMetricFamily("process_start_time_seconds", "Start, Unix seconds.", labels=label)
    for one in live:
        start.add_metric([one.process], one.started_at)
        stats = read_process(one.pid)
        if stats is None:
            continue
        cpu.add_metric([one.process], stats.cpu_seconds)
        resident.add_metric([one.process], stats.resident_bytes)
        descriptors.add_metric([one.process], stats.open_descriptors)
    yield from (cpu, resident, descriptors, start)
