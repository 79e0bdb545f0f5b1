"""Decides that a process stands still, and which version is to blame when one dies. Pure.

Time counts only as far as the watched process could have used it: not what it waited for a
processor, not what it spent in an uninterruptible wait for a disk, and of the time between two
looks no more than a little, since the machine or the whole server may have been suspended.
"""

from __future__ import annotations

import math
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .exits import NATIVE_CRASHES
from .restart import EXIT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .pulse import Label, Mark, Reading

#: Between two looks, and the most that one of them counts.
CHECK_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 1.5
#: The event loop of a worker has a heartbeat each second; without one for so long it is killed.
STALL_SECONDS: Final = 6.0
#: The same while it loads a version, which may hold the interpreter, and of other processes, which
#: wait for disks.
PATIENT_STALL_SECONDS: Final = 30.0
#: A process has its first heartbeat after its imports.
START_SECONDS: Final = 120.0
#: Added to the limit of a load, of which the trial has the first word.
LOAD_GRACE_SECONDS: Final = 5.0

#: A version that is to blame for so many deaths within the window is taken out of service.
DEATHS: Final = 3
WINDOW_SECONDS: Final = 900.0
#: Several versions that ran at every one of the deaths cannot be told apart; after so many all go.
ALIKE_DEATHS: Final = 6

#: The same for the processes of an isolated version: each death costs that version a moment only.
ISOLATED_DEATHS: Final = 5

#: Model and version.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The state of a process, as the kernel has it.

    Attributes:
        state: One letter, as proc(5) has it.
        waited_seconds: Seconds that its event loop has waited for a processor since its start.
    """

    state: str
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why a process has to be killed.

    Attributes:
        reason: In words, after the name of the process.
        suspects: The versions that its threads ran or loaded.
    """

    reason: str
    suspects: tuple[Label, ...] = ()


@dataclass(slots=True)
class Watched:
    """The memory of a process between two looks.

    Attributes:
        beats: Heartbeats at the last look; -1 before the first.
        still: Seconds since the last new one, as far as they count.
        waited: `ProcessState.waited_seconds` at the last look.
        at: Monotonic seconds of the last look.
        spent: By slot, when its run began and how many seconds of it count.
    """

    at: float
    beats: int = -1
    still: float = 0.0
    waited: float = 0.0
    spent: dict[int, tuple[float, float]] = field(default_factory=dict)


def check(
    watched: Watched,
    reading: Reading | None,
    process_state: ProcessState,
    now: float,
    *,
    worker: bool,
) -> Fault | None:
    """Look at one process; `watched` is brought up to date.

    Args:
        watched: Known facts of this incarnation of the process.
        reading: Its signs of life; ``None`` before there are any.
        process_state: State of the process by the kernel.
        now: Monotonic seconds.
        worker: Whether requests wait for it.
    """
    elapsed = min(now - watched.at, _MOST_SECONDS)
    counted = max(0.0, elapsed - max(0.0, process_state.waited_seconds - watched.waited))
    if process_state.state == "D":
        counted = 0.0
    watched.at, watched.waited = now, process_state.waited_seconds
    beats = -1 if reading is None else reading.beats
    watched.still = 0.0 if beats != watched.beats else watched.still + counted
    watched.beats = beats
    if reading is None or beats <= 0:
        if watched.still > START_SECONDS:
            return Fault(f"showed no sign of life for {watched.still:.0f} s")
        return None
    stall = _stalled(watched, reading, process_state, worker=worker)
    return stall or _overdue(watched, reading, counted)


def _stalled(
    watched: Watched, reading: Reading, process_state: ProcessState, *, worker: bool
) -> Fault | None:
    on_loop = [mark for mark in reading.marks if mark.slot == 0]
    loading = [mark for mark in reading.marks if mark.loading]
    patient = not worker or (loading and not on_loop)
    if watched.still <= (PATIENT_STALL_SECONDS if patient else STALL_SECONDS):
        return None
    if process_state.state in {"T", "t"}:
        return Fault(f"was stopped by a signal for {watched.still:.0f} s")
    suspects = on_loop or loading or list(reading.marks)
    told = f" while {_named(suspects)}" if suspects else ""
    reason = f"stood still for {watched.still:.0f} s{told}"
    return Fault(reason, tuple(mark.label for mark in suspects))


