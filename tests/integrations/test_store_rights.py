"""What a real store refuses is one line with cause and mend, and no secret is written anywhere."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "registry" / "breast-cancer" / "1"
URL = "s3://models/registry"
spec = importlib.util.spec_from_file_location(
    "object_stores", Path(__file__).with_name("object_stores.py")
)
stores = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stores)


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with stores.moto_with_users(tmp_path_factory.mktemp("moto")) as (endpoint, keys):
        yield endpoint, keys


def environment(endpoint, key, secret):
    return {
        **stores.s3_environment(endpoint),
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }


def push(url=URL, **environ):
    return stores.penstock("push", url, "bc", EXAMPLE / "model.onnx", "--no-load", **environ)


@pytest.fixture(scope="module")
def pushed(moto):
    """A version that a user with all rights has published."""
    endpoint, keys = moto
    done = push(**environment(endpoint, *keys["all"]))
    assert done.returncode == 0, done.stderr
    return moto


@pytest.mark.parametrize(
    ("user", "cause", "mend"),
    [
        ("unknown", "the credentials are refused (InvalidAccessKeyId)", "set AWS_ACCESS_KEY_ID"),
        ("wrong", "the credentials are refused (SignatureDoesNotMatch)", "AWS_SECRET_ACCESS_KEY"),
        ("reader", "these credentials may not write there", "grant s3:PutObject"),
        ("blind", "these credentials may not list there", "grant s3:ListBucket"),
        ("nobody", "these credentials may not read there", "grant s3:GetObject"),
    ],
)
def test_a_push_with_too_few_rights_is_told_in_one_line(pushed, user, cause, mend):
    endpoint, keys = pushed
    used = {"unknown": ["AKIAUNKNOWN", "hunter2hunter2"], "wrong": [keys["all"][0], "hunter2"]}
    key, secret = {**keys, **used}[user]
    done = push(**environment(endpoint, key, secret))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert cause in line
    assert mend in line
    assert secret not in done.stdout + done.stderr


def test_a_bucket_that_is_not_there_is_told_in_one_line(pushed):
    endpoint, keys = pushed
    done = push("s3://elsewhere/registry", **environment(endpoint, *keys["all"]))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "there is no bucket elsewhere; check its name, the region and the endpoint" in line


def status(server):
    with urllib.request.urlopen(f"{server.admin_url}/admin/status", timeout=30) as answer:
        return answer.read().decode()


def test_a_store_that_fails_is_told_by_the_status_and_no_secret_is_written_anywhere(
    pushed, serve, tmp_path
):
    endpoint, keys = pushed
    key, secret = keys["reader"]
    environ = environment(endpoint, key, secret)
    with stores.FaultyProxy(endpoint, 0.0, 1) as proxy:
        environ["AWS_ENDPOINT_URL"] = proxy.url
        options = ("--store-poll-seconds", "0.5")
        with serve(URL, tmp_path / "state", *options, **environ) as server:
            server.wait()
            proxy.share = 1.0
            end = time.monotonic() + 240
            while URL not in [one["path"] for one in json.loads(status(server))["problems"]]:
                assert time.monotonic() < end
                time.sleep(0.1)
            told = status(server)
    written = [told, (tmp_path / "state.log").read_text()]
    files = [one for one in (tmp_path / "state").rglob("*") if one.is_file()]
    assert any(one.parent.name == "audit" for one in files)
    written += [one.read_bytes().decode(errors="replace") for one in files]
    assert not [one for one in written if secret in one]


def test_a_registry_in_google_cloud_storage_is_listed_read_and_served(serve, tmp_path):
    registry = tmp_path / "directory"
    made = stores.penstock("push", registry, "bc", EXAMPLE / "model.onnx", "--no-load")
    assert made.returncode == 0
    for hidden in registry.glob("**/.*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    with stores.fake_gcs(tmp_path, registry) as (url, environ):
        options = ("--store-poll-seconds", "1")
        with serve(url, tmp_path / "state", *options, **environ) as server:
            server.wait()
            assert "bc" in status(server)
