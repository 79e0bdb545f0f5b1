"""The console of a running server: who sees what, who may do what, and what a form is worth."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
from urllib.parse import urlencode, urlsplit

import pytest

pytestmark = pytest.mark.slow

MODEL = "/console/models/breast-cancer"


@pytest.fixture
def server(serve, tmp_path):
    registry = tmp_path / "models"
    shutil.copytree("examples/registry", registry)
    return serve(registry=registry)


def test_the_console_shows_and_does_what_the_visitors_token_covers(server):
    """One start, many questions: a start takes seconds."""
    _who_looks(server)
    _log_in(server)
    _forms(server)
    _rollouts(server)
    _links(server)
    _escapes(server)
    _prefix(server)
    _tries(server)
    _mutes(server)
    _predictions(server)
    _queries(server)
    _labels(server)


def _who_looks(server):
    visitor = server.browser()
    assert visitor.ask("GET", "/")[1]["location"] == "console"
    status, headers, page = visitor.ask("GET", "/console/")
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "breast-cancer" in page
    assert "looking only" in page
    # Who has not logged in sees no form, and cannot send one.
    shown = visitor.ask("GET", MODEL)[2]
    assert "<form" not in shown
    assert "no manifest; `penstock push` writes one" in shown
    assert " requests</td>" in shown
    assert f'href="{MODEL}/drift"' in visitor.ask("GET", f"{MODEL}/performance")[2]
    assert visitor.send(f"{MODEL}/promote", version="1")[1]["location"] == "/console/login"
    assert server.status()["generation"] == 0
    assert visitor.ask("GET", "/console/models/none")[0] == 404
    assert visitor.ask("GET", "/console/nothing")[0] == 404
    for path in ("alerts", "audit", "audit?verify=true", "models/digits/drift",
                 "models/digits/performance", "models/digits"):  # fmt: skip
        assert visitor.ask("GET", f"/console/{path}")[0] == 200, path


def _log_in(server):
    visitor = server.browser()
    status, _, page = visitor.send("/console/login", token="wrong")
    assert (status, visitor.cookie) == (401, "")
    assert "not known here" in page
    visitor.log_in(server.token)
    assert '<span class="who">admin</span>' in visitor.ask("GET", "/console/")[2]
    kept = visitor.cookie
    visitor.send("/console/logout", csrf=visitor.csrf(MODEL))
    visitor.cookie = kept  # the session is over, not only the cookie
    assert "looking only" in visitor.ask("GET", "/console/")[2]


def _forms(server):
    visitor, other = server.browser(), server.browser()
    visitor.log_in(server.token)
    other.log_in(server.token)
    for secret in ("", "x", other.csrf(MODEL)):
        status, _, page = visitor.send(f"{MODEL}/promote", version="1", csrf=secret)
        assert status == 403
        assert "not of this session" in page
    assert server.status()["generation"] == 0
    secret = visitor.csrf(MODEL)
    status, headers, _ = visitor.send(f"{MODEL}/promote", version="1", reason="calm", csrf=secret)
    assert (status, headers["location"]) == (303, MODEL)
    # An open page that asks for itself anew does not take the notice away.
    assert "role=" not in visitor.ask("GET", MODEL, **{"x-penstock-renewed": "1"})[2]
    assert visitor.notice(MODEL) == "Done: promote."
    assert 'role="status"' not in visitor.ask("GET", MODEL)[2]  # told once
    [model] = [one for one in server.status()["models"] if one["name"] == "breast-cancer"]
    assert model["default"] == 1
    assert (model["default_set"]["by"], model["default_set"]["reason"]) == ("admin", "calm")
    assert "→ 1" in visitor.ask("GET", "/console/audit")[2]
    visitor.send(f"{MODEL}/promote", version="77", csrf=secret)
    assert "Nothing was done" in visitor.notice(MODEL)
    visitor.send(f"{MODEL}/start", version="2", steps="much", csrf=secret)
    assert "expected percents" in visitor.notice(MODEL)
    assert visitor.send(f"{MODEL}/erase", csrf=secret)[1]["location"] == MODEL
    assert "no action" in visitor.notice(MODEL)
    assert "Difference" in visitor.ask("GET", f"{MODEL}?from=1&to=2")[2]


def _rollouts(server):
    visitor = server.browser()
    visitor.log_in(server.token)
    secret, page = visitor.csrf(MODEL), f"{MODEL}/rollout"
    status, _, shown = visitor.ask("GET", page)
    assert (status, "No version is rolled out" in shown) == (200, True)
    assert "Start a rollout, or plan a canary" in shown
    assert "Start a rollout" not in server.browser().ask("GET", page)[2]
    assert visitor.ask("GET", page.replace("breast-cancer", "nobody"))[0] == 404
    visitor.send(f"{MODEL}/plan", version="2", steps="50 100", csrf=secret)
    assert re.search("nothing can be foreseen|takes about|hardly ends", visitor.notice(MODEL))
    assert "No version is rolled out" in visitor.ask("GET", page)[2]  # a plan starts none
    _, headers, _ = visitor.send(
        f"{MODEL}/start", kind="canary", version="2", steps="50 100", csrf=secret
    )
    assert headers["location"] == page
    shown = visitor.ask("GET", page)[2]
    assert "version 2 beside version 1" in shown
    assert "Abort" in shown
    assert "Abort" not in server.browser().ask("GET", page)[2]
    visitor.send(f"{MODEL}/rollout-pause", csrf=secret)
    assert visitor.notice(page) == "Done: rollout pause."
    visitor.send(f"{MODEL}/start", kind="canary", version="2", csrf=secret)
    assert "on trial" in visitor.notice(MODEL)
    visitor.send(f"{MODEL}/rollout-abort", reason="enough", csrf=secret)
    shown = visitor.ask("GET", page)[2]
    assert "aborted" in shown
    assert "enough" in shown
    assert "Abort" not in shown


def _links(server):
    program = [sys.executable, "-m", "penstock.server.cli.main", "ui", "--no-open"]
    options = ["--admin-url", server.admin_url, "--token", server.token]
    made = subprocess.run([*program, *options], capture_output=True, text=True, check=True)
    path = made.stdout.strip().removeprefix(server.admin_url)
    visitor, late = server.browser(), server.browser()
    assert visitor.ask("GET", path)[1]["location"] == "/console/"
    assert '<span class="who">admin</span>' in visitor.ask("GET", "/console/")[2]
    status, _, page = late.ask("GET", path)
    assert (status, late.cookie) == (401, "")
    assert "has been used" in page
    assert late.ask("POST", "/admin/console/links", "{}")[0] == 401


def _escapes(server):
    visitor = server.browser()
    visitor.log_in(server.token)
    bad = "<script>alert(1)</script>\"'&"
    visitor.send(f"{MODEL}/alias", alias="next", version="2", reason=bad, csrf=visitor.csrf(MODEL))
    for path in (MODEL, "/console/audit", f"/console/models/{'%3Cscript%3E'}"):
        page = visitor.ask("GET", path)[2]
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def _prefix(server):
    visitor = server.browser()
    page = visitor.ask("GET", "/console/", **{"x-forwarded-prefix": "/ml"})[2]
    assert 'href="/ml/console/models/breast-cancer"' in page
    assert 'href="/console' not in page


def _tries(server):
    """A model is asked by way of the prediction port, and only by a session's own page."""
    looker, visitor = server.browser(), server.browser()
    assert "needs a log-in" in looker.ask("GET", f"{MODEL}/try")[2]
    assert looker.ask("POST", f"{MODEL}/predict", "{}")[0] == 403
    visitor.log_in(server.token)
    status, headers, page = visitor.ask("GET", f"{MODEL}/try")
    assert status == 200
    assert "tryIt" in page
    assert "unsafe" not in headers["content-security-policy"]
    described = json.loads(visitor.ask("GET", f"{MODEL}/openapi.json")[2])
    assert described["servers"] == [{"url": server.url}]
    path = "/v2/models/breast-cancer/infer"
    body = json.dumps(
        described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    )
    kind, secret = {"content-type": "application/json"}, visitor.csrf(MODEL)
    assert visitor.ask("POST", f"{MODEL}/predict", body, **kind)[0] == 403
    sent = {**kind, "x-csrf-token": secret}
    assert visitor.ask("POST", f"{MODEL}/predict", body, **{"x-csrf-token": secret})[0] == 415
    before = server.answered()
    status, headers, text = visitor.ask("POST", f"{MODEL}/predict?version=2", body, **sent)
    assert status == 200, text
    assert json.loads(text)["model_version"] == headers["x-model-version"] == "2"
    assert "compute;dur=" in headers["server-timing"]
    assert headers["x-request-id"]
    server.until(lambda: server.answered() == before + 1)
    status, _, text = visitor.ask("POST", f"{MODEL}/predict?rows=true", '{"instances": 3}', **sent)
    assert status == 400
    assert "'instances' is 3" in json.loads(text)["error"]
    status, _, text = visitor.ask("POST", f"{MODEL}/predict?version=x", body, **sent)
    assert "not a version" in json.loads(text)["error"]
    assert visitor.ask("GET", "/console/models/none/try")[0] == 404


