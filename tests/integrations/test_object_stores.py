"""Registries in object stores of other projects: moto's S3, rclone's S3, Microsoft's Azurite."""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
import threading
from pathlib import Path

import pytest

from penstock.server.config.store_url import parse_store_url
from penstock.server.store.object_store import open_store
from penstock.server.store.replica import Replica

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples" / "registry" / "breast-cancer" / "1" / "model.onnx"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


stores = load(Path(__file__).with_name("object_stores.py"))
publishes = load(ROOT / "tests" / "server" / "store" / "publishes.py")
bucket = load(ROOT / "tests" / "server" / "store" / "bucket.py")


@pytest.mark.parametrize("store", ["moto", "azurite"])
def test_publishes_beside_readers_are_whole_and_kept_while_one_in_twenty_requests_fails(
    store, tmp_path, monkeypatch, record_property
):
    opened = getattr(stores, store)(tmp_path)
    with opened as (url, environment, endpoint), stores.FaultyProxy(endpoint, 0.05, 1) as proxy:
        for name, value in environment(proxy.url).items():
            monkeypatch.setenv(name, value)

        def client():
            return open_store(parse_store_url(url))

        run = publishes.Run(client, tmp_path, count=30, seed=5, poll_seconds=1.0)
        outcome = run.run()
        proxy.share = 0.0
        outcome.check(client())
        assert len(outcome.published) >= 20
        delays = outcome.delays()
        record_property("seconds until shown, at most", delays[-1])
        replica = Replica(client(), tmp_path / "idle")
        replica.poll()
        before = proxy.requests
        assert not any(replica.poll() for _ in range(5))
        assert proxy.requests - before == 10


def test_a_thousand_publishes_are_whole_and_kept(tmp_path, monkeypatch, record_property):
    made, chance, pause = bucket.Bucket(), random.Random(1), threading.Event()

    def fault(_method, _path):
        drawn = chance.random()
        if drawn < 0.01:
            pause.wait(0.2)
        return ("", "error", "error", "cut", "lost")[int(drawn * 100)] if drawn < 0.05 else ""

    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)

    def client():
        return open_store(parse_store_url("s3://models/registry"))

    try:
        made.faults = fault
        outcome = publishes.Run(client, tmp_path, count=1000, seed=2, poll_seconds=1.0).run()
        made.faults = lambda *_: ""
        outcome.check(client())
    finally:
        made.close()
    assert len(outcome.published) + outcome.killed + outcome.failed == 1000
    assert outcome.failed <= 5
    delays = outcome.delays()
    record_property("seconds until shown, 99 %", delays[-len(delays) // 100])


def test_the_command_line_publishes_to_each_store_and_a_server_serves_from_it(tmp_path, serve):
    with stores.moto(tmp_path) as (url, environment, endpoint):
        environ = environment(endpoint)
        assert stores.penstock("push", url, "bc", MODEL, "--no-load", **environ).returncode == 0
        with serve(url, tmp_path / "state", "--store-poll-seconds", "1", **environ) as server:
            server.wait()
    with stores.azurite(tmp_path) as (url, environment, endpoint):
        environ = environment(endpoint)
        assert stores.penstock("push", url, "bc", MODEL, "--no-load", **environ).returncode == 0
        told = stores.penstock(
            "doctor", url, PENSTOCK_STATE_DIR=str(tmp_path / "doctor"), **environ
        )
        assert f"{url} has 1 models" in told.stdout
        wrong = {**environ, "AZURE_STORAGE_ACCOUNT_KEY": "A" * 86 + "=="}
        refused = stores.penstock("push", url, "bc", MODEL, "--no-load", **wrong)
        assert refused.returncode == 1
        assert "these credentials may not read there (AuthorizationFailure)" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_store_without_conditions_is_read_and_not_written(tmp_path, serve):
    with stores.rclone(tmp_path) as (url, environment, endpoint):
        environ = environment(endpoint)
        for name in ("a", "b", "c", "d", "e"):  # rclone may stall at an object just written
            refused = stores.penstock("push", url, name, MODEL, "--no-load", **environ)
            assert refused.returncode == 1
            if "does not answer in time" not in refused.stderr:
                break
        assert "takes no notice of If-None-Match" in refused.stderr
        directory = tmp_path / "directory"
        assert stores.penstock("push", directory, "bc", MODEL, "--no-load").returncode == 0
        shutil.rmtree(tmp_path / "buckets" / "models")
        shutil.copytree(
            directory, tmp_path / "buckets" / "models" / "registry",
            ignore=shutil.ignore_patterns(".*"),
        )  # fmt: skip
        with serve(url, tmp_path / "state", "--store-poll-seconds", "1", **environ) as server:
            server.wait()
        wrong = {**environ, "AWS_ACCESS_KEY_ID": "AKIAOTHER"}
        told = stores.penstock("doctor", url, PENSTOCK_STATE_DIR=str(tmp_path / "doctor"), **wrong)
        assert "the credentials are refused (InvalidAccessKeyId)" in told.stdout
        assert "top-secret-key" not in told.stdout + told.stderr
