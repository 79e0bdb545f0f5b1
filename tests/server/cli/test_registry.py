"""The verbs push, diff and audit verify, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.server.cli.main import main
from penstock.server.cli.version_changes import print_changes
from penstock.server.desired_state.audit import AuditLog
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.state import DesiredState, promote
from penstock.server.desired_state.state_file import StateFile
from penstock.server.registry.signature_diff import Change
from penstock.server.registry.verification import read_manifest

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
MODEL = EXAMPLES / "breast-cancer" / "1" / "model.onnx"


@pytest.fixture
def run(capsys):
    def one(*arguments):
        status = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return one


def test_push_publishes_and_prints_the_digest(run, tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([[0.0] * 30]))
    status, out, _ = run(
        *("push", tmp_path / "r", "bc", MODEL, "--version", 4, "--run-id", "r1", "--commit", "c1"),
        *("--data-hash", "h1", "--metric", "auc=0.99", "--param", "lr=0.1", "--param", "n=3"),
        *("--examples", rows),
    )
    manifest = read_manifest(tmp_path / "r" / "bc" / "4")
    assert (status, manifest.digest in out) == (0, True)
    assert manifest.run.params == {"lr": "0.1", "n": "3"}
    assert manifest.metrics == {"auc": 0.99}
    assert manifest.signature.inputs[0].shape == (-1, 30)
    assert manifest.metadata["estimator"] == "LogisticRegression"


def test_push_without_loading_knows_no_signature(run, tmp_path):
    assert run("push", tmp_path, "bc", MODEL, "--no-load")[0] == 0
    assert read_manifest(tmp_path / "bc" / "1").signature is None


@pytest.mark.parametrize("options", [(), ("--no-load",)])
def test_push_says_what_is_wrong_with_the_configuration(run, tmp_path, monkeypatch, options):
    monkeypatch.setenv("PENSTOCK_WORKERS", "many")
    status, _, err = run("push", tmp_path / "r", "bc", MODEL, *options)
    assert status == 2
    assert err.startswith("penstock: environment: workers is 'many', expected a whole number")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("bc", MODEL, "--metric", "auc"), 2, "--metric auc: expected NAME=VALUE"),
        (("bc", MODEL, "--metric", "auc=nan"), 2, "--metric auc=nan: expected a number"),
        (("bc", MODEL, "--param", "=1"), 2, "expected NAME=VALUE"),
        (("../bc", MODEL), 1, "not a model name"),
        (("bc", "nowhere.onnx"), 1, "nowhere.onnx"),
        (("bc", str(Path(__file__).parents[3] / "README.md")), 1, "not an ONNX model"),
        (("bc", __file__), 1, "allow_code = 'bc' in penstock.toml"),
        (("bc", EXAMPLES), 1, "without MLmodel"),
    ],
)
def test_push_says_what_is_wrong(run, tmp_path, arguments, status, message):
    got, _, err = run("push", tmp_path / "r", *arguments)
    assert (got, message in err) == (status, True), err


def test_push_over_a_version_names_the_next_number(run, tmp_path):
    run("push", tmp_path, "bc", MODEL)
    status, _, err = run("push", tmp_path, "bc", MODEL, "--version", 1)
    assert (status, "next free number is 2" in err) == (1, True)


def test_diff_shows_what_may_break_clients(run, tmp_path):
    run("push", tmp_path, "m", MODEL)
    run("push", tmp_path, "m", EXAMPLES / "digits" / "1" / "model.onnx")
    status, out, _ = run("diff", "--registry", tmp_path, "m", 1, 2)
    assert status == 1
    assert "inputs features" in out
    assert "may break clients" in out
    assert run("diff", "--registry", tmp_path, "m", 1, 1)[:2] == (0, "the manifests say the same\n")


def test_diff_needs_manifests(run):
    status, _, err = run("diff", "--registry", EXAMPLES, "digits", 1, 2)
    assert (status, "has no manifest" in err) == (2, True)


def test_audit_verify_names_the_first_broken_line(run, tmp_path):
    with AuditLog(tmp_path / "audit", lambda: "t") as log:
        for _ in range(3):
            log.append(AuditEvent("load", "me"))
    status, out, _ = run("audit", "verify", "--state-dir", tmp_path)
    assert (status, out) == (0, f"ok: 3 records, head {log.head}\n")
    (segment,) = (tmp_path / "audit").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"me"', b'"he"', 1))
    status, out, _ = run("audit", "verify", segment)
    assert status == 1
    assert out.startswith(f"BROKEN after record 0: {segment}:1: the record was changed")


def test_audit_verify_of_nothing_is_no_success(run, tmp_path):
    assert run("audit", "verify", tmp_path)[0] == 2
    assert run("audit", "verify", "--state-dir", tmp_path)[0] == 2


def golden(path, outputs):
    inputs = [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.0] * 30}]
    path.write_text(json.dumps([{"inputs": inputs, "outputs": outputs}]))
    return path


def test_push_fails_and_leaves_nothing_when_a_golden_request_is_answered_otherwise(run, tmp_path):
    label = [{"name": "label", "datatype": "INT64", "shape": [1], "data": [77]}]
    rows = golden(tmp_path / "rows.json", label)
    status, out, err = run("push", tmp_path / "r", "bc", MODEL, "--examples", rows)
    assert (status, out) == (1, "")
    assert "golden request 1: output 'label' is" in err
    assert list((tmp_path / "r").iterdir()) == []


def test_push_fails_when_golden_requests_are_none_of_this_model(run, tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([[0.0] * 29]))
    assert run("push", tmp_path / "r", "bc", MODEL, "--examples", rows)[0] == 1
    assert list((tmp_path / "r").iterdir()) == []


@pytest.mark.parametrize("source", [__file__, "nowhere.onnx"])
def test_a_push_that_fails_leaves_no_directory_and_none_of_others_is_touched(run, tmp_path, source):
    assert run("push", tmp_path / "r", "bc", source)[0] == 1
    assert not (tmp_path / "r" / "bc").exists()
    assert run("push", tmp_path / "r", "bc", MODEL)[0] == 0
    assert run("push", tmp_path / "r", "bc", source)[0] == 1
    assert [one.name for one in (tmp_path / "r" / "bc").iterdir()] == ["1"]


def test_push_says_that_the_files_are_those_of_another_version(run, tmp_path):
    other = EXAMPLES / "breast-cancer" / "2" / "model.onnx"
    for number, source in enumerate((MODEL, other, MODEL), 1):
        status, out, _ = run("push", tmp_path, "bc", source)
        assert (status, "same files as version" in out) == (0, number == 3)
    assert "same files as version 1\n" in out


def test_push_says_who_gets_the_traffic(run, tmp_path):
    def traffic(*options):
        out = run("push", tmp_path, "bc", MODEL, *options)[1]
        return next(line for line in out.splitlines() if line.startswith("  traffic "))

    assert "takes it as soon as every worker has it ready (on_push = serve, default)" in traffic()
    assert "version 1 is newer" not in traffic("--number", "5")
    assert "none by itself (version 5 is newer)" in traffic("--number", "3")
    (tmp_path / "bc" / "model.toml").write_text('on_push = "wait"\n')
    assert traffic().endswith("none by itself (on_push = wait, model.toml): penstock promote bc 6")
    (tmp_path / "bc" / "model.toml").write_text('version_policy = "explicit"\n')
    assert "penstock load bc 7" in traffic()


def test_push_knows_which_version_is_stable(run, tmp_path):
    for _ in range(2):
        run("push", tmp_path, "bc", MODEL)
    state = promote(DesiredState(), "bc", 1, {1, 2})
    StateFile(tmp_path / ".penstock").write(state, 0)
    out = run("push", tmp_path, "bc", MODEL)[1]
    assert "version 1 is stable and stays so until: penstock promote bc 3" in out


def test_a_directory_with_a_model_file_is_published(tmp_path, capsys, examples_registry):
    source = examples_registry / "breast-cancer" / "1"
    assert main(["push", str(tmp_path / "registry"), "m", str(source)]) == 0
    published = tmp_path / "registry" / "m" / "1" / "model.onnx"
    assert published.read_bytes() == (source / "model.onnx").read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["push", str(tmp_path / "registry"), "m", str(empty)]) == 1
    assert (
        "expected a model file, an MLflow model, a model of the Hugging Face hub"
        in capsys.readouterr().err
    )


def test_a_long_difference_stays_on_one_line_of_a_pipe(capsys):
    change = Change("metadata", "note", "a" * 70, "b" * 70, breaking=False)
    print_changes((change,), "1", "2")
    _, line = capsys.readouterr().out.splitlines()
    assert ("a" * 70 in line, "b" * 70 in line) == (True, True)
