"""The observed split of real traffic over real workers, against the share that was asked for."""

from __future__ import annotations

import json
import socket
import urllib.request
from itertools import cycle
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
MOST_CONNECTIONS = 100

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
        with urllib.request.urlopen(request, timeout=60) as answer:
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


@pytest.fixture
def connect(serve):
    """Connect `CONNECTIONS` times, and go on until every worker has one of the connections.

    A worker that has time accepts, so on a busy machine one worker may get all of the first.
    """
    opened = []

    def to(server, workers):
        parts = urlsplit(server.url)

        def one_more():
            opened.append(socket.create_connection((parts.hostname, parts.port), 60))

        def counts():
            metrics = server.metrics()
            names = (f'penstock_connections{{process="worker-{n}"}}' for n in range(workers))
            return [metrics.get(name, 0) for name in names]

        for _ in range(CONNECTIONS):
            one_more()
        while not all(counts()):
            assert len(opened) < MOST_CONNECTIONS, counts()
            one_more()
            # Workers tell of their connections once a second.
            server.until(lambda: sum(counts()) >= len(opened))
        return list(opened)

    yield to
    for one in opened:
        one.close()


def send_all(connections):
    """Send `REQUESTS` requests over the connections; how many each version answered."""
    answered = {1: 0, 2: 0}
    turns = cycle(connections)
    for _ in range(REQUESTS // CONNECTIONS // PIPELINED):
        asked = [next(turns) for _ in range(CONNECTIONS)]
        for connection in asked:
            connection.sendall(REQUEST * PIPELINED)
        for connection in asked:
            for head in read_answers(connection, PIPELINED):
                version = 2 if b"x-penstock-arm: canary" in head else 1
                assert b"x-model-version: %d" % version in head
                answered[version] += 1
    return answered


@pytest.mark.parametrize("workers", [1, 4])
def test_the_observed_split_is_within_the_bounds_of_the_share(serve, connect, tmp_path, workers):
    server = serve("--workers", workers, "--keep-alive-seconds", 600, monitor=False)
    connections = connect(server, workers)
    operator = Operator(server, tmp_path / "state")
    operator.ask("POST", "/versions/1/promote")
    for percent in (1, 5, 25, 50):
        operator.compare(percent)
        low, high = stats.binom.interval(1 - OUTSIDE, REQUESTS, percent / 100)
        for _ in range(2):  # one in a thousand is outside by chance; not two in a row
            before = operator.counted()
            answered = send_all(connections)
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
    assert sum(by_worker.values()) == sum(operator.counted())
