"""Real servers: started as a user starts them, found by what they print."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from penstock.loadtests.processes import arguments_of
from penstock.server.cli.main import main
from penstock.server.processes.process_watch import waited_seconds

REGISTRY = Path(__file__).parents[3] / "examples" / "registry"
BODY = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [[0.5] * 30]}]}
).encode()


#: Of a client of `Load`, between an answer and its next request.
_BETWEEN_SECONDS = 0.005
#: Of `until`, between two looks.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1


class Client:
    """One keep-alive connection."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)

    def get(self, path, token=""):
        return self.request("GET", path, token=token)

    def predict(self):
        return self.request("POST", "/v2/models/breast-cancer/infer", BODY)

    def request(self, method, path, body=None, token=""):
        headers = {"content-type": "application/json"} if body else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return response.status, response.read()

    def close(self):
        self.connection.close()


class Browser:
    """What a browser does of it: cookies, forms, and no redirects by itself."""

    def __init__(self, url):
        self.url = url
        self.cookie = ""

    def ask(self, method, path, body=None, **headers):
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=90)
        try:
            sent = {"cookie": self.cookie, **headers} if self.cookie else headers
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            set_cookie = answer.getheader("set-cookie")
            if set_cookie is not None:
                assert "HttpOnly" in set_cookie
                assert "SameSite=strict" in set_cookie
                self.cookie = set_cookie.partition(";")[0]
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()
        finally:
            connection.close()

    def send(self, path, **fields):
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(fields), **{"content-type": kind})

    def log_in(self, token):
        status, headers, _ = self.send("/console/login", token=token)
        assert (status, headers["location"]) == (303, "/console/")

    def csrf(self, path):
        return re.search(r'name="csrf" value="([^"]+)"', self.ask("GET", path)[2])[1]

    def notice(self, path):
        return re.search(r'role="status">([^<]*)<', self.ask("GET", path)[2])[1]


class Server:
    """A running ``penstock serve``."""

    def __init__(self, process):
        self.process = process
        self.token, self.registry, self.run_dir, self.state_dir = "", None, None, None
        self.banner = []
        for line in process.stdout:
            self.banner.append(line)
            if line.startswith("  workers "):
                break
        text = "".join(self.banner)
        assert "workers" in text, process.stderr.read()
        self.url = re.search(r"docs +(\S+)/docs", text)[1]
        self.admin_url = re.search(r"metrics +(\S+)/metrics", text)[1]

    def client(self):
        """A connection to the prediction port."""
        return Client(self.url)

    def once(self, url, path):
        client = Client(url)
        try:
            return client.get(path, self.token)
        finally:
            client.close()

    def ask(self, model, body):
        """The status of one prediction; 0 if the connection broke or nobody answers."""
        client = Client(self.url)
        try:
            return client.request("POST", f"/v2/models/{model}/infer", body)[0]
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            client.close()

    def command(self, path):
        """The status of a command on the admin port."""
        client = Client(self.admin_url)
        try:
            return client.request("POST", path, b"{}", self.token)[0]
        finally:
            client.close()

    def browser(self):
        """A visitor of the console who has not logged in."""
        return Browser(self.admin_url)

    def status(self):
        return json.loads(self.once(self.admin_url, "/admin/status")[1])

    def metrics(self):
        """Family and labels -> value, as text of the exposition has them."""
        _, body = self.once(self.admin_url, "/metrics")
        lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (one.rpartition(" ") for one in lines)}

    def answered(self, status=200):
        return sum(
            value
            for name, value in self.metrics().items()
            if name.startswith("penstock_requests_total") and f'status="{status}"' in name
        )

    def children(self):
        """Name -> process id."""
        pid = self.process.pid
        found = {}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            arguments = []
            with suppress(OSError):  # gone since it was listed
                arguments = arguments_of(child)
            if b"-m" in arguments:
                found[arguments[arguments.index(b"-m") + 2].decode()] = int(child)
        return found

    def kill(self, name):
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        wait_gone([pid])
        return pid

    @staticmethod
    def until(condition, seconds=120.0):
        return until(condition, seconds)

    @staticmethod
    def wait_gone(pids, seconds):
        wait_gone(list(pids), seconds)

    def stopwatch(self):
        """Begun now; see `Stopwatch`."""
        return Stopwatch([self.process.pid, *self.children().values()])

    def stop(self, watch=None):
        """Its exit status."""
        self.process.terminate()
        until(lambda: self.process.poll() is not None, watch=watch)
        return self.process.returncode