def _mutes(server):
    """Drift of a model is muted on its page and heard again on the page of alerts."""
    page, visitor = f"{MODEL}/drift", server.browser()
    assert "Nothing is muted" in visitor.ask("GET", page)[2]
    assert visitor.send(f"{page}/mute", **{"for": "1d"})[1]["location"] == "/console/login"
    visitor.log_in(server.token)
    secret, bad = visitor.csrf(page), "<script>alert(1)</script>"
    asked = {"kind": "drift", "feature": "all features", "for": "4h", "reason": bad}
    assert visitor.send(f"{page}/mute", **asked)[0] == 403
    for wrong, why in (
        ({"reason": " "}, "reason is missing"),
        ({"for": "31d"}, "at most 30d"),
        ({"for": "for ever"}, "expected a duration"),
        ({"kind": "Drift!"}, "expected a kind of alerts"),
        ({"kind": "rollout"}, "tell of a moment"),
        ({"kind": "performance", "feature": "age"}, "are of no feature"),
        ({"feature": "a" * 301}, "expected the name of a feature"),
    ):
        visitor.send(f"{page}/mute", csrf=secret, **asked | wrong)
        assert why in visitor.notice(page)
    visitor.send("/console/models/none/drift/mute", csrf=secret, **asked)
    assert "there is no model" in visitor.notice(page)
    visitor.send(f"{page}/mute", csrf=secret, **asked)
    assert "Nobody is told of drift until" in visitor.notice(page)
    for path in (page, "/console/alerts"):
        shown = visitor.ask("GET", path)[2]
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)" in shown
    [mute] = re.findall(r"/console/mutes/([0-9a-f]+)/end", shown)
    visitor.send(f"/console/mutes/{mute}/end", csrf=secret, reason="heard")
    assert "The mute of drift of breast-cancer is over." in visitor.notice("/console/alerts")
    visitor.send(f"/console/mutes/{mute}/end", csrf=secret)
    assert "there is no mute" in visitor.notice("/console/alerts")
    shown = visitor.ask("GET", "/console/audit")[2]
    assert "unmute" in shown
    assert "heard" in shown
    _mutes_by_command(server)


