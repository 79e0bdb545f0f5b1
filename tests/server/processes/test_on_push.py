"""Who gets the traffic of a new version, and what is said of it: real servers and commands."""

from __future__ import annotations

import json
import shutil

import pytest

from penstock.server.cli.main import main

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"


def filled(registry, examples, *models):
    """A registry of these models with version 1."""
    for name in models:
        shutil.copytree(examples / MODEL / "1", registry / name / "1")
    return registry


@pytest.fixture
def registry(tmp_path, examples_registry):
    return filled(tmp_path / "registry", examples_registry, MODEL)


@pytest.fixture(scope="module")
def serving(serve_all, examples_registry, tmp_path_factory):
    """A server with a model for each of some tests."""
    models = ("pushed", "alone", "broken")
    registry = filled(tmp_path_factory.mktemp("serving") / "registry", examples_registry, *models)
    return serve_all(registry=registry, monitor=False)


@pytest.fixture(scope="module")
def waiting(serve_all, examples_registry, tmp_path_factory):
    """The same where new versions wait, but those of one model."""
    registry = tmp_path_factory.mktemp("waiting") / "registry"
    filled(registry, examples_registry, "waits", "chooses")
    (registry / "chooses" / "model.toml").write_text('on_push = "serve"\n')
    return serve_all("--on-push", "wait", registry=registry, monitor=False)


@pytest.fixture
def push(capsys, examples_registry, monkeypatch):
    """Publish the next version; gives what the command says of the traffic."""

    def one(server, source, model=MODEL):
        monkeypatch.setenv("PENSTOCK_RUN_DIR", str(server.run_dir))
        capsys.readouterr()
        path = examples_registry / MODEL / str(source) / "model.onnx"
        assert main(["push", str(server.registry), model, str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return next(line for line in lines if line.startswith("  traffic "))

    return one


def found(server, model=MODEL):
    return next(one for one in server.status()["models"] if one["name"] == model)


def answering(server, model=MODEL):
    return found(server, model)["default"]


def state_of(server, version, model=MODEL):
    versions = found(server, model)["versions"]
    return {one["version"]: one for one in versions}.get(version, {}).get("state")


def aliases(server, model=MODEL):
    return {name: one["version"] for name, one in found(server, model)["aliases"].items()}


def test_a_new_version_serves_and_a_rollback_takes_it_back(serving, push, run):
    model = "pushed"
    said = push(serving, 2, model)
    assert "takes it as soon as every worker has it ready (on_push = serve" in said
    serving.until(lambda: answering(serving, model) == 2)
    status, out, _ = run(serving, "rollback", model)
    assert (status, "stable is 1" in out) == (0, True)
    assert answering(serving, model) == 1
    said = push(serving, 2, model)
    assert "version 1 is stable and stays so until: penstock promote" in said
    serving.until(lambda: state_of(serving, 3, model) == "READY")
    assert answering(serving, model) == 1


def test_a_new_version_waits_where_that_is_chosen(waiting, push, run):
    model = "waits"
    waiting.until(lambda: aliases(waiting, model) == {"stable": 1})
    said = "none by itself: version 1 is stable and stays so until: penstock promote"
    assert said in push(waiting, 2, model)
    waiting.until(lambda: state_of(waiting, 2, model) == "READY")
    assert (answering(waiting, model), aliases(waiting, model)) == (1, {"stable": 1})
    assert run(waiting, "promote", model, 2)[0] == 0
    assert run(waiting, "rollback", model)[0] == 0
    assert answering(waiting, model) == 1
    records = json.loads(run(waiting, "history", model, "--json")[1])["records"]
    assert [one["action"] for one in records][:3] == ["rollback", "promote", "promote"]
    assert records[2]["reason"].startswith("the first version of the model")
    shown = run(waiting, "history", model)[1]
    assert "stable none → 1" in shown
    assert "stable 1 → 2" in shown


def test_the_models_own_choice_wins(waiting, push):
    assert "takes it" in push(waiting, 2, "chooses")
    waiting.until(lambda: answering(waiting, "chooses") == 2)
    assert aliases(waiting, "chooses") == {}


def test_nothing_to_go_back_to_is_said(serving, run):
    status, _, err = run(serving, "rollback", "alone")
    assert (status, "no version of model 'alone' to go back to" in err) == (1, True)


def test_a_version_that_fails_is_never_shown_as_the_one_that_answers(serve, registry, run):
    for one in (registry / MODEL).iterdir():
        (one / "model.onnx").write_bytes(b"not a model at all")
    server = serve(registry=registry, monitor=False)
    assert f"{MODEL}  loading version 1" in "".join(server.banner)
    assert "*" not in "".join(server.banner)
    assert answering(server) is None
    shown = run(server, "status")[1]
    assert "default" not in shown
    status, _, err = run(server, "promote", MODEL, 1)
    assert status == 1
    assert "no version is served" in err
    assert "goes on serving" not in err


def test_what_goes_on_serving_is_named(serving, run):
    serving.until(lambda: answering(serving, "broken") == 1)
    directory = serving.registry / "broken" / "2"
    directory.mkdir()
    (directory / "model.onnx").write_bytes(b"not a model at all")
    status, _, err = run(serving, "promote", "broken", 2)
    assert status == 1
    assert "version 1 goes on serving" in err


def test_the_banner_says_what_operators_have_named_stable(serve, registry, push, run):
    server = serve(registry=registry, monitor=False)
    push(server, 2)
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
    assert "its canary begins when every worker has it ready" in push(server, 2)

    def phase():
        rollout = found(server)["rollout"]
        return rollout and (rollout["candidate"], rollout["phase"])

    server.until(lambda: phase() == (2, "progressing"))
    with load(server.url):
        server.until(lambda: aliases(server) == {"stable": 2})
    push(server, 1)
    server.until(lambda: phase() == (3, "progressing"))
    assert run(server, "canary", "abort", MODEL, "--reason", "no")[0] == 0
    assert run(server, "unload", MODEL, 3)[0] == 0
    assert run(server, "load", MODEL, 3)[0] == 0
    push(server, 2)
    server.until(lambda: phase() == (4, "progressing"))
    records = json.loads(run(server, "history", MODEL, "--json")[1])["records"]
    begun = [one for one in records if one["action"] == "rollout.start"]
    assert [one["evidence"]["version"] for one in begun] == [4, 3, 2]
    assert {one["reason"] for one in begun} == {"on_push = canary"}
