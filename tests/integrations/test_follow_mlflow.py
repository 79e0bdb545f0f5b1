"""An alias of a real MLflow server, from the moment that it moves to the answer of its version.

The configuration and the commands are those of docs/mlflow.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.server.config.store_url import parse_store_url
from penstock.server.store.index_reader import read_index
from penstock.server.store.object_store import open_store


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


followed, stores = load("followed"), load("object_stores")
MODEL = followed.MODEL
until, answering, model_of = followed.until, followed.answering, followed.model_of
ask, status = followed.ask, followed.status


def test_the_version_of_the_alias_answers_with_all_that_mlflow_knows(follow, mlflow, tmp_path):
    mlflow.point(1)
    with follow() as server:
        until(lambda: answering(server) == 1)
        mlflow.point(2)
        until(lambda: answering(server) == 2)
        mlflow.point(3)
        until(lambda: answering(server) == 3)
        mlflow.point(1)  # back to what is here already
        until(lambda: answering(server) == 1)
        mlflow.point(3)
        until(lambda: answering(server) == 3)
        mlflow.point(4)  # a new one, after a version was named stable
        until(lambda: answering(server) == 4)
        history = ask(server, "GET", f"/admin/models/{MODEL}/history")["records"]
    assert [one["actor"] for one in history if one["action"] == "promote"] == 3 * ["mlflow"]
    place = tmp_path / "registry" / MODEL / "2"
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["metadata"]["mlflow.version"] == "2"
    assert manifest["run"]["commit"] == "3f2c1aa"
    assert manifest["run"]["params"] == {"learning_rate": "0.2"}
    assert manifest["metrics"] == {"auc": 0.9}
    assert json.loads((place / "examples.json").read_text())


def test_a_webhook_of_mlflow_has_the_alias_looked_at_and_a_forged_one_is_refused(
    follow, mlflow, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("a-long-secret-of-both\n")
    mlflow.point(1)
    with follow(poll_seconds=3600, webhook_secret_file=str(secret)) as server:
        until(lambda: answering(server) == 1)
        url = f"{server.admin_url}/admin/webhooks/mlflow/{MODEL}"
        hook = mlflow.client.create_webhook(
            "penstock", url, ["model_version_alias.created"], secret="a-long-secret-of-both"
        )
        try:
            mlflow.point(2)
            until(lambda: answering(server) == 2)
        finally:
            mlflow.client.delete_webhook(hook.webhook_id)
        forged = urllib.request.Request(url, b"{}", {"x-mlflow-signature": "v1,AAAA"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(forged, timeout=30)


def test_a_version_that_fails_a_gate_never_answers(follow, mlflow):
    mlflow.point(1)
    with follow('[gates]\ncard = ["owner"]\n') as server:
        told = "gate card: failed: owner not given"
        until(lambda: any(told in one["reason"] for one in status(server)["problems"]))
        assert answering(server) is None


def test_an_aborted_rollout_sets_the_alias_back(follow, mlflow):
    mlflow.point(1)
    toml = 'on_push = "canary"\n[rollout]\nsteps = [10, 100]\nhold = "1h"\n'
    with follow(toml, restore_alias=True) as server:
        until(lambda: answering(server) == 1)
        mlflow.point(2)
        until(lambda: (model_of(server).get("rollout") or {}).get("phase") == "progressing")
        ask(server, "POST", f"/admin/models/{MODEL}/rollout/abort", {"reason": "worse"})
        until(lambda: mlflow.pointed() == "1")
        assert answering(server) == 1


def test_without_mlflow_the_server_starts_and_says_since_when(follow, mlflow, tmp_path):
    mlflow.point(1)
    with follow() as server:
        until(lambda: answering(server) == 1)
    with follow(uri="http://127.0.0.1:9") as server:
        assert until(lambda: answering(server)) == 1
        found = until(
            lambda: [one for one in status(server)["problems"] if "mlflow" in one["path"]]
        )
        assert found[0]["reason"].startswith("since 20")
        shutil.rmtree(tmp_path / "registry" / MODEL / "1")
        assert answering(server) == 1


def push(*arguments, **environ):
    command = [sys.executable, "-m", "penstock.server.cli.main", "push", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | environ
    )


def test_a_version_is_pushed_by_hand_once_with_all_that_mlflow_knows(mlflow, tmp_path):
    mlflow.point(2, "by-hand")
    registry, environ = tmp_path / "registry", {"MLFLOW_TRACKING_URI": mlflow.uri}
    done = push(registry, f"models:/{MODEL}@by-hand", "--metric", "auc=0.95", "--json", **environ)
    told = json.loads(done.stdout)
    assert (told["version"], told["new"], told["golden"]) == (1, True, True), done.stderr
    manifest = json.loads((registry / MODEL / "1" / "manifest.json").read_text())
    assert manifest["metadata"]["mlflow.version"] == "2"
    assert manifest["run"]["params"] == {"learning_rate": "0.2"}
    assert manifest["metrics"] == {"auc": 0.95}, "an option comes first"
    again = push(registry, f"models:/{MODEL}/2", "--json", **environ)
    assert json.loads(again.stdout)["new"] is False
    assert sorted(one.name for one in (registry / MODEL).iterdir()) == ["1"]
    other = push(registry, "other", f"models:/{MODEL}/3", "--tracking-uri", mlflow.uri)
    assert other.stdout.startswith("other version 1\n")
    for address, why in ((f"{MODEL}@nobody", "alias 'nobody'"), (f"{MODEL}/99", "not found")):
        refused = push(registry, f"models:/{address}", **environ)
        (line,) = refused.stderr.splitlines()
        assert refused.returncode == 1
        assert why in line


def test_two_servers_follow_an_alias_into_the_store_that_they_share(
    mlflow, serve, tmp_path, monkeypatch
):
    mlflow.point(1, "shared")
    config = tmp_path / "penstock.toml"
    config.write_text(
        f'[follow.mlflow]\nuri = "{mlflow.uri}"\nmodel = "{MODEL}"\nalias = "shared"\n'
        "poll_seconds = 0.5\n"
    )
    with stores.moto(tmp_path) as (url, environment, endpoint), ExitStack() as stack:
        environ = environment(endpoint)
        options = ("--store-poll-seconds", "0.5", "--config", config)
        servers = [
            stack.enter_context(serve(url, tmp_path / name, *options, **environ)) for name in "ab"
        ]
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        store = open_store(parse_store_url(url))

        def known():
            """Version of MLflow -> version in the store; a push that came second leaves a gap."""
            versions = read_index(store)[0].of(MODEL)
            sources = [one.source.partition("@")[0] for one in versions.values()]
            assert len(set(sources)) == len(sources), "none is published twice"
            return dict(zip(sources, versions, strict=True))

        for version in (1, 2):
            mlflow.point(version, "shared")
            for server in servers:
                until(
                    lambda server=server, name=f"{MODEL}/{version}": (
                        (answer := answering(server)) is not None and answer == known().get(name)
                    )
                )
        assert set(known()) == {f"{MODEL}/1", f"{MODEL}/2"}
        by_hand = push(url, f"models:/{MODEL}/2", "--tracking-uri", mlflow.uri, "--json", **environ)
        told = json.loads(by_hand.stdout)
        assert (told["version"], told["new"]) == (known()[f"{MODEL}/2"], False)