def _mutes_by_command(server):
    def alerts(*arguments):
        program = [sys.executable, "-m", "penstock.server.cli.main", "alerts", *arguments]
        options = ["--admin-url", server.admin_url, "--token", server.token]
        return subprocess.run([*program, *options], capture_output=True, text=True, check=False)

    late = alerts("mute", "digits", "--for", "31d", "--reason", "busy")
    assert (late.returncode, "at most 30d" in late.stderr) == (1, True)
    made = alerts("mute", "digits", "--for", "2h", "--reason", "[b]busy[/b]", "--json")
    mute = json.loads(made.stdout)["id"]
    assert "[b]busy[/b]" in alerts("mutes").stdout
    one = alerts("mute", "digits", "--for", "2h", "--reason", "r", "--feature", "[i]norm[/i]")
    assert one.stdout.startswith("digits: nobody is told of drift of [i]norm[/i] until ")
    assert "[i]norm[/i]" in alerts("mutes").stdout
    alerts("unmute", re.findall(r"[(]([0-9a-f]+)[)]", one.stdout)[0])
    assert "are told again" in alerts("unmute", mute).stdout
    assert alerts("mutes").stdout == "nothing is muted\n"


def _predictions(server):
    """A prediction is found and shown with its chain; what people have sent takes operate."""
    looker, visitor = server.browser(), server.browser()
    for path in ("predictions", "predictions/one?request_id=x", "query"):
        assert looker.ask("GET", f"/console/{path}")[1]["location"] == "/console/login"
    visitor.log_in(server.token)
    search = "/console/predictions?model=breast-cancer&"
    rows = f"{search}column=features_0&operator=%3E&value=0.25&version=2"
    server.until(lambda: "/console/predictions/one?" in visitor.ask("GET", rows)[2])
    path = re.search(r'href="(/console/predictions/one[^"]+)"', visitor.ask("GET", rows)[2])[1]
    shown = visitor.ask("GET", path)[2]
    for words in ("features_29", "sha256:", "No label has come", "/console/models/breast-cancer"):
        assert words in shown
    shown = visitor.ask("GET", "/console/predictions?model=digits")
    assert (shown[0], "no prediction of digits" in shown[2]) == (200, True)
    none = visitor.ask("GET", f"{search}request_id=%3Cscript%3Ealert(1)%3C/script%3E")[2]
    assert "No prediction is like that" in none
    assert "<script>alert" not in none
    for wrong, why in (
        ("column=nose&value=1", "no column &#39;nose&#39;"),
        ("since=yesterday", "expected a time such as"),
        ("version=x", "not a version"),
        ("value=1", "column and value belong together"),
        ("column=arm&value=" + "x" * 1001, "value has 1001 characters, expected at most 1000"),
        ("self=1", "unknown key"),
    ):
        status, _, page = visitor.ask("GET", search + wrong)
        assert (status, why in page) == (400, True), wrong
    assert "does not have it" in visitor.ask("GET", "/console/predictions/one?request_id=a/b")[2]