class Stopwatch:
    """Seconds that something takes, less those in which processes waited for a processor.

    So a promise about time can be held to beside others that are busy: what a process waits for a
    processor is not its doing, and what it waits for anything else counts.

    Args:
        pids: Whose waiting does not count; that of this process does not either.
    """

    def __init__(self, pids):
        self._began = time.monotonic()
        self._before = {pid: waited_seconds(pid) for pid in (*pids, os.getpid())}
        self._waited = dict(self._before)

    def look(self):
        """What a process has waited is not known when it is gone: look while they run."""
        for pid, known in self._waited.items():
            self._waited[pid] = max(known, waited_seconds(pid))

    @property
    def seconds(self):
        self.look()
        waited = sum(self._waited.values()) - sum(self._before.values())
        return time.monotonic() - self._began - waited


class Load:
    """Clients that predict all the time, each on its own connection.

    They leave the processes that a test waits for most of the machine.
    """

    def __init__(self, url, connections=4):
        self.url = url
        self.statuses = []
        self.broken = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, count):
        target = len(self.statuses) + count
        until(lambda: len(self.statuses) >= target)

    def _run(self):
        client = Client(self.url)
        while not self._over.wait(_BETWEEN_SECONDS):
            try:
                self.statuses.append(client.predict()[0])
            except (OSError, http.client.HTTPException):
                self.broken += 1
                client.close()
        client.close()


def until(condition, seconds=120.0, watch=None):
    """Wait until it holds; returns the seconds that took, by the watch.

    Most conditions ask a server, which costs it milliseconds: so what is long in coming is asked
    for ever more rarely.
    """
    watch = watch or Stopwatch([])
    pause = _SHORTEST_PAUSE
    while not condition():
        assert watch.seconds < seconds, "it never came true"
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)
    return watch.seconds


def wait_gone(pids, seconds=60.0):
    def gone(pid):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state in "ZX"

    until(lambda: all(map(gone, pids)), seconds, Stopwatch(pids))


@contextmanager
def _commands():
    running = []
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environ.pop("PORT", None)
    # With other tests beside it there may be no time that nobody else wants.
    environ["PENSTOCK_MONITOR_PRIORITY"] = environ["PENSTOCK_BATCH_PRIORITY"] = "low"

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.server.cli.main", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def command():
    """Start ``penstock`` with these arguments; what still runs at the end is killed."""
    with _commands() as start:
        yield start


@pytest.fixture
def serve(command, tmp_path):
    """Start a server and wait until it is ready; see `_serve`."""
    return partial(_serve, command, tmp_path)


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """As `serve`, for the tests of a file together: most of a small test is the start."""
    with _commands() as command:

        def start(*options, **settings):
            return _serve(command, tmp_path_factory.mktemp("server"), *options, **settings)

        yield start


def _serve(start, place, *options, registry=REGISTRY, wait=True, monitor=True):
    """A server whose run and state directories are in `place`.

    A trial costs a second for each start: the tests about loads ask for it. A monitor takes a fifth
    of a start: tests that are not about samples go without one.
    """
    ports = ("--port", 0, "--admin-port", 0, "--run-dir", place / "run")
    ports += ("--state-dir", place / "state")
    ports += ("--settle-seconds", 0)  # nobody is still writing into the registry
    ports += ("--load-trials", "false")
    ports += () if monitor else ("--sample-rate", 0)
    server = Server(start("serve", registry, *ports, *options))
    server.registry, server.run_dir, server.state_dir = registry, place / "run", place / "state"
    server.token = (server.state_dir / "admin-token").read_text().strip()
    if wait:
        until(lambda: server.once(server.admin_url, "/v2/health/ready")[0] == 200)
        until(lambda: server.status()["converged"])
    return server


@contextmanager
def _load(url, connections=4):
    with Load(url, connections) as load:
        yield load


@pytest.fixture
def load():
    """``with load(url) as running:`` sends predictions until the end of the block."""
    return _load


@pytest.fixture
def client():
    """``client(url)`` is one keep-alive connection."""
    return Client


@pytest.fixture
def run(capsys):
    """A command against this server: exit status, standard output, standard error."""

    def one(server, *arguments):
        capsys.readouterr()
        where = ["--admin-url", server.admin_url, "--token", server.token]
        status = main([*map(str, arguments), *where])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return one
