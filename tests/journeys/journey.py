"""What of a trace is a journey, and what `docs/design.md` says of it.

A file stands on a journey where the run goes through it: one of its functions calls a function of
another file. Files that only give back a value, such as data types, errors and constants, are ends:
the page may name them and need not. Nor does it name what lies in a folder of `ASIDE`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tracer import Entry, Function

#: Folders and files that count as ends: what every process has, helpers that every room uses, what
#: lies behind the contract of the runtimes, the inspection of ONNX files, and the traffic that
#: control measures every ten seconds.
ASIDE: Final = (
    "monitoring/files/",
    "monitoring/metrics/",
    "runtimes/",
    "server/control/api/traffic.py",
    "server/config/",
    "server/errors/",
    "server/files/",
    "server/onnx_file/",
    "server/processes/",
)
#: A heading of the page, and a line of the list below it.
_HEADING: Final = re.compile(r"^### Journey: (.+)$")
_LINE: Final = re.compile(r"^\d+\. `([a-z_0-9/]+\.py)`(?:: \S|$)")


@dataclass(frozen=True, slots=True)
class Journey:
    """The files of one run.

    Attributes:
        through: Files that the run goes through, in the order in which it enters them.
        entered: All files that it enters, in the same order.
        stays: How often the run was in a file at one time: consecutive calls in one file are one
            stay.
    """

    through: tuple[str, ...]
    entered: tuple[str, ...]
    stays: int

    @property
    def returns(self) -> int:
        """Stays in files where the run had been before."""
        return self.stays - len(self.entered)


def journey(
    entries: Iterable[Entry], idle: Iterable[Entry] = (), within: tuple[str, ...] = ("",)
) -> Journey:
    """The journey of a run.

    Args:
        entries: Of the run, in the order of time.
        idle: Of the same processes while nothing happened: a function that they enter all the time
            is no part of the run, but its file is if it calls one that is.
        within: Folders and files; others are no part of the journey.
    """
    always = {(one.process, one.function) for one in idle}
    run = [one for one in entries if (one.process, one.function) not in always]
    through = {
        one.caller.file
        for one in run
        if one.caller is not None
        and one.caller.file != one.function.file
        and not is_aside(one.function.file)
        and not is_aside(one.caller.file)
    }
    files = [file for file in _files(run, always) if file.startswith(within)]
    entered = tuple(dict.fromkeys(files))
    stays = bool(files) + sum(a != b for a, b in pairwise(files))
    return Journey(tuple(one for one in entered if one in through), entered, stays)


def _files(run: Iterable[Entry], always: Collection[tuple[str, Function]]) -> Iterator[str]:
    """The files that are entered, one call after the other."""
    for one in run:
        if one.caller is not None and (one.process, one.caller) in always:
            yield one.caller.file
        yield one.function.file


def common(runs: Sequence[Journey]) -> Journey:
    """What is the same in several runs: what a timer did in one of them is no part of it."""
    last = runs[-1]
    through = tuple(file for file in last.through if all(file in one.through for one in runs))
    entered = tuple(file for file in last.entered if all(file in one.entered for one in runs))
    return Journey(through, entered, last.stays)


def is_aside(file: str) -> bool:
    return file.startswith(ASIDE)


def journeys_of(page: str) -> dict[str, list[str]]:
    """By the name of a journey, the files that a page lists below its heading."""
    found: dict[str, list[str]] = {}
    files: list[str] | None = None
    for line in page.splitlines():
        if line.startswith("#"):
            heading = _HEADING.match(line)
            files = None if heading is None else found.setdefault(heading[1], [])
        elif files is not None and (entry := _LINE.match(line)) is not None:
            files.append(entry[1])
    return found


def complaints(listed: Sequence[str], run: Journey, timed: Collection[str] = ()) -> list[str]:
    """How a list of the page differs from a run; empty if it is right.

    Args:
        listed: Files of the page, in order.
        run: What was entered.
        timed: Files that a timer enters, too, so that their place in a run is chance.
    """
    wrong = [f"the run does not enter {file}" for file in listed if file not in run.entered]
    wrong += [f"{file} is named twice" for file in {*listed} if listed.count(file) > 1]
    wrong += [f"{file} is left out" for file in run.through if file not in listed]
    placed = [file for file in listed if file in run.entered and file not in timed]
    places = [run.entered.index(file) for file in placed]
    ordered = [file for file in run.entered if file in placed]
    if places != sorted(places):
        wrong.append(f"the order of the run is {', '.join(ordered)}")
    return wrong