def _queries(server):
    """SQL is answered in a table and a chart, saved, and exported on record."""
    page, visitor = "/console/query", server.browser()
    visitor.log_in(server.token)
    secret = visitor.csrf(page)
    sql = "select version, count(*) as n, max(latency) as slowest from predictions group by version"
    assert visitor.send(page, sql=sql)[0] == 403
    status, _, shown = visitor.send(page, sql=sql + " union select 7, 1, 0.5", csrf=secret)
    assert status == 200, shown
    assert "<svg" in shown
    for wrong, why in (("select * from nothing", "nothing"), ("drop table x", ""), ("", "SELECT")):
        status, _, shown = visitor.send(page, sql=wrong, csrf=secret)
        assert (status, why in shown, wrong in shown) == (400, True, True)
    bad = "</textarea><script>alert(1)</script>"
    visitor.send(f"{page}/save", name=bad, sql=f"select 1 -- {bad}", csrf=secret)
    assert "is saved" in visitor.notice(page)
    for path in (page, f"{page}?{urlencode({'saved': bad})}"):
        shown = visitor.ask("GET", path)[2]
        assert "<script>alert" not in shown
        assert "&lt;/textarea&gt;" in shown
    visitor.send(f"{page}/forget", name=bad, csrf=secret)
    assert "is forgotten" in visitor.notice(page)
    visitor.send(f"{page}/export", sql=sql, format="csv", csrf=secret)
    assert "reason is missing" in visitor.notice(page)
    fields = {"sql": sql, "format": "csv", "reason": "a report"}
    status, headers, text = visitor.send(f"{page}/export", csrf=secret, **fields)
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert headers["content-disposition"] == 'attachment; filename="predictions.csv"'
    assert re.match(r"version,n,slowest\n[12],\d+,0\.", text)
    audit = visitor.ask("GET", "/console/audit")[2]
    assert "predictions.export" in audit
    assert "a report" in audit


