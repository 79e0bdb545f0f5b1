"""The monitor under fire: real processes, real signals, exact figures.

What must hold, always: accepted = written + dropped + lost, and no prediction fails.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.startswith(f"penstock_{name}_total"))


class Books:
    """What became of rows, by the metrics; and by the files themselves."""

    def __init__(self, server, state):
        self.server = server
        self.state = state

    def read(self):
        metrics = self.server.metrics()
        names = ("sampled_rows", "sampled_rows_dropped")
        logged = ("log_rows_written", "log_rows_dropped", "log_rows_lost")
        return [int(total(metrics, name)) for name in (*names, *logged)]

    def balance(self):
        """Sampled rows of which nobody knows what became of them."""
        sampled, *rest = self.read()
        return sampled - sum(rest)

    def settle(self):
        self.server.until(lambda: self.balance() == 0)
        return self.read()

    def rows(self, model=MODEL):
        count = 0
        for path in sorted((self.state / "monitor" / "log").glob("predictions-*.db")):
            with closing(sqlite3.connect(path)) as db:
                assert db.execute("pragma integrity_check").fetchone() == ("ok",)
                count += db.execute(f'select count(*) from "{model}"').fetchone()[0]
                doubled = f'select count(*) from (select 1 from "{model}" group by request_id, row'
                assert db.execute(f"{doubled} having count(*) > 1)").fetchone() == (0,)
        return count


@pytest.fixture
def books(tmp_path):
    return lambda server: Books(server, tmp_path / "state")


def test_every_prediction_is_in_the_log_and_can_be_queried_meanwhile(serve, load, books):
    server = serve("--workers", 2)
    state = books(server).state
    where = ("--state-dir", state)
    with load(server.url) as running:
        running.wait_for(300)
        server.until(lambda: (state / "monitor" / "log").exists() and books(server).read()[2])
        count = ("query", "select count(*) as n from predictions", *where, "--format")
        for shape in ("json", "csv", "table"):
            status, answer, _ = cli(*count, shape)
            assert status == 0
            assert int("".join(one for one in answer if one.isdigit())) > 0
    assert set(running.statuses) == {200}
    sampled, dropped, written, log_dropped, lost = books(server).settle()
    assert sampled == written == len(running.statuses)
    assert (dropped, log_dropped, lost) == (0, 0, 0)
    _, answer, errors = cli("query", f'select * from "{MODEL}"', "--rows", 3, *where)
    assert answer.count("\n") == 4
    assert "more than 3 rows" in errors
    assert cli("query", "drop table x", *where)[0] == 1
    assert cli("predictions", "show", "nobody", *where)[0] == 1
    with load(server.url) as last:
        last.wait_for(100)
    assert server.stop() == 0
    answered = len(running.statuses) + last.statuses.count(200)
    assert books(server).rows() == answered


def test_kills_of_monitor_and_workers_are_accounted_for_exactly(serve, load, books):
    server = serve("--workers", 2)
    book = books(server)
    with load(server.url, 8) as running:
        for _ in range(5):
            running.wait_for(150)
            server.until(lambda: "monitor" in server.children())
            server.kill("monitor")
        running.wait_for(150)
    assert running.broken == 0
    assert set(running.statuses) == {200}
    sampled, dropped, written, log_dropped, lost = book.settle()
    assert sampled == written == len(running.statuses) == book.rows()
    assert (dropped, log_dropped, lost) == (0, 0, 0)
    with load(server.url, 8) as again:
        for _ in range(3):
            again.wait_for(200)
            server.until(lambda: "worker-0" in server.children())
            server.kill("worker-0")
        again.wait_for(200)
    server.until(lambda: len(server.status()["workers"]) == 2)
    sampled, dropped, written, log_dropped, lost = book.settle()
    assert written == book.rows()
    assert (dropped, log_dropped) == (0, 0)
    assert sampled == written + lost
    assert sampled >= len(running.statuses) + len(again.statuses)


#: Kills of every kind of process; more by the environment.
KILLS = int(os.environ.get("PENSTOCK_KILLS", "6"))


def test_random_kills_of_every_process_beside_busy_ones_leave_the_books_exact(serve, load, books):
    dice = random.Random(5)
    with one_processor():
        server = serve("--workers", 2)
        others = busy(4)
    book = books(server)
    with load(server.url, 4) as running, others:
        for _ in range(KILLS):
            enough = len(running.statuses) + dice.randrange(1, 15)
            server.until(lambda enough=enough: len(running.statuses) >= enough, 90)
            victim = dice.choice(("monitor", "worker-0", "worker-1", "control"))
            server.until(lambda victim=victim: victim in server.children(), 90)
            server.kill(victim)

    def settled():
        with suppress(OSError, HTTPException, ValueError):  # control is being started
            return len(server.status()["workers"]) == 2 and book.balance() == 0
        return False

    server.until(settled, 90)
    sampled, dropped, written, log_dropped, lost = book.read()
    assert written == book.rows()
    assert sampled == dropped + written + log_dropped + lost
    assert sampled >= running.statuses.count(200)


@contextmanager
def one_processor():
    """What is started inside shares one processor, and leaves the others to other tests."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy(count):
    """So many processes that want a processor all the time."""
    code = "while True: pass"
    stack = ExitStack()
    for _ in range(count):
        one = subprocess.Popen([sys.executable, "-c", code])
        stack.callback(one.wait)
        stack.callback(one.kill)
    return stack


