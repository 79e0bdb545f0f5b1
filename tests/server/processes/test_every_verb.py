"""Every verb prints JSON when asked to, and shells complete the names that a server knows."""

from __future__ import annotations

import json
import shutil

import pytest

from penstock.server.cli.main import main
from penstock.server.cli.verbs import VERBS

MODEL = "breast-cancer"
ROW = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}]}


class CommandLine:
    """Runs verbs with ``--json`` and keeps which ones were run."""

    def __init__(self, capsys, *where):
        self.capsys = capsys
        self.where = where
        self.run = set()

    def local(self, typed, *arguments, status=0):
        """What a verb prints that asks no server."""
        shown = self.printed(typed, *arguments, status=status)
        return json.loads(shown.out)

    def refused(self, typed):
        """A verb that fails says why in one line, and prints nothing for programs."""
        shown = self.printed(typed, *self.where, status=1)
        assert shown.out == ""
        assert len(shown.err.splitlines()) == 1

    def printed(self, typed, *arguments, status):
        words = typed.split()
        self.run.add(next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in VERBS))
        assert main([*words, *map(str, arguments), "--json"]) == status, self.capsys.readouterr()
        return self.capsys.readouterr()

    def __call__(self, typed, *arguments, status=0):
        return self.local(typed, *arguments, *self.where, status=status)


@pytest.fixture
def registry(tmp_path, examples_registry):
    home = tmp_path / "models"
    ignored = shutil.ignore_patterns(".penstock")
    shutil.copytree(examples_registry / MODEL, home / MODEL, ignore=ignored)
    return home


@pytest.mark.slow
def test_every_verb_prints_json(serve, registry, tmp_path, capsys, monkeypatch):
    state = tmp_path / "state"
    line = CommandLine(capsys)
    token = line.local("token bob --scope observe --scope operate --scope approve")
    tokens = tmp_path / "tokens.toml"
    scopes = json.dumps(token["scopes"])
    tokens.write_text(f'[[token]]\nname = "bob"\nsha256 = "{token["sha256"]}"\nscopes = {scopes}\n')
    pushed = line.local(f"push {registry} {MODEL} {registry / MODEL / '1'} --no-load")
    assert pushed["version"] == 3

    server = serve("--tokens-file", tokens, "--batch-root", tmp_path, registry=registry)
    line.where = ("--admin-url", server.admin_url, "--state-dir", state)
    _before_the_rollouts(line, server, tmp_path)
    _batch(line, server, tmp_path)
    _batches(line, server, tmp_path)
    with monkeypatch.context() as somebody_else:
        somebody_else.setenv("LOGNAME", "ana")
        _gates(line, server, registry, token["token"])
    _rollouts(line, token["token"])
    _monitoring(line, server, tmp_path)
    assert line.run == set(VERBS) - {"serve"}
    _completions(server, capsys, monkeypatch, state)
    assert main(["promote", "breast-cancr", "1", *map(str, line.where)]) == 1
    said = capsys.readouterr().err
    assert said == "penstock: there is no model 'breast-cancr'; did you mean breast-cancer?\n"


def _batch(line, server, tmp_path):
    source = tmp_path / "patients.csv"
    source.write_text("\n".join(",".join(str(at + row) for at in range(30)) for row in range(3)))
    told = ("--url", server.url, "-o", tmp_path / "answers.csv")
    done = line.local(f"batch {MODEL} {source}", *told)
    assert (done["rows"], done["failed"]) == (2, 0)


def _batches(line, server, tmp_path):
    def start(output):
        return line(f"batches start {MODEL} patients.csv -o {output} --reason r")["id"]

    def state(batch):
        return line(f"batches show {batch}")["state"]

    done, ended = start("one.csv"), start("two.csv")
    assert line(f"batches cancel {ended}")["id"] == ended
    server.until(lambda: state(done) == "done")
    assert line(f"batches fetch {done}", "-o", tmp_path / "fetched.csv")
    assert (tmp_path / "fetched.csv").read_bytes() == (tmp_path / "answers.csv").read_bytes()
    assert {one["id"] for one in line("batches")["batches"]} == {done, ended}


def _before_the_rollouts(line, server, tmp_path):
    line.local(f"init {tmp_path / 'new'}")
    ports = tmp_path / "penstock.toml"
    ports.write_text("port = 0\nadmin_port = 0\n")  # the usual ones may be taken
    assert line.local(f"doctor {tmp_path / 'models'} --config {ports}")["ok"]
    assert line("status")["models"][0]["name"] == MODEL
    assert line(f"load {MODEL} 1")["model"] == MODEL
    assert line(f"promote {MODEL} 1 --reason r")["aliases"]["stable"] == 1
    assert line(f"alias {MODEL} blue 2")["aliases"]["blue"] == 2
    assert "blue" not in line(f"alias {MODEL} blue --remove")["aliases"]
    assert line(f"promote {MODEL} 2")["version"] == 2
    assert line(f"rollback {MODEL} --force")["version"] == 1
    assert line(f"unload {MODEL} 3")["version"] == 3
    assert line(f"load {MODEL} 3")["version"] == 3
    assert line(f"history {MODEL}")["records"]
    assert line(f"diff {MODEL} 1 3", status=1)["changes"]
    assert line("retrain status") == {"models": []}
    line.refused(f"retrain {MODEL} --reason r")  # no [[retrain]] names the model
    assert line("ui --no-open")["link"].startswith(server.admin_url)


