"""The process tree under fire: real processes, real signals, exact figures."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SLEPT = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)


def memory_mib(pid):
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    )


def is_idle(pids, seconds):
    """Whether none of the processes wakes often or works long, over so many seconds.

    Wakes are bounded tightly and time loosely: where caches are cold, the machine takes many times
    as long for the same wake.
    """
    before = [(wakes(pid), run_seconds(pid)) for pid in pids]
    time.sleep(seconds)
    return all(
        wakes(pid) - count <= 25 * seconds and run_seconds(pid) - time_before <= 0.05 * seconds
        for pid, (count, time_before) in zip(pids, before, strict=True)
    )


def wakes(pid):
    """How often its threads have gone to sleep."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int(SLEPT.search((one / "status").read_text())[1]) for one in threads)


def run_seconds(pid):
    """What its threads have run together."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) * 1e-9


def test_an_idle_server_is_small_and_sleeps(serve):
    server = serve()
    assert {"breast-cancer", "digits"} <= set(server.status()["target"]["models"])
    children = server.children()
    assert memory_mib(server.process.pid) <= 25
    assert memory_mib(children["control"]) <= 80
    assert "onnxruntime" not in Path(f"/proc/{children['control']}/maps").read_text()
    assert memory_mib(children["monitor"]) <= 60
    assert memory_mib(children["shadow"]) <= 30
    pids = [server.process.pid, *children.values()]
    # What a start leaves to be done is done some time after it.
    server.until(lambda: is_idle(pids, 4))


@pytest.fixture(scope="module")
def server(serve_all):
    """Two workers, for the tests that leave them at work."""
    return serve_all("--workers", 2, monitor=False)


def test_control_killed_under_load_is_back_and_nobody_notices(server, load):
    already = server.answered()
    with load(server.url) as running:
        running.wait_for(50)
        before = server.kill("control")
        running.wait_for(50)
        server.until(lambda: server.once(server.url, "/metrics")[0] == 200)
        running.wait_for(50)
    assert running.broken == 0
    assert set(running.statuses) == {200}
    assert server.children()["control"] != before
    assert server.status()["converged"]
    assert server.status()["target"]["number"] == 1
    server.until(lambda: server.answered() == already + len(running.statuses))


def test_a_worker_killed_under_load_comes_back_and_its_counts_stay(server, load):
    already = server.answered()
    with load(server.url, 8) as running:
        running.wait_for(200)
        killed = server.kill("worker-0")
        running.wait_for(200)
        server.until(lambda: server.children().get("worker-0") not in {None, killed})
        server.until(lambda: server.status()["converged"] and len(server.status()["workers"]) == 2)
        running.wait_for(200)
    assert set(running.statuses) == {200}
    assert running.broken <= 8  # only who was connected to it
    assert server.children()["worker-0"] != killed
    assert [one["target"] for one in server.status()["workers"]] == [1, 1]
    # Counted before it is written: at most the answers that were on their way are too many.
    received = already + len(running.statuses)
    server.until(lambda: received <= server.answered() <= received + running.broken)
    metrics = server.metrics()
    assert metrics['penstock_process_restarts_total{process="worker-0"}'] == 1
    assert metrics['penstock_in_flight{model="breast-cancer",version="2"}'] == 0


def test_counts_of_a_worker_killed_at_rest_are_exact(serve, load):
    server, total = serve(monitor=False), 0
    for _ in range(2):
        with load(server.url, 3) as running:
            running.wait_for(60)
        total += len(running.statuses)
        server.until(lambda total=total: server.answered() == total)
        server.kill("worker-0")
        server.until(lambda: server.status()["converged"])
        server.until(lambda total=total: server.answered() == total)
    with load(server.url, 1) as running:
        running.wait_for(10)
    server.until(lambda: server.answered() == total + len(running.statuses))
    assert running.broken == 0


def test_sigterm_drains_and_ends_with_status_zero(serve, load, tmp_path):
    server = serve("--workers", 2, monitor=False)
    with load(server.url) as running:
        running.wait_for(100)
        assert server.stop() == 0
    assert set(running.statuses) == {200}
    assert not (tmp_path / "run" / "counters").exists()
    assert "did not end in time" not in server.process.stderr.read()


def test_ctrl_c_reaches_everybody_and_still_ends_in_order(serve):
    server = serve(monitor=False)
    for pid in (*server.children().values(), server.process.pid):
        os.kill(pid, signal.SIGINT)
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.process.stderr.read()


def test_nothing_is_left_two_seconds_after_the_supervisor_was_killed(serve):
    """Not even a process that cannot act: one is stopped, as one is that stands still in a run."""
    server = serve("--workers", 2)
    children = server.children()
    assert set(children) == {"control", "monitor", "shadow", "worker-0", "worker-1"}
    os.kill(children["worker-1"], signal.SIGSTOP)
    os.kill(children["control"], signal.SIGSTOP)
    server.process.kill()
    server.process.wait()
    server.wait_gone(children.values(), seconds=2.0)


def test_a_stop_takes_no_longer_than_the_drain_and_two_seconds_whoever_stands_still(serve):
    server = serve("--workers", 2, "--drain-seconds", 1)
    for name in ("worker-1", "monitor"):
        os.kill(server.children()[name], signal.SIGSTOP)
    children = server.children()
    watch = server.stopwatch()
    assert server.stop(watch) == 0
    assert watch.seconds < 1 + 2 + 0.5  # beyond that, what it takes to see it
    server.wait_gone(children.values(), seconds=1.0)


def test_a_port_in_use_is_explained(command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        registry = tmp_path / "registry"
        registry.mkdir()
        process = command("serve", registry, "--port", port)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    assert f"port {port} on 127.0.0.1 is in use" in errors
    assert "--port" in errors


def test_two_servers_do_not_share_a_run_directory(server, command, tmp_path):
    process = command("serve", tmp_path, "--port", 0, "--run-dir", server.run_dir)
    assert process.wait(60) == 1
    assert "another server runs in" in process.stderr.read()


def test_a_certificate_that_is_none_stops_the_start(command, tmp_path):
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("hello")
    process = command(
        "serve", tmp_path, "--port", 0, "--admin-port", 0, "--ssl-certfile", certificate
    )
    assert process.wait(60) == 1
    assert "certificate or its key cannot be used" in process.stderr.read()


def test_an_empty_registry_is_served_until_something_is_in_it(serve, tmp_path):
    registry = tmp_path / "registry"
    registry.mkdir()
    server = serve(registry=registry, monitor=False)
    assert "no models yet" in "".join(server.banner)
    assert server.once(server.url, "/v2/models") == (200, b"[]")


def test_samples_are_counted_and_none_is_dropped_at_rest(serve, load):
    server = serve("--sample-rate", 1)
    with load(server.url) as running:
        running.wait_for(100)
    sampled = 'penstock_sampled_rows_total{model="breast-cancer",version="2"}'
    assert server.metrics()[sampled] == len(running.statuses)
    assert server.metrics()[sampled.replace("_total", "_dropped_total")] == 0


def test_a_client_that_never_finishes_does_not_hold_the_stop_up(serve):
    server = serve("--drain-seconds", 0.3, monitor=False)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /v2/models/breast-cancer/infer HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        )
        server.until(lambda: server.metrics()['penstock_connections{process="worker-0"}'] >= 1)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15, "it waited for the body"
