"""Metrics for any number of scrapers, and figures for decisions, which wait for none of them."""

from __future__ import annotations

import asyncio
import threading

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.scrape_format import OPENMETRICS, TEXT, TEXT_1, scrape_format
from penstock.server.control.coordination.exposition import Exposition
from penstock.server.errors import Unavailable


class SlowCollector(Collector):
    """Collects when it is let go."""

    def __init__(self):
        self.begun = threading.Event()
        self.go = threading.Event()
        self.collected = 0

    def describe(self):
        return iter(())

    def collect(self):
        self.collected += 1
        self.begun.set()
        assert self.go.wait(60)
        yield GaugeMetricFamily("slow", "How often it was collected.", value=self.collected)


@pytest.fixture
def exposition(tmp_path):
    counters = CounterFile.create(tmp_path, "worker-1")
    yield Exposition(tmp_path)
    counters.close()


def test_thousands_of_abandoned_scrapes_cost_one_and_delay_no_decision(exposition):
    slow = SlowCollector()
    exposition.collectors.append(slow)
    exposition._shared._clock = lambda: 1.0  # all happens in one second

    async def main():
        scrapes = [asyncio.create_task(exposition.render("")) for _ in range(2000)]
        await asyncio.to_thread(slow.begun.wait, 20)
        for scrape in scrapes[1:]:
            scrape.cancel()
        # The figures come although the metrics are still being rendered.
        figures = await asyncio.wait_for(exposition.figures(), 20)
        assert figures is not None
        ended = await asyncio.gather(*scrapes[1:], return_exceptions=True)
        assert {type(one) for one in ended} <= {asyncio.CancelledError, Unavailable}
        slow.go.set()
        content_type, body = await scrapes[0]
        assert content_type.startswith(b"text/plain")
        assert b"slow 1.0" in body
        # All scrapes of the same second get the same text.
        assert (await exposition.render("text/plain"))[1] == body
        assert slow.collected == 1

    asyncio.run(main())


def test_each_format_is_rendered_by_itself(exposition):
    async def main():
        texts = [await exposition.render(one) for one in (OPENMETRICS, TEXT_1, TEXT)]
        assert len({content_type for content_type, _ in texts}) == 3
        assert texts[0][1].endswith(b"# EOF\n")

    asyncio.run(main())


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1, text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", TEXT_1),
        ("application/openmetrics-text;version=" + "9" * 5000, TEXT),
        ("," * 5000 + ";" * 5000, TEXT),
    ],
)
def test_any_wish_is_one_of_three(accept, expected):
    assert scrape_format(accept) == expected
