from __future__ import annotations

from pathlib import Path

import pytest

from penstock.server.errors import Conflict
from penstock.server.rollout.phase import (
    AUTOMATIC,
    FINAL,
    MANUAL,
    TRANSITIONS,
    Event,
    Phase,
    after,
    diagram,
)

PAGE = Path(__file__).parents[3] / "docs" / "rollouts.md"


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_the_table_is_all_there_is(phase, event):
    if (phase, event) in TRANSITIONS:
        assert after(phase, event) is TRANSITIONS[phase, event]
    else:
        with pytest.raises(Conflict, match=f"that is {phase} cannot {event}; possible is: "):
            after(phase, event)


def test_nothing_leads_out_of_a_final_phase():
    assert not {phase for phase, _ in TRANSITIONS} & FINAL
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - FINAL


def test_every_phase_that_is_not_final_can_be_aborted():
    assert {phase for phase, event in TRANSITIONS if event is Event.ABORT} == set(Phase) - FINAL


def test_every_phase_can_be_reached():
    reached = {Phase.PREPARING}
    for _ in Phase:
        reached |= {then for (phase, _), then in TRANSITIONS.items() if phase in reached}
    assert reached == set(Phase)


def test_every_event_is_somebody_s():
    assert set(Event) == AUTOMATIC | MANUAL


def test_only_a_person_leads_out_of_hold_and_pause_but_into_an_end_without_the_candidate():
    waits = {Phase.HELD, Phase.PAUSED}
    alone = {
        TRANSITIONS[phase, event]
        for phase, event in TRANSITIONS
        if phase in waits and event in AUTOMATIC
    }
    assert alone == {Phase.ABORTED, Phase.FINISHED}


def test_the_documents_show_the_table():
    """Print it anew with `penstock.server.rollout.phase.diagram` when the table changes."""
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text()


def test_a_diagram_names_every_move():
    drawn = diagram()
    for (phase, event), then in TRANSITIONS.items():
        if event is not Event.APPROVE:
            line = next(line for line in drawn.splitlines() if f" {phase} --> {then}:" in line)
            assert event in line.replace("*", "").replace(",", "").split()
