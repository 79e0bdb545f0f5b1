"""What the supervisor starts, and what does not stop it."""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import contextmanager, suppress

import pytest

from penstock.server.config.config import ServerConfig
from penstock.server.processes.exits import describe_exit
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.supervisor.supervisor import Supervisor


@pytest.mark.parametrize(("rate", "there"), [(0.0, False), (0.01, True)])
def test_there_is_a_monitor_while_something_is_sampled(tmp_path, rate, there):
    config = ServerConfig(sample_rate=rate, workers=2)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        supervisor = Supervisor(config, RunDirectory(tmp_path), one, two, print)
    children = {child.name: child for child in (*supervisor._others, *supervisor._workers)}
    assert ("monitor" in children) is there
    assert {"control", "worker-0", "worker-1"} <= children.keys()


@contextmanager
def without_descriptors(pid):
    """The process cannot open anything meanwhile, so it cannot start a child either."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def test_any_signal_and_a_start_that_fails_leave_the_supervisor_at_work(serve):
    server = serve()
    worker = server.children()["worker-0"]
    with without_descriptors(server.process.pid):
        os.kill(worker, signal.SIGRTMIN + 3)
        told = ""
        while "could not be started" not in told:
            told += server.process.stderr.readline()
    server.until(lambda: server.children().get("worker-0") not in {None, worker})
    server.until(lambda: server.status()["converged"])
    assert server.stop() == 0
    assert "worker-0 was killed by SIGRTMIN+3; starting it again" in told
    assert "worker-0 could not be started: [Errno 24] Too many open files" in told
    assert "Traceback" not in told + server.process.stderr.read()


def fill(pid):
    """Fill the pipe that is the standard error of a process."""
    pipe = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x")
    os.close(pipe)


def test_a_log_that_nobody_reads_stops_nobody(serve, load):
    server = serve("--access-log", "--drain-seconds", 1)
    fill(server.process.pid)
    server.kill("worker-0")  # of which the supervisor wants to tell
    server.until(lambda: "worker-0" in server.children())
    server.until(lambda: server.status()["converged"])
    with load(server.url) as running:
        running.wait_for(200)
    assert server.stop() == 0


def test_an_error_of_its_own_and_a_terminal_that_is_gone_do_not_end_it(tmp_path):
    told = []

    def say(text):
        told.append(text)
        raise BrokenPipeError

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        supervisor = Supervisor(ServerConfig(), RunDirectory(tmp_path), one, two, say)
        turns = iter([RuntimeError("a mistake"), None, 0])

        def turn(children):
            outcome = next(turns)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        supervisor._turn = turn
        supervisor._wait = lambda seconds: None
        assert supervisor.run() == 0
    assert told == ["unexpected error in the supervisor, going on: RuntimeError('a mistake')"]


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_has_a_description(number):
    assert describe_exit(-number).startswith("was killed by ")


def test_signals_are_named_where_they_have_a_name():
    assert describe_exit(-signal.SIGKILL) == "was killed by SIGKILL"
    assert describe_exit(-signal.SIGRTMIN - 1) == "was killed by SIGRTMIN+1"
    assert describe_exit(-99) == "was killed by signal 99"
    assert describe_exit(3) == "ended with status 3"
