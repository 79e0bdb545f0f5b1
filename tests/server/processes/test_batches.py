"""Batch jobs of a running server: asked for on the admin port, killed, cancelled, refused.

The commands are those of ``docs/batch.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from penstock.loadtests.processes import arguments_of

from .conftest import wait_gone

pytestmark = pytest.mark.slow

#: More than two parts of a job.
ROWS = 150_000
TOKENS = {"pam": "predict", "olga": "observe", "otto": "operate"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory, onnx_file):
    root = tmp_path_factory.mktemp("registry")
    for version, operation in ((1, "Add"), (2, "Mul")):
        onnx_file(
            root / "sum" / str(version) / "model.onnx", [(operation, ["a", "b"], ["sum"])],
            [(name, "FLOAT", ["n", 1]) for name in "ab"], [("sum", "FLOAT", ["n", 1])],
        )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def rows():
    """The input, and the output of version 1."""
    pairs = np.random.default_rng(5).integers(-999, 999, (ROWS, 2))
    lines = "\n".join(f"{at},{a},{b}" for at, (a, b) in enumerate(pairs.tolist()))
    sums = "\n".join(f"{at},{a + b}.0," for at, (a, b) in enumerate(pairs.tolist()))
    return SimpleNamespace(source=f"id,a,b\n{lines}\n", expected=f"id,sum,error\n{sums}\n")


@pytest.fixture(scope="module")
def places(tmp_path_factory, rows):
    """The directory of files, and the tokens of others."""
    place = tmp_path_factory.mktemp("batches")
    root = place / "root"
    (root / "deep").mkdir(parents=True)
    (root / "in.csv").write_text(rows.source)
    (root / "few.csv").write_text("id,a,b\n1,2,3\n2,x,3\n")
    (place / "secret.csv").write_text("a,b\n1,2\n")
    (root / "link.csv").symlink_to(place / "secret.csv")
    (root / "out-of-here").symlink_to(place)
    tokens = place / "tokens.toml"
    tokens.write_text(
        "".join(
            f'[[token]]\nname = "{name}"\nscopes = ["{scope}"]\n'
            f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
            for name, scope in TOKENS.items()
        )
    )
    return SimpleNamespace(root=root, tokens=tokens)


@pytest.fixture(scope="module")
def server(serve_all, registry, places):
    options = ("--batch-root", places.root, "--tokens-file", places.tokens)
    return Batches(serve_all(*options, registry=registry, monitor=False))


class Batches:
    """The batch endpoints of a server."""

    def __init__(self, server):
        self.server = server

    def ask(self, method, path="", body=None, token=None):
        client = self.server.client()
        client.close()
        client = type(client)(self.server.admin_url)
        sent = None if body is None else json.dumps(body).encode()
        try:
            status, content = client.request(
                method, f"/v1/batches{path}", sent, token or self.server.token
            )
        finally:
            client.close()
        return status, content

    def start(self, output, source="in.csv", **more):
        body = {"model": "sum", "version": 1, "input": source, "output": output, "keys": ["id"]}
        status, content = self.ask("POST", body={**body, **more})
        assert status == 200, content
        return json.loads(content)["id"]

    def show(self, batch):
        status, content = self.ask("GET", f"/{batch}")
        assert status == 200, content
        return json.loads(content)

    def until(self, batch, *states):
        self.server.until(lambda: self.show(batch)["state"] in states)
        return self.show(batch)

    def until_rows(self, batch):
        self.server.until(lambda: self.show(batch)["rows"] > 0)

    def process(self):
        """The process of the job that runs, as soon as there is one."""
        control = self.server.children()["control"]
        found = []

        def look():
            for task in Path(f"/proc/{control}/task").glob("*/children"):
                found.extend(
                    int(one)
                    for one in task.read_text().split()
                    if b"penstock.server.batch_queue.child:serve" in arguments_of(one)
                )
            return bool(found)

        self.server.until(look)
        return found[0]

    def audit(self, batch):
        (path,) = (self.server.state_dir / "audit").glob("audit-*.jsonl")
        lines = path.read_text().splitlines()
        found = [json.loads(line) for line in lines if batch in line]
        return [(one["action"], one["actor"], one["reason"]) for one in found]


def left(root):
    """What is left of the work of jobs."""
    return [one.name for one in root.rglob(".*")]


def test_a_server_that_is_killed_goes_on_with_what_ran_and_what_waited(
    serve, registry, places, rows
):
    options = {"registry": registry, "monitor": False}
    before = Batches(serve("--batch-root", places.root, **options))
    ran, waited = before.start("killed.csv"), before.start("waited.csv")
    before.until_rows(ran)
    before.server.kill("control")  # first the process that runs the queue alone
    before.server.until(lambda: before.ask("GET")[0] == 200)
    assert before.show(ran)["rows"] > 0
    children = list(before.server.children().values())
    before.server.process.kill()
    wait_gone([before.server.process.pid, *children])

    after = Batches(serve("--batch-root", places.root, **options))
    for batch, output in ((ran, "killed.csv"), (waited, "waited.csv")):
        done = after.until(batch, "done", "failed")
        assert (done["state"], done["rows"], done["failed"]) == ("done", ROWS, 0), done
        assert (done["answered_by"], done["total"]) == ("1", ROWS)
        assert (places.root / output).read_text() == rows.expected
    assert left(places.root) == []
    assert [action for action, _, _ in after.audit(ran)] == ["batch.start", "batch.done"]


def test_a_job_that_is_cancelled_leaves_nothing_and_is_on_record(server, places):
    ran = server.start("cancelled.csv", reason="for the report", by="ann")
    waits = server.start("deep/cancelled.csv")
    pid = server.process()
    server.server.until(lambda: left(places.root) == [".cancelled.csv.batch"])
    for batch in (waits, ran):
        status, _ = server.ask("DELETE", f"/{batch}", {"reason": "wrong file"}, "otto")
        assert status == 200
    wait_gone([pid])
    server.server.until(lambda: left(places.root) == [])
    assert server.show(ran)["state"] == server.show(waits)["state"] == "cancelled"
    assert not (places.root / "cancelled.csv").exists()
    assert server.audit(ran) == [
        ("batch.start", "admin/ann", "for the report"),
        ("batch.cancel", "otto", "wrong file"),
    ]
    assert server.ask("DELETE", f"/{ran}")[0] == 409
    assert server.ask("GET", f"/{ran}/output")[0] == 409


def test_a_job_goes_on_when_a_full_disk_has_room_again(server, places, rows):
    batch = server.start("full.csv")
    pid = server.process()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    server.server.until(lambda: server.show(batch)["error"])
    broken = server.show(batch)
    assert broken["error"] == "a file of the job: File too large"
    assert broken["state"] in {"queued", "running"}
    done = server.until(batch, "done", "failed")
    assert (done["state"], done["rows"], done["error"]) == ("done", ROWS, "")
    assert (places.root / "full.csv").read_text() == rows.expected


def test_a_process_that_dies_over_a_job_is_started_again(server, places, rows):
    batch = server.start("died.csv")
    os.kill(server.process(), signal.SIGKILL)
    server.server.until(lambda: server.show(batch)["error"])
    assert server.show(batch)["error"].startswith("the process of the job ")
    assert server.until(batch, "done", "failed")["rows"] == ROWS
    assert (places.root / "died.csv").read_text() == rows.expected


def test_rows_fail_singly_and_what_is_done_is_shown_and_handed_out(server, run, tmp_path):
    where = server.server
    status, said, told = run(
        where, "batches", "start", "sum", "few.csv", "-o", "few-out.csv", "--version", "1",
        "--key", "id", "--reason", "a try", "--json",
    )  # fmt: skip
    assert status == 0, told
    batch = json.loads(said)["id"]
    done = server.until(batch, "done", "failed")
    assert (done["state"], done["rows"], done["failed"]) == ("done", 2, 1)
    assert run(where, "batches", "fetch", batch, "-o", tmp_path / "got.csv")[0] == 0
    first, second = (tmp_path / "got.csv").read_text().splitlines()[1:]
    assert first == "1,5.0,"
    assert second.startswith("2,,")
    assert "row 1" in second
    assert batch in run(where, "batches", "--state", "done")[1]
    assert json.loads(run(where, "batches", "show", batch, "--json")[1]) == done
    status, _, told = run(where, "batches", "cancel", batch)
    assert (status, "has ended: done" in told) == (1, True)
    status, _, told = run(where, "batches", "start", "sum", "few.csv", "-o", "few-out.csv")
    assert (status, "say replace" in told) == (1, True)
    again = server.start("few-out.csv", "few.csv", replace=True)
    assert server.until(again, "done", "failed")["state"] == "done"
    status, said = server.ask("GET", f"/{batch}/output")
    assert (status, again in json.loads(said)["error"]) == (409, True)
    metrics = where.metrics()
    assert metrics['penstock_batch_jobs{state="done"}'] >= 1
    assert metrics['penstock_batch_job_rows_total{model="sum",result="failed"}'] == 2


def test_a_job_that_cannot_be_done_fails_at_once_in_one_line(server):
    batch = server.start("never.csv", keys=["nobody"])
    failed = server.until(batch, "failed")
    assert failed["error"] == "the input has no column 'nobody', which --key names"
    assert server.audit(batch)[1] == ("batch.failed", "batches", failed["error"])


GOOD = {"model": "sum", "input": "few.csv", "output": "no.csv"}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "none"}, 404, "no model"),
        ({"version": 9}, 404, "version 9"),
        ({"version": "champion"}, 404, "no alias 'champion'"),
        ({"version": 0}, 400, "not a version"),
        ({"input": "few.txt"}, 400, "must end in one of"),
        ({"output": "no.txt"}, 400, "must end in one of"),
        ({"input": ""}, 400, "input is missing"),
        ({"output": 7}, 400, "output is missing"),
        ({"keys": "id"}, 400, "list"),
        ({"replace": 1}, 400, "true or false"),
        ({"rows": 3}, 400, "unknown key"),
        ({"output": "few.csv"}, 400, "replace the input"),
        ({"input": "gone.csv"}, 400, "is missing"),
        ({"output": "gone/no.csv"}, 400, "no directory"),
        ({"input": "../secret.csv"}, 400, "leads upwards"),
        ({"input": "/etc/hosts.csv"}, 400, "is absolute"),
        ({"input": "link.csv"}, 400, "symbolic link"),
        ({"input": "out-of-here/secret.csv"}, 400, "not every folder"),
        ({"output": "../no.csv"}, 400, "leads upwards"),
        ({"output": "out-of-here/no.csv"}, 400, "link is not followed"),
        ({"output": "link.csv"}, 400, "no regular file"),
        ({"output": ".no.csv"}, 400, "hidden"),
    ],
)
def test_a_job_that_makes_no_sense_or_leads_out_of_the_root_is_refused(
    server, places, change, status, says
):
    got, content = server.ask("POST", body={**GOOD, **change})
    assert got == status, content
    assert says in json.loads(content)["error"]
    assert not (places.root / "no.csv").exists()


def test_each_endpoint_asks_for_its_scope(server):
    for name in ("pam", "olga"):
        assert server.ask("POST", body=GOOD, token=name)[0] == 403
        assert server.ask("DELETE", "/0123456789abcdef", token=name)[0] == 403
        assert server.ask("GET", "/0123456789abcdef/output", token=name)[0] == 403
    assert server.ask("GET", token="pam")[0] == 403
    assert server.ask("GET", token="olga")[0] == 200
    assert server.ask("GET", "/0123456789abcdef", token="olga")[0] == 404
    described = json.loads(server.server.once(server.server.admin_url, "/openapi.json")[1])
    assert set(described["paths"]["/v1/batches"]) == {"get", "post"}
    assert set(described["paths"]["/v1/batches/{batch}"]) == {"get", "delete"}


def test_without_a_root_there_are_no_jobs(serve, registry):
    batches = Batches(serve(registry=registry, monitor=False))
    status, content = batches.ask("POST", body=GOOD)
    assert (status, "batch_root" in json.loads(content)["error"]) == (409, True)
    assert json.loads(batches.ask("GET")[1]) == {"batches": [], "more": False}