def _labels(server):
    """A file of labels is taken row by row."""
    visitor = server.browser()
    assert "needs a log-in" in visitor.ask("GET", "/console/labels")[2]
    assert visitor.ask("POST", "/console/labels/upload", "x")[0] == 403
    visitor.log_in(server.token)
    assert "File of labels" in visitor.ask("GET", "/console/labels")[2]
    csv = {"content-type": "text/csv", "x-csrf-token": visitor.csrf("/console/labels")}
    one = "0123456789abcdef0123456789abcdef"
    body = f"request_id,label,index,size\n{one},1,0,5\n{one},1,many,5\n{one},,1,5\n{one},2,1,5\n"
    status, _, text = visitor.ask("POST", "/console/labels/upload", body, **csv)
    assert status == 200, text
    report = json.loads(text)
    counts = [report[name] for name in ("accepted", "refused", "without_label", "new")]
    assert counts == [2, 1, 1, 2]
    assert report["ignored"] == ["size"]
    assert [one["line"] for one in report["problems"]] == [3]
    status, _, text = visitor.ask("POST", "/console/labels/upload", body, **csv)
    assert json.loads(text)["duplicate"] == 2
    status, _, text = visitor.ask("POST", "/console/labels/upload", "a,b\n1,2\n", **csv)
    assert (status, "the file has the columns a, b" in json.loads(text)["error"]) == (400, True)
    status, _, text = visitor.ask("POST", "/console/labels/upload", "x" * (9 << 20), **csv)
    assert status == 413
    assert visitor.ask("GET", f"{MODEL}/performance?by=country")[0] == 400


def test_a_token_that_may_only_look_gets_no_forms_and_ends_with_its_line(serve, tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", "token", "eyes", "--scope", "observe"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(made.stdout)
    server = serve("--tokens-file", tokens)
    visitor = server.browser()
    # With a tokens file nobody looks without a token.
    assert visitor.ask("GET", "/console/")[1]["location"] == "/console/login"
    assert visitor.ask("GET", "/console/live")[1]["location"] == "/console/login"
    visitor.log_in(made.stderr.split()[-1])
    assert visitor.ask("GET", "/console/predictions")[0] == 403
    assert "Mute<" not in visitor.ask("GET", f"{MODEL}/drift")[2]
    assert "Promote" not in visitor.ask("GET", MODEL)[2]
    secret = visitor.csrf(MODEL)
    visitor.send(f"{MODEL}/promote", version="1", csrf=secret)
    assert "needs the scope operate" in visitor.notice(MODEL)
    assert "scope predict" in visitor.ask("GET", f"{MODEL}/try")[2]
    sent = {"content-type": "application/json", "x-csrf-token": secret}
    status, _, text = visitor.ask("POST", f"{MODEL}/predict", "{}", **sent)
    assert status == 403
    assert "scope predict" in json.loads(text)["error"]
    tokens.write_text("")
    assert visitor.ask("GET", "/console/")[1]["location"] == "/console/login"
    assert json.loads(visitor.ask("GET", "/v2/health/live")[2]) == {"live": True}


def test_a_server_stops_without_waiting_for_open_pages(serve):
    server = serve()
    parts = urlsplit(server.admin_url)
    page = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    page.request("GET", "/console/live")
    assert page.getresponse().read(5) == b"data:"
    server.process.terminate()
    assert server.process.wait(15) == 0
    page.close()
