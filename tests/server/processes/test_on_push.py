"""Who gets the traffic of a new version, and what is said of it: real servers and commands."""

from __future__ import annotations

import json
import shutil

import pytest

from penstock.server.cli.main import main

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"


@pytest.fixture
def registry(tmp_path, examples_registry):
    """A registry of one model with version 1."""
    home = tmp_path / "registry" / MODEL
    home.mkdir(parents=True)
    shutil.copytree(examples_registry / MODEL / "1", home / "1")
    return tmp_path / "registry"


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


@pytest.fixture
def push(capsys, registry, examples_registry, monkeypatch, tmp_path):
    """Publish the next version; gives what the command says of the traffic."""
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path / "run"))

    def one(source):
        capsys.readouterr()
        path = examples_registry / MODEL / str(source) / "model.onnx"
        assert main(["push", str(registry), MODEL, str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return next(line for line in lines if line.startswith("  traffic "))

    return one


def answering(server):
    (model,) = server.status()["models"]
    return model["default"]


def state_of(server, version):
    (model,) = server.status()["models"]
    return {one["version"]: one for one in model["versions"]}.get(version, {}).get("state")


def aliases(server):
    (model,) = server.status()["models"]
    return {name: one["version"] for name, one in model["aliases"].items()}


def test_a_new_version_serves_and_a_rollback_takes_it_back(serve, registry, push, run):
    server = serve(registry=registry, monitor=False)
    assert "takes it as soon as every worker has it ready (on_push = serve" in push(2)
    server.until(lambda: answering(server) == 2)
    status, out, _ = run(server, "rollback", MODEL)
    assert (status, "stable is 1" in out) == (0, True)
    assert answering(server) == 1
    assert "version 1 is stable and stays so until: penstock promote" in push(2)
    server.until(lambda: state_of(server, 3) == "READY")
    assert answering(server) == 1


def test_a_new_version_waits_where_that_is_chosen(serve, registry, push, run):
    server = serve("--on-push", "wait", registry=registry, monitor=False)
    server.until(lambda: aliases(server) == {"stable": 1})
    said = "none by itself: version 1 is stable and stays so until: penstock promote"
    assert said in push(2)
    server.until(lambda: state_of(server, 2) == "READY")
    assert (answering(server), aliases(server)) == (1, {"stable": 1})
    assert run(server, "promote", MODEL, 2)[0] == 0
    assert run(server, "rollback", MODEL)[0] == 0
    assert answering(server) == 1
    records = json.loads(run(server, "history", MODEL, "--json")[1])["records"]
    assert [one["action"] for one in records][:3] == ["rollback", "promote", "promote"]
    assert records[2]["reason"].startswith("the first version of the model")
    shown = run(server, "history", MODEL)[1]
    assert "stable none → 1" in shown
    assert "stable 1 → 2" in shown


def test_the_models_own_choice_wins(serve, registry, push):
    (registry / MODEL / "model.toml").write_text('on_push = "serve"\n')
    server = serve("--on-push", "wait", registry=registry, monitor=False)
    assert "takes it" in push(2)
    server.until(lambda: answering(server) == 2)
    assert aliases(server) == {}


def test_nothing_to_go_back_to_is_said(serve, registry, run):
    server = serve(registry=registry, monitor=False)
    status, _, err = run(server, "rollback", MODEL)
    assert (status, "no version of model 'breast-cancer' to go back to" in err) == (1, True)


def test_a_version_that_fails_is_never_shown_as_the_one_that_answers(serve, registry, run):
    for one in (registry / MODEL).iterdir():
        (one / "model.onnx").write_bytes(b"not a model at all")
    server = serve(registry=registry, monitor=False)
    assert f"{MODEL}  loading version 1" in "".join(server.banner)
    assert "*" not in "".join(server.banner)
    (model,) = server.status()["models"]
    assert model["default"] is None
    shown = run(server, "status")[1]
    assert "default" not in shown
    status, _, err = run(server, "promote", MODEL, 1)
    assert status == 1
    assert "no version is served" in err
    assert "goes on serving" not in err


def test_what_goes_on_serving_is_named(serve, registry, run):
    server = serve(registry=registry, monitor=False)
    server.until(lambda: answering(server) == 1)
    (registry / MODEL / "2").mkdir()
    (registry / MODEL / "2" / "model.onnx").write_bytes(b"not a model at all")
    status, _, err = run(server, "promote", MODEL, 2)
    assert status == 1
    assert "version 1 goes on serving" in err


def test_the_banner_says_what_operators_have_named_stable(serve, registry, push, run):
    server = serve(registry=registry, monitor=False)
    push(2)
    server.until(lambda: answering(server) == 2)
    assert run(server, "promote", MODEL, 1)[0] == 0
    server.stop()
    again = serve(registry=registry, monitor=False)
    assert "loading versions 1, 2; stable is version 1" in "".join(again.banner)


def test_the_canary_of_a_new_version_begins_by_itself_and_is_not_tried_twice(
    serve, registry, push, run, load
):
    (registry / MODEL / "model.toml").write_text(
        'on_push = "canary"\n[rollout]\nsteps = [50, 100]\nhold = 0\nmin_requests = 50\nwatch = 0\n'
    )
    server = serve(registry=registry)
    server.until(lambda: aliases(server) == {"stable": 1})
    assert "its canary begins when every worker has it ready" in push(2)

    def phase():
        (model,) = server.status()["models"]
        return model["rollout"] and (model["rollout"]["candidate"], model["rollout"]["phase"])

    server.until(lambda: phase() == (2, "progressing"))
    with load(server.url):
        server.until(lambda: aliases(server) == {"stable": 2})
    push(1)
    server.until(lambda: phase() == (3, "progressing"))
    assert run(server, "canary", "abort", MODEL, "--reason", "no")[0] == 0
    assert run(server, "unload", MODEL, 3)[0] == 0
    assert run(server, "load", MODEL, 3)[0] == 0
    push(2)
    server.until(lambda: phase() == (4, "progressing"))
    records = json.loads(run(server, "history", MODEL, "--json")[1])["records"]
    begun = [one for one in records if one["action"] == "rollout.start"]
    assert [one["evidence"]["version"] for one in begun] == [4, 3, 2]
    assert {one["reason"] for one in begun} == {"on_push = canary"}