def test_a_stopped_monitor_costs_samples_and_nothing_else(serve, load, books):
    limits = ("--sample-max-bytes", "256KiB", "--sample-max-rows", 300)
    server = serve(*limits)
    book = books(server)
    monitor, worker = server.children()["monitor"], server.children()["worker-0"]
    with load(server.url, 8) as running:
        running.wait_for(50)
        os.kill(monitor, signal.SIGSTOP)
        running.wait_for(3000)
        server.until(lambda: book.read()[1] > 0)
        silent = {"answers": False, "problem": "the monitor does not answer"}
        assert server.status()["monitor"] == silent
        before = rss_mib(worker)
        running.wait_for(1500)
        assert rss_mib(worker) - before < 8
        os.kill(monitor, signal.SIGCONT)
        running.wait_for(50)
        server.until(lambda: server.status()["monitor"]["answers"])
    assert running.broken == 0
    assert set(running.statuses) == {200}
    sampled, dropped, written, log_dropped, lost = book.settle()
    assert sampled == len(running.statuses)
    assert sampled == written + dropped
    assert written == book.rows()
    assert (log_dropped, lost) == (0, 0)


def rss_mib(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def test_a_server_may_keep_no_log_and_still_sample(serve, load, books):
    server = serve("--log-max-bytes", 0)
    with load(server.url) as running:
        running.wait_for(50)
    sampled, dropped, written, log_dropped, lost = books(server).settle()
    assert (sampled, log_dropped) == (len(running.statuses),) * 2
    assert (dropped, written, lost) == (0, 0, 0)


def write_model(directory):
    """One row: a customer's name and age to age + 1, and the name again."""
    directory.mkdir(parents=True)
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["age", "one"], ["older"]),
            helper.make_node("Identity", ["customer"], ["echo"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("customer", TensorProto.STRING, ["n", 1]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info("older", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("echo", TensorProto.STRING, ["n", 1]),
        ],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "model.onnx")


def cli(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def ask(server, name, age, request_id):
    body = {
        "id": request_id,
        "inputs": [
            {"name": "customer", "datatype": "BYTES", "shape": [1, 1], "data": [name]},
            {"name": "age", "datatype": "FP32", "shape": [1, 1], "data": [age]},
        ],
    }
    client = type(server).__init__.__globals__["Client"](server.url)
    client.connection.request(
        "POST",
        "/v2/models/who/infer",
        json.dumps(body),
        {"content-type": "application/json", "x-request-id": request_id},
    )
    response = client.connection.getresponse()
    assert (response.status, response.headers["x-request-id"]) == (200, request_id)
    response.read()
    client.close()


def test_what_is_private_stays_so_and_can_be_erased(serve, tmp_path, books):
    registry = tmp_path / "registry"
    write_model(registry / "who" / "1")
    (registry / "who" / "model.toml").write_text(
        '[log]\ndrop = ["echo"]\nhash = ["customer"]\nsubject = "customer"\n'
    )
    server = serve(registry=registry)
    for number, name in enumerate(("ann", "bob", "ann", "cy")):
        ask(server, name, number, f"r{number}")
    books(server).settle()
    state = tmp_path / "state"
    assert (state / "log-key").stat().st_mode & 0o777 == 0o600
    status, shown, _ = cli("predictions", "show", "r1", "--state-dir", state, "--json")
    assert status == 0
    found = json.loads(shown)
    (row,) = found["predictions"]
    assert (row["model"], row["version"], row["age"], row["older"]) == ("who", 1, 1.0, 2.0)
    assert len(row["customer"]) == 32
    assert "echo" not in row
    assert row["digest"].startswith("sha256:")
    assert found["lineage"]["run"].startswith("MISSING")
    everything = b"".join(one.read_bytes() for one in (state / "monitor" / "log").iterdir())
    assert b"ann" not in everything

    reach = ("--admin-url", server.admin_url, "--state-dir", state)
    status, told, errors = cli("erase", "who", "--subject", "ann", "--reason", "asked", *reach)
    assert (status, errors) == (0, "")
    assert told.startswith("2 rows in 1 files")
    left = ("query", "select request_id from who order by 1", "--format", "csv")
    assert cli(*left, "--state-dir", state)[1].split() == ["request_id", "r1", "r3"]
    status, told, _ = cli("erase", "who", "--request-id", "r3", "--reason", "asked", *reach)
    assert told.startswith("1 rows")
    assert cli(*left, "--state-dir", state)[1].split() == ["request_id", "r1"]
    audit = b"".join(one.read_bytes() for one in (state / "audit").iterdir())
    assert audit.count(b'"erased"') == 2
    assert b'"ann"' not in audit
    assert cli("erase", "who", "--subject", "ann", "--reason", "", *reach)[0] == 1