def _overdue(watched: Watched, reading: Reading, counted: float) -> Fault | None:
    """A load or a run on a thread that takes too long; on the loop that is a stall."""
    before, watched.spent = watched.spent, {}
    for mark in reading.marks:
        since, spent = before.get(mark.slot, (mark.since, 0.0))
        spent = spent + counted if since == mark.since else 0.0
        watched.spent[mark.slot] = (mark.since, spent)
        limit = mark.label.limit_seconds + (LOAD_GRACE_SECONDS if mark.loading else 0.0)
        if mark.slot and spent > limit:
            reason = f"was at the same for {spent:.0f} s, limit {limit:g} s: {_named([mark])}"
            return Fault(reason, (mark.label,))
    return None


def _named(marks: Iterable[Mark]) -> str:
    done = {
        f"version {mark.label.version} of model {mark.label.model!r} "
        f"{'was loaded' if mark.loading else 'ran'}"
        for mark in marks
    }
    return ", ".join(sorted(done))


def suspects_of(
    code: int, reading: Reading | None, fault: Fault | None, thread: int | None, *, starved: bool
) -> tuple[Label, ...]:
    """The versions that may be to blame for a death.

    Only native code that crashes, ends the process or stands still is blamed on a version: a
    process that somebody kills was at something, too.

    Args:
        code: Exit code, as `subprocess` has it.
        reading: The last signs of life.
        fault: Reason for which the supervisor killed it, if it did.
        thread: Identity of the thread that crashed, if that is known.
        starved: Whether the kernel ended processes for memory meanwhile.
    """
    if fault is not None:
        return fault.suspects
    native = -code in NATIVE_CRASHES or (code >= 0 and code != EXIT_CONFIG)
    if reading is None or not (native or (code == -signal.SIGKILL and starved)):
        return ()
    crashed = [mark.label for mark in reading.marks if mark.thread == thread]
    return tuple(dict.fromkeys(crashed or [mark.label for mark in reading.marks]))


@dataclass(frozen=True, slots=True)
class Death:
    """The death of a process that may be the fault of a version.

    Attributes:
        process: Name of the process.
        how: End of the process, in words that follow its name.
        at: Unix seconds.
        suspects: Versions that may be to blame.
    """

    process: str
    how: str
    at: float
    suspects: tuple[Key, ...]


def condemned(
    deaths: Iterable[Death], now: float, pardoned: Mapping[Key, float] | None = None
) -> dict[Key, str]:
    """The versions to take out of service, and why.

    The version that is suspect most often explains the deaths that it was suspect of; the others
    must have deaths of their own. So a version with much traffic, which runs whenever anything
    crashes, is not blamed for the crashes of another version.

    Args:
        deaths: The latest deaths.
        now: Unix seconds.
        pardoned: Time at which an operator last asked to try a version again, by version.
    """
    pardoned = pardoned or {}
    open_deaths = [
        (death, {one for one in death.suspects if death.at > pardoned.get(one, -math.inf)})
        for death in deaths
        if 0 <= now - death.at <= WINDOW_SECONDS
    ]
    found: dict[Key, str] = {}
    while True:
        counts = Counter(one for _, suspects in open_deaths for one in suspects)
        most = max(counts.values(), default=0)
        leaders = {one for one, count in counts.items() if count == most}
        if most < DEATHS or (len(leaders) > 1 and most < ALIKE_DEATHS):
            return found
        for leader in leaders:
            last = [death for death, suspects in open_deaths if leader in suspects][-1]
            found[leader] = (
                f"taken out of service: {most} processes died over it within "
                f"{WINDOW_SECONDS / 60:.0f} minutes; the last one, {last.process}, {last.how}; "
                "load it by command to try it again"
            )
        open_deaths = [one for one in open_deaths if not one[1] & leaders]


def crashing(
    deaths: Iterable[Death], now: float, pardoned: Mapping[Key, float] | None = None
) -> dict[Key, str]:
    """The isolated versions to take out of service, and why.

    Args:
        deaths: The last ones of their processes, each with the version that ran in it.
        now: Unix seconds.
        pardoned: Time at which an operator last asked to try a version again, by version.
    """
    pardoned = pardoned or {}
    found: dict[Key, list[Death]] = {}
    for death in deaths:
        for one in death.suspects:
            if 0 <= now - death.at <= WINDOW_SECONDS and death.at > pardoned.get(one, -math.inf):
                found.setdefault(one, []).append(death)
    return {
        key: f"taken out of service: {len(own)} of its processes died within "
        f"{WINDOW_SECONDS / 60:.0f} minutes; the last one {own[-1].how}; load it by command to "
        "try it again"
        for key, own in found.items()
        if len(own) >= ISOLATED_DEATHS
    }
