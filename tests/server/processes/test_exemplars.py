"""A bucket of the latency leads to the trace of a prediction, through all processes."""

from __future__ import annotations

import json
import re
import urllib.request

BODY = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}]}
).encode()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BUCKET = re.compile(
    r'penstock_request_seconds_bucket{[^}]*le="([^"]+)"[^}]*} \S+ '
    rf'# {{trace_id="{TRACE}"}} (\S+)'
)


def scrape(url, accept):
    request = urllib.request.Request(f"{url}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_a_bucket_of_the_latency_leads_to_a_trace(serve):
    server = serve("--otlp-endpoint", "http://127.0.0.1:9")  # nobody takes the spans
    headers = {
        "content-type": "application/json",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    }
    request = urllib.request.Request(f"{server.url}/v2/models/breast-cancer/infer", BODY, headers)
    urllib.request.urlopen(request, timeout=60).close()
    openmetrics = "application/openmetrics-text; version=1.0.0"
    server.until(lambda: TRACE in scrape(server.admin_url, openmetrics))
    ((limit, seconds),) = BUCKET.findall(scrape(server.admin_url, openmetrics))
    assert 0 < float(seconds) <= float(limit)
    assert "trace_id" not in scrape(server.admin_url, "text/plain")