def _gates(line, server, registry, bob):
    toml = registry / MODEL / "model.toml"
    toml.write_text("[gates]\nschema = true\n")
    assert line.local(f"gate run {registry} {MODEL} 2")["passed"]
    server.until(lambda: line(f"gate show {MODEL} 3")["state"] == "let in")
    assert line(f"gate approve {MODEL} 3 --token {bob}")["approvals"]
    assert line(f"gate override {MODEL} 3 --reason r --token {bob}")["approvals"]
    toml.unlink()


def _rollouts(line, token):
    assert line(f"canary plan {MODEL} 2 --requests-per-second 10")["steps"]
    asked = "--require-approval --steps 5,50,100 --hold 1h --watch 0"
    assert line(f"canary start {MODEL} 2 {asked}")["rollout"]["kind"] == "canary"
    assert line(f"canary pause {MODEL}")["rollout"]["phase"] == "paused"
    assert line(f"canary resume {MODEL}")["rollout"]["phase"] == "progressing"
    assert line(f"canary approve {MODEL} --token {token}")["rollout"]["approval"]["by"] == "bob"
    assert line(f"canary promote {MODEL}")["rollout"]["phase"] == "promoted"
    line(f"canary start {MODEL} 3 --hold 1h")
    assert line(f"canary abort {MODEL}")["rollout"]["phase"] == "aborted"
    assert line(f"shadow start {MODEL} 3")["rollout"]["kind"] == "shadow"
    assert line(f"shadow stop {MODEL}")["rollout"]["phase"] == "finished"
    assert line(f"ab start {MODEL} 3")["rollout"]["kind"] == "ab"
    assert line(f"ab result {MODEL}")["kind"] == "ab"
    assert line(f"ab stop {MODEL}")["rollout"]["phase"] == "finished"
    assert line(f"rollout report {MODEL}")["phase"] == "finished"
    assert len(line("rollout status")) == 1
    line.local("ab size --rate 0.02 --ratio 1.25")


def _monitoring(line, server, tmp_path):
    client = server.client()
    body = json.dumps(ROW).encode()
    assert client.request("POST", f"/v2/models/{MODEL}/infer", body)[0] == 200
    client.close()
    where = ("--state-dir", tmp_path / "state")

    def logged():
        return line.local("query", "SELECT request_id FROM predictions", *where)["rows"]

    server.until(logged)
    ((_, asked),) = logged()[0].items()
    assert line.local(f"predictions show {asked}", *where)["predictions"]
    labels = tmp_path / "labels.csv"
    labels.write_text(f"request_id,label\n{asked},1\n")
    assert line.local(f"feedback {labels} --url {server.url}")["accepted"] == 1
    assert line(f"performance {MODEL}")["model"] == MODEL
    assert line(f"drift {MODEL}")["model"] == MODEL
    assert line(f"monitor report {MODEL} -o {tmp_path / 'page.html'}")["bytes"] > 0
    rows = tmp_path / "rows.csv"
    names = [f"c{n}" for n in range(30)]
    rows.write_text("\n".join([",".join(names), *[",".join(["0.5"] * 30)] * 200]))
    line.local(f"baseline build {MODEL} 3 {rows} --output {tmp_path / 'baseline.json'}")
    line(f"baseline forget {MODEL} 3")
    line.refused(f"baseline accept {MODEL} 3 --dry-run")  # there was no window yet
    exported = line.local(f"export {MODEL} --labelled -o {tmp_path / 'out.csv'}", *where)
    assert exported["predictions"] <= 1
    line(f"erase {MODEL} --reason r --request-id {asked}")
    assert line("alerts")["sinks"] == ["log"]
    assert line("alerts test log")["sink"] == "log"
    mute = line(f"alerts mute {MODEL} --for 1h --reason r")
    assert [one["id"] for one in line("alerts mutes")["mutes"]] == [mute["id"]]
    assert line(f"alerts unmute {mute['id']}")["model"] == MODEL
    assert line.local("audit verify", *where)["problem"] is None


def _completions(server, capsys, monkeypatch, state):
    def completed(*words):
        monkeypatch.setenv("_PENSTOCK_COMPLETE", "complete_bash")
        monkeypatch.setenv("PENSTOCK_ADMIN_URL", server.admin_url)
        monkeypatch.setenv("PENSTOCK_STATE_DIR", str(state))
        monkeypatch.setenv("COMP_WORDS", " ".join(("penstock", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        with pytest.raises(SystemExit):
            main([])
        monkeypatch.delenv("_PENSTOCK_COMPLETE")
        return capsys.readouterr().out.split()

    assert completed("model", "promote", "br") == [MODEL]
    assert completed("promote", MODEL, "") == ["1", "2", "3"]
    assert completed("alias", MODEL, "st") == ["stable"]
