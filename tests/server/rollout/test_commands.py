from __future__ import annotations

from dataclasses import replace

import pytest
from strategies import started

from penstock.server.errors import Conflict, Forbidden
from penstock.server.rollout import commands
from penstock.server.rollout.phase import FINAL, Phase
from penstock.server.rollout.rollout import Approval, Step
from penstock.server.rollout.rollout_spec import Kind


def at(phase, kind=Kind.CANARY, **terms):
    return replace(started(kind, **terms), phase=phase, steps=(Step(5.0),))


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.HELD, Phase.AWAITING_PROMOTION])
def test_pause_and_resume_keep_the_share(phase):
    paused = commands.pause(at(phase), "bob", "lunch", 5.0)
    assert (paused.phase, paused.reason, paused.cause) == (Phase.PAUSED, "lunch", "operator")
    assert (paused.by, paused.phase_since, paused.percent) == ("bob", 5.0, 5.0)
    resumed = commands.resume(paused, "bob", "", 6.0)
    assert (resumed.phase, resumed.reason, resumed.percent) == (Phase.PROGRESSING, "resumed", 5.0)


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PAUSED, *sorted(FINAL)])
def test_pause_has_to_be_possible(phase):
    with pytest.raises(Conflict, match=f"that is {phase} cannot pause"):
        commands.pause(at(phase), "bob", "", 5.0)


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.PAUSED, Phase.HELD}))
def test_resume_needs_something_to_resume(phase):
    with pytest.raises(Conflict, match=f"that is {phase} cannot resume"):
        commands.resume(at(phase), "bob", "", 5.0)


def test_resume_accepts_what_it_was_held_for():
    held = replace(at(Phase.HELD), cause="scores")
    assert commands.resume(held, "bob", "seen", 5.0).accepted == ("scores",)
    assert commands.resume(replace(held, cause="deadline"), "bob", "", 5.0).accepted == ()


def test_resume_after_the_deadline_begins_another():
    held = at(Phase.HELD, deadline_seconds=60.0)
    assert commands.resume(held, "bob", "", 59.0).deadline_at == 60.0
    assert commands.resume(held, "bob", "", 100.0).deadline_at == 160.0


@pytest.mark.parametrize("phase", sorted(set(Phase) - FINAL))
def test_an_approval_can_be_given_at_any_time_and_moves_nothing(phase):
    approved = commands.approve(at(phase, require_approval=True), "bob", "sha256:2", 5.0)
    assert approved.approval == Approval("bob", "sha256:2", 5.0)
    assert approved.approved
    assert approved.phase is phase


def test_nobody_approves_what_he_asked_for():
    with pytest.raises(Forbidden, match="ann started rollout m-1 and cannot approve it"):
        commands.approve(at(Phase.PROGRESSING), "ann", "sha256:2", 5.0)


@pytest.mark.parametrize("digest", ["sha256:3", ""])
def test_an_approval_is_for_one_digest(digest):
    with pytest.raises(Conflict, match="the candidate's digest is sha256:2, you approved"):
        commands.approve(at(Phase.PROGRESSING), "bob", digest, 5.0)


@pytest.mark.parametrize("phase", sorted(FINAL))
def test_there_is_nothing_to_approve_after_the_end(phase):
    with pytest.raises(Conflict, match="there is nothing to approve"):
        commands.approve(at(phase), "bob", "sha256:2", 5.0)


@pytest.mark.parametrize(
    "approval",
    [None, Approval("ann", "sha256:2", 1.0), Approval("bob", "sha256:1", 1.0)],
)
@pytest.mark.parametrize("who", ["ann", "bob"])
def test_not_even_a_person_promotes_past_a_required_approval(approval, who):
    rollout = replace(at(Phase.AWAITING_PROMOTION, require_approval=True), approval=approval)
    with pytest.raises(Conflict, match="requires the approval of its candidate sha256:2"):
        commands.promote(rollout, who, "", 5.0)


def test_an_approved_one_is_promoted():
    rollout = commands.approve(at(Phase.HELD, require_approval=True), "bob", "sha256:2", 5.0)
    assert commands.promote(rollout, "ann", "good", 6.0).phase is Phase.PROMOTED


@pytest.mark.parametrize(
    "phase", [Phase.PROGRESSING, Phase.HELD, Phase.PAUSED, Phase.AWAITING_PROMOTION]
)
def test_a_person_promotes_when_he_likes(phase):
    promoted = commands.promote(at(phase), "ann", "", 5.0)
    assert (promoted.phase, promoted.percent) == (Phase.PROMOTED, 0.0)


@pytest.mark.parametrize("phase", [Phase.PREPARING, *sorted(FINAL)])
def test_what_is_not_ready_or_over_is_not_promoted(phase):
    with pytest.raises(Conflict, match=f"that is {phase} cannot promote"):
        commands.promote(at(phase, require_approval=False), "ann", "", 5.0)


def test_a_shadow_is_not_promoted():
    with pytest.raises(Conflict, match="is a shadow, whose candidate serves nobody"):
        commands.promote(at(Phase.PROGRESSING, Kind.SHADOW), "ann", "", 5.0)


@pytest.mark.parametrize("phase", sorted(set(Phase) - FINAL))
def test_a_person_aborts_when_he_likes(phase):
    aborted = commands.abort(at(phase), "bob", "complaints", 5.0)
    assert (aborted.phase, aborted.percent, aborted.reason) == (Phase.ABORTED, 0.0, "complaints")


@pytest.mark.parametrize(
    "command", [commands.pause, commands.resume, commands.abort, commands.finish, commands.promote]
)
@pytest.mark.parametrize("phase", sorted(FINAL))
def test_what_is_over_stays_over(command, phase):
    with pytest.raises(Conflict):
        command(at(phase, Kind.AB), "bob", "", 5.0)


@pytest.mark.parametrize("kind", [Kind.SHADOW, Kind.AB])
def test_a_comparison_is_finished_by_a_person(kind):
    assert commands.finish(at(Phase.PROGRESSING, kind), "bob", "", 5.0).phase is Phase.FINISHED


def test_a_canary_is_not_finished_but_promoted_or_aborted():
    with pytest.raises(Conflict, match="is a canary; promote or abort it"):
        commands.finish(at(Phase.PROGRESSING), "bob", "", 5.0)
