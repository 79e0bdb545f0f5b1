"""When a process stands still and which version is to blame, by simulated looks and deaths."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.processes.pulse import Label, Mark, Pulse, Reading, read_pulse
from penstock.server.processes.watchdog import (
    ALIKE_DEATHS,
    DEATHS,
    LOAD_GRACE_SECONDS,
    PATIENT_STALL_SECONDS,
    STALL_SECONDS,
    START_SECONDS,
    WINDOW_SECONDS,
    Death,
    ProcessState,
    Watched,
    check,
    condemned,
    suspects_of,
)

BAD = Label("bad", "1", 60.0)
GOOD = Label("good", "2", 60.0)
ON_LOOP = Mark(0, BAD, 5.0, 100, loading=False)
ON_THREAD = Mark(1, GOOD, 6.0, 101, loading=False)
LOAD = Mark(3, BAD, 5.0, 103, loading=True)


class Watch:
    """Looks at one process, once a second unless told otherwise."""

    def __init__(self, *, worker=True):
        self.now = 0.0
        self.waited = 0.0
        self.beats = 0
        self.watched = Watched(0.0)
        self.worker = worker

    def process_state(self, *marks, beat=False, step=1.0, waited=0.0, state="S", born=True):
        self.now += step
        self.waited += waited
        self.beats += beat
        reading = Reading(1, self.beats, marks, 2) if born else None
        process_state = ProcessState(state, self.waited)
        return check(self.watched, reading, process_state, self.now, worker=self.worker)

    def until_fault(self, *marks, most=2000, **how):
        """How many seconds passed until the fault, and the fault."""
        began = self.now
        for _ in range(most):
            fault = self.process_state(*marks, **how)
            if fault is not None:
                return self.now - began, fault
        return None, None


def alive(**how):
    watch = Watch(**how)
    for _ in range(3):
        assert watch.process_state(beat=True) is None
    return watch


def test_a_loop_that_stands_still_is_noticed_within_seconds_and_its_run_is_the_suspect():
    seconds, fault = alive().until_fault(ON_LOOP, ON_THREAD, state="R")
    assert STALL_SECONDS < seconds <= STALL_SECONDS + 2
    assert fault.suspects == (BAD,)
    assert "version 1 of model 'bad' ran" in fault.reason


def test_a_stopped_process_is_noticed_and_no_version_is_blamed():
    seconds, fault = alive().until_fault(ON_THREAD, state="T")
    assert seconds <= STALL_SECONDS + 2
    assert fault.suspects == ()
    assert "was stopped by a signal" in fault.reason


def test_a_busy_machine_is_no_fault():
    """All of the time it waits for a processor: not one heartbeat in an hour."""
    assert alive().until_fault(waited=1.0, state="R", most=3600) == (None, None)


def test_on_a_half_busy_machine_an_endless_run_is_noticed_in_twice_the_time():
    seconds, fault = alive().until_fault(ON_LOOP, waited=0.5, state="R")
    assert seconds <= 2 * STALL_SECONDS + 2
    assert fault.suspects == (BAD,)


def test_a_machine_that_slept_is_no_fault():
    watch = alive()
    for _ in range(3):
        assert watch.process_state(step=3600.0) is None
        assert watch.process_state(beat=True) is None


def test_a_wait_for_a_disk_is_no_fault():
    assert alive().until_fault(state="D", most=3600) == (None, None)


def test_a_load_may_hold_the_interpreter_for_longer():
    seconds, fault = alive().until_fault(LOAD, state="R")
    assert PATIENT_STALL_SECONDS < seconds <= PATIENT_STALL_SECONDS + 2
    assert fault.suspects == (BAD,)
    seconds, _ = alive(worker=False).until_fault(state="S")
    assert seconds > PATIENT_STALL_SECONDS


@pytest.mark.parametrize(("mark", "limit"), [(ON_THREAD, 60.0), (LOAD, 60.0 + LOAD_GRACE_SECONDS)])
def test_a_run_and_a_load_on_a_thread_have_limits(mark, limit):
    seconds, fault = alive().until_fault(mark, beat=True)
    assert limit < seconds <= limit + 3
    assert fault.suspects == (mark.label,)


def test_many_runs_of_one_version_are_not_one_long_run():
    watch = alive()
    for number in range(500):
        mark = Mark(1, GOOD, float(number), 101, loading=False)
        assert watch.process_state(mark, beat=True) is None


def test_who_is_never_born_is_killed_in_the_end():
    seconds, fault = Watch().until_fault(born=False)
    assert START_SECONDS < seconds <= START_SECONDS + 3
    assert fault.suspects == ()


# -- who is to blame ---------------------------------------------------------------------------

READING = Reading(1, 9, (ON_LOOP, ON_THREAD), 2)


def blamed(code, thread=None, *, starved=False, reading=READING):
    return suspects_of(code, reading, None, thread, starved=starved)


@pytest.mark.parametrize("number", ["SIGSEGV", "SIGFPE", "SIGABRT", "SIGILL", "SIGBUS"])
def test_a_crash_is_blamed_on_the_thread_that_crashed(number):
    code = -getattr(signal, number)
    assert blamed(code, 101) == (GOOD,)
    assert blamed(code) == blamed(code, 999) == (BAD, GOOD)
    assert blamed(code, reading=None) == ()


def test_what_somebody_else_did_is_blamed_on_nobody():
    assert blamed(-signal.SIGKILL) == blamed(-signal.SIGTERM) == blamed(78) == ()
    assert blamed(-signal.SIGKILL, starved=True) == (BAD, GOOD)
    assert blamed(1) == blamed(0) == (BAD, GOOD)  # native code may call exit()


def death(at, *suspects):
    return Death("worker-0", "was killed by SIGFPE", at, suspects)


X, Y, Z = ("x", "1"), ("y", "1"), ("z", "1")


def test_after_three_deaths_within_the_window_a_version_is_taken_out():
    deaths = [death(at, X) for at in (1.0, 2.0, 3.0)]
    assert DEATHS == 3
    assert condemned(deaths[:2], 3.0) == {}
    assert list(condemned(deaths, 3.0)) == [X]
    assert "load it by command" in condemned(deaths, 3.0)[X]
    assert condemned(deaths, 1.5 + WINDOW_SECONDS) == {}
    assert condemned(deaths, 4.0, {X: 2.0}) == {}, "an operator said after two of them: try again"


def test_a_version_with_much_traffic_is_not_blamed_for_the_one_that_crashes():
    deaths = [death(1.0, X, Y), death(2.0, X), death(3.0, X, Y), death(4.0, X, Y)]
    assert list(condemned(deaths, 5.0)) == [X]


def test_versions_that_cannot_be_told_apart_get_more_time():
    deaths = [death(float(at), X, Y) for at in range(1, ALIKE_DEATHS)]
    assert condemned(deaths, 10.0) == {}
    deaths.append(death(9.0, X, Y))
    assert set(condemned(deaths, 10.0)) == {X, Y}
    assert set(condemned([*deaths[:3], death(9.0, X)], 10.0)) == {X}


@given(st.lists(st.sampled_from([(X,), (X, Y), (Y, Z), (Z,), (X, Y, Z)]), max_size=12))
def test_whoever_is_condemned_was_there_often_enough_and_two_bad_ones_are_both_found(suspects):
    deaths = [death(float(at), *one) for at, one in enumerate(suspects)]
    found = condemned(deaths, 100.0)
    for one in found:
        assert sum(one in names for names in suspects) >= DEATHS
    for one in (X, Z):
        if all(names == (one,) for names in suspects) and len(suspects) >= DEATHS:
            assert list(found) == [one]


# -- signs of life -----------------------------------------------------------------------------


def test_what_is_written_is_read_by_others_also_after_the_end(tmp_path):
    pulse = Pulse.create(tmp_path / "worker-0", 2)
    assert read_pulse(tmp_path / "worker-0").marks == ()
    pulse.beat()
    number = pulse.mark(BAD)
    assert pulse.mark(BAD) == number
    assert pulse.mark(GOOD) != number
    pulse.marks.running[0], pulse.marks.since[0] = number, 5.0
    pulse.marks.register(0)
    pulse.marks.running[pulse.loading_slot] = pulse.mark(GOOD)
    reading = read_pulse(tmp_path / "worker-0")
    assert reading.beats == 1
    assert [(one.slot, one.label, one.loading) for one in reading.marks] == [
        (0, BAD, False),
        (3, GOOD, True),
    ]
    pulse.clear()
    assert read_pulse(tmp_path / "worker-0").marks == ()


def test_versions_beyond_the_room_have_no_mark_and_damage_is_no_sign_of_life(tmp_path):
    pulse = Pulse.private(1)
    assert pulse.mark(Label("m" * 1000, "1", 1.0)) == 0
    path = tmp_path / "x"
    assert read_pulse(path) is None
    for damage in (b"", b"x" * 10, b"\xff" * 4096, bytes(4096)):
        path.write_bytes(damage)
        assert read_pulse(path) is None
