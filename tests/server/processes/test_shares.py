"""The observed split of real traffic over real workers, against the share that was asked for."""

from __future__ import annotations

import json
import socket
import urllib.request
from urllib.parse import urlsplit

import pytest
from scipy import stats

from penstock.monitoring.metrics.layout import ARM_REQUESTS
from penstock.monitoring.metrics.merge import merge

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"
#: Probability that a fair split is outside of the bounds.
OUTSIDE = 0.001
CONNECTIONS = 16
REQUESTS = 6_400
#: Unanswered at once on a connection.
PIPELINED = 50

BODY = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}]}
).encode()
REQUEST = b"POST /v2/models/%b/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
    MODEL.encode(),
    len(BODY),
    BODY,
)


class Operator:
    """Starts and ends comparisons with the server's own token."""

    def __init__(self, server, state):
        self.server = server
        self.token = (state / "admin-token").read_text().strip()

    def ask(self, method, path, **body):
        url = f"{self.server.admin_url}/admin/models/{MODEL}{path}"
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(url, data, method=method)
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def compare(self, percent):
        """Start a comparison that nothing ends, and wait until every worker takes part."""
        self.ask("POST", "/rollout", kind="ab", version=2, percent=percent, alpha=1e-9)
        server = self.server
        server.until(lambda: self.ask("GET", "/rollout")["phase"] == "progressing")
        server.until(lambda: server.status()["converged"])

    def counted(self):
        """Requests of each arm, by the metrics."""
        metrics = self.server.metrics()
        name = 'penstock_arm_requests_total{{model="breast-cancer",version="{}"}}'
        return [metrics.get(name.format(version), 0.0) for version in (1, 2)]


def counted_by_worker(run_directory):
    """Requests of both arms, by worker."""
    return {
        one.process: sum(slots[ARM_REQUESTS] for slots in one.blocks.values())
        for one in merge(run_directory / "counters").live
        if one.process.startswith("worker-")
    }


def read_answers(connection, count):
    """So many answers; their heads joined."""
    received, heads = b"", []
    while len(heads) < count:
        head, end, rest = received.partition(b"\r\n\r\n")
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]) if end else 0
        if not end or len(rest) < size:
            data = connection.recv(1 << 16)
            assert data, "the server closed the connection"
            received += data
            continue
        assert head.startswith(b"HTTP/1.1 200"), head
        heads.append(head)
        received = rest[size:]
    return heads


def send_all(url):
    """Send `REQUESTS` requests over `CONNECTIONS` connections; how many each version answered."""
    parts = urlsplit(url)
    connections = [
        socket.create_connection((parts.hostname, parts.port), 10) for _ in range(CONNECTIONS)
    ]
    answered = {1: 0, 2: 0}
    for _ in range(REQUESTS // CONNECTIONS // PIPELINED):
        for connection in connections:
            connection.sendall(REQUEST * PIPELINED)
        for connection in connections:
            for head in read_answers(connection, PIPELINED):
                version = 2 if b"x-penstock-arm: canary" in head else 1
                assert b"x-model-version: %d" % version in head
                answered[version] += 1
    for connection in connections:
        connection.close()
    return answered


@pytest.mark.parametrize("workers", [1, 4])
def test_the_observed_split_is_within_the_bounds_of_the_share(serve, tmp_path, workers):
    server = serve("--workers", workers)
    operator = Operator(server, tmp_path / "state")
    operator.ask("POST", "/versions/1/promote")
    for percent in (1, 5, 25, 50):
        operator.compare(percent)
        low, high = stats.binom.interval(1 - OUTSIDE, REQUESTS, percent / 100)
        for _ in range(2):  # one in a thousand is outside by chance; not two in a row
            before = operator.counted()
            answered = send_all(server.url)
            assert sum(answered.values()) == REQUESTS
            total = [before[0] + answered[1], before[1] + answered[2]]
            server.until(lambda total=total: list(operator.counted()) == total)
            seen = (
                f"{workers} workers, {percent} %: {answered[2]} of {REQUESTS}, {low:g} to {high:g}"
            )
            print(f"\n{seen}", end="")  # noqa: T201
            if low <= answered[2] <= high:
                break
        else:
            pytest.fail(f"{seen}: outside twice")
        operator.ask("POST", "/rollout/finish")
        server.until(lambda: server.status()["converged"])
    by_worker = counted_by_worker(tmp_path / "run")
    assert len(by_worker) == workers
    assert min(by_worker.values()) > 0  # each of them took part
    server.until(lambda: sum(by_worker.values()) == sum(operator.counted()))
