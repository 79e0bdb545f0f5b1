"""Rollouts as text and as a page, from reports as the admin port makes them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console

from penstock.server.cli.main import main
from penstock.server.cli.rollout_view import report_view, rollouts_view
from penstock.server.console.rollout_page import _phases, rollout_page
from penstock.server.console.rollout_words import interval_words
from penstock.server.control.api.rollout_report import report, summary
from penstock.server.control.coordination.rollout_controller import Progress
from penstock.server.desired_state.rollout_state import evidence_of
from penstock.server.rollout.counts import ArmCounts, Counts, PairCounts
from penstock.server.rollout.evidence import evidence_against
from penstock.server.rollout.history import entry_of
from penstock.server.rollout.options import _Requested
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import Step, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.shadow.tally import OutputTally, Tally

COUNTS = Counts(
    ArmCounts(requests=950, errors=2),
    ArmCounts(requests=50, errors=7, fallbacks=7),
    PairCounts(pairs=300, disagreements=4),
)


def found(kind, **changes):
    """A report, as it comes out of JSON."""
    terms = RolloutSpec(steps=(5.0,) if kind is not Kind.CANARY else (1.0, 5.0, 100.0))
    terms = replace(terms, require_approval=changes.pop("require_approval", False))
    made = begin("<m>-7", kind, "<m>", (1, 2), "sha256:d", terms, "ann", 1000.0)
    steps = tuple(Step(p, COUNTS, Counts(), 60.0) for p in terms.ramp(kind))
    made = replace(made, phase=Phase.PROGRESSING, steps=steps, **changes)
    history = tuple(entry_of(made, evidence_against(made), 1000.0 + n) for n in range(3))
    records = [
        {
            "time": "2031-05-01T12:00:00.000Z",
            "action": "rollout.ready",
            "actor": "penstock",
            "reason": "the candidate is <ready>",
            "evidence": {"rollout": evidence_of(made)},
        },
        {"time": "", "action": "promote", "actor": "x", "reason": "", "evidence": {}},
    ]
    tally = Tally()
    tally.requests.pairs, tally.requests.disagreements = 300, 4
    tally.outputs["<y>"] = OutputTally({"numbers": 300}, 4, 0, 0.5, 0.1, {-60: 290, -8: 6, 3: 4})
    shadow = {"tally": tally.to_json()} if kind is Kind.SHADOW else None
    progress = Progress(made, "requests", "the candidate has had 50 of 300 requests", history)
    return json.loads(json.dumps(report(progress, records, shadow), allow_nan=False))


def text(view):
    out = io.StringIO()
    Console(file=out, width=240).print(view)
    return out.getvalue()


@pytest.mark.parametrize("kind", Kind)
def test_the_text_says_where_it_stands_why_and_what_was_counted(kind):
    shown = text(report_view(found(kind)))
    for words in ("<m>-7", "1 → 2", "progressing", "the candidate has had 50 of 300 requests"):
        assert words in shown
    assert "aborts at 20" in shown
    assert "the candidate is <ready>" in shown
    assert ("950" in shown) == (kind is not Kind.SHADOW)
    assert ("<y>" in shown) == (kind is Kind.SHADOW)
    assert ("difference" in shown) == (kind is Kind.AB)


@pytest.mark.parametrize("kind", Kind)
def test_the_page_stands_for_itself(kind):
    page = rollout_page(found(kind))
    assert page.startswith("<!doctype html>")
    assert "<m>" not in page
    assert "<y>" not in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") >= {Kind.CANARY: 4, Kind.AB: 4, Kind.SHADOW: 4}[kind]
    assert "log10 of E over time" in page


def test_an_interval_that_is_not_stated_and_evidence_that_is_held_back_say_why():
    by_user = found(Kind.AB, terms=RolloutSpec(steps=(5.0,), sticky="x-user"))
    assert by_user["comparison"]["errors"]["difference"] is None
    assert "the header x-user" in by_user["evidence"]["labels_held"]
    for written in (text(report_view(by_user)), rollout_page(by_user)):
        shown = " ".join(written.split())
        assert "not stated for errors, timeouts" in shown
        assert "nobody counts who sends it" in shown
        assert "many may be one user" in shown


def test_who_has_to_approve_what_is_said():
    waiting = found(Kind.CANARY, require_approval=True)
    assert "approval of sha256:d: nobody yet" in text(report_view(waiting))
    assert "nobody has approved sha256:d" in rollout_page(waiting)


def test_a_report_of_a_rollout_that_has_just_begun():
    made = begin("m-1", Kind.CANARY, "m", (1, 2), "", RolloutSpec(), "ann", 0.0)
    begun = report(Progress(made, "preparing", "it is being loaded"), [], None)
    assert "preparing" in text(report_view(begun))
    assert "preparing" in rollout_page(begun)
    assert "m-1" in text(rollouts_view([summary(Progress(made, "", ""))]))


def test_what_is_not_said_is_not_sent(parsed):
    plain = parsed(["canary", "start", "m", "2"])
    assert (plain.fallback, plain.require_approval, plain.steps) == (None, None, None)
    said = parsed(
        ["canary", "start", "m", "2", "--steps", "5,50", "--no-fallback", "--require-approval"]
    )
    assert (said.fallback, said.require_approval, said.steps) == (False, True, [5.0, 50.0])
    for arguments in (
        ["shadow", "start", "m", "2", "--percent", "10"],
        ["ab", "start", "m", "2", "--sticky-header", "x-user"],
        ["rollout", "report", "m", "-o", "report.html"],
        ["canary", "approve", "m", "--digest", "sha256:d"],
    ):
        assert callable(parsed(arguments).run)


def test_every_term_of_a_rollout_has_a_flag(parsed):
    verbs = (["canary", "start"], ["shadow", "start"], ["ab", "start"])
    named = [vars(parsed([*verb, "m", "2"])) for verb in verbs]
    assert set(_Requested.__struct_fields__) <= set().union(*named)
    terms = ["--slow-factor", "3", "--warm-up", "30s", "--warm-up-requests", "5"]
    for verb in ("canary", "ab"):
        options = parsed([verb, "start", "m", "2", *terms])
        assert (options.slow_factor, options.warm_up, options.warm_up_requests) == (3.0, "30s", 5)


def test_a_server_that_is_not_there_is_one_line_and_status_1(capsys):
    where = ["--admin-url", "http://127.0.0.1:1", "--token", "x"]
    assert main(["canary", "pause", "m", *where]) == 1
    assert capsys.readouterr().err.startswith("penstock: http://127.0.0.1:1 cannot be reached")


def moved(action, phase, percent, second):
    return {
        "time": f"2031-05-01T12:00:{second:02}.000Z",
        "action": f"rollout.{action}",
        "actor": "penstock",
        "reason": "",
        "phase": phase,
        "percent": percent,
        "e_value": 1.0,
    }


def test_the_phases_of_one_that_goes_on_last_until_now():
    shown = found(Kind.CANARY)
    records = [
        moved("start", "preparing", 0.0, 0),
        moved("ready", "progressing", 5.0, 2),
        moved("approve", "progressing", 5.0, 4),  # moves nothing
    ]
    began = datetime.fromisoformat(records[0]["time"]).timestamp()
    shown["looks"]["rows"][-1][0] = began + 30
    shown["timeline"] = records
    first, second = _phases(shown)
    assert (first.label, first.time, first.until) == ("preparing", began, began + 2)
    assert (second.label, second.time, second.until) == ("progressing 5 %", began + 2, began + 30)
    shown["timeline"].append(moved("abort", "aborted", 0.0, 40))
    shown["final"] = True
    last = _phases(shown)[-1]
    assert (last.label, last.until, last.tone) == ("aborted", None, "bad")


def test_one_that_is_promoted_has_all_of_the_traffic():
    shown = found(Kind.CANARY) | {"phase": "promoted", "final": True, "percent": 0.0}
    page = rollout_page(shown)
    assert "<dd>all</dd>" in page
    assert "it is stable now" in page
    assert " all " in text(rollouts_view([shown]))


def test_intervals_are_open_on_the_side_where_there_is_no_bound():
    assert interval_words([None, 0.5], ".3g") == "-∞ to 0.5"
    assert interval_words([0.1, None], ".3g") == "0.1 to ∞"


def test_steps_that_are_no_numbers_are_refused_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["canary", "start", "m", "2", "--steps", "a,b"])
    assert "'a,b' is not a list of percentages" in capsys.readouterr().err


def test_the_page_of_a_shadow_has_the_worst_rows_what_it_said_and_how_it_ended():
    shown = found(Kind.SHADOW)
    tally = shown["shadow"]["tally"]
    tally["worst"] = [
        {
            "request_id": "caller-7",
            "row": 3,
            "severity": 9.0,
            "outputs": {"<y>": {"primary": [2002.0, -4.0], "shadow": ["nan", 0.12345]}},
        }
    ]
    tally["errors"] = [{"text": "it will not <i>", "batches": 2}]
    tally["deaths"] = [{"reason": "memory: it grew", "at": 1000.0}]
    tally["cpu"] |= {"ratio": 1.25, "interval": [1.1, 1.4]}
    page = rollout_page(shown)
    for words in ("caller-7", "2002, -4", "nan, 0.1235", "memory: it grew", "1970-01-01 00:16:40"):
        assert words in page
    assert "1.25 times stable" in page
    assert "typically 1.1 to 1.4" in page
    assert "largest relative one" in page
    assert "<i>" not in page
