"""Which files make a journey, and what a wrong list of them looks like."""

from __future__ import annotations

import pytest
from journey import common, complaints, journey, journeys_of
from tracer import Entry, Function


def call(caller: str, function: str, process: str = "p") -> Entry:
    """A call from ``file:name`` to ``file:name``; without a caller it comes from the loop."""
    file, _, name = function.partition(":")
    above, _, above_name = caller.partition(":")
    return Entry(
        0, process, 1, Function(file, 1, name), Function(above, 1, above_name) if caller else None
    )


RUN = [
    call("", "server/a.py:begin"),
    call("server/a.py:begin", "server/b.py:go"),
    call("server/b.py:go", "server/files/x.py:read"),
    call("server/b.py:go", "server/c.py:value"),
    call("server/a.py:begin", "server/d.py:look"),
    call("server/d.py:look", "server/files/x.py:read"),
]


def test_a_journey_goes_through_files_and_ends_in_others() -> None:
    found = journey(RUN)
    assert found.through == ("server/a.py", "server/b.py")
    assert found.entered == (
        "server/a.py", "server/b.py", "server/files/x.py", "server/c.py", "server/d.py",
    )  # fmt: skip
    assert (found.stays, found.returns) == (6, 1)


def test_what_a_process_does_all_the_time_is_no_part_of_it() -> None:
    found = journey(RUN, [call("", "server/c.py:value"), call("", "server/a.py:begin", "other")])
    assert "server/c.py" not in found.entered
    assert "server/a.py" in found.entered


def test_what_it_does_all_the_time_is_a_part_where_it_calls_what_it_does_not() -> None:
    assert journey(RUN, [call("", "server/b.py:go")]).through == ("server/a.py", "server/b.py")


def test_what_lies_outside_of_the_folders_asked_for_is_no_part_of_it() -> None:
    found = journey(RUN, within=("server/b.py", "server/c.py"))
    assert (found.through, found.entered) == (("server/b.py",), ("server/b.py", "server/c.py"))


def test_what_happens_in_one_run_only_is_no_part_of_it() -> None:
    timer = [call("", "server/t.py:tick"), call("server/t.py:tick", "server/c.py:value")]
    assert common([journey([*RUN, *timer]), journey(RUN)]) == journey(RUN)


@pytest.mark.parametrize(
    ("listed", "complaint"),
    [
        (["server/a.py"], "server/b.py is left out"),
        (["server/a.py", "server/b.py", "server/z.py"], "the run does not enter server/z.py"),
        (["server/b.py", "server/a.py"], "the order of the run is server/a.py, server/b.py"),
        (["server/a.py", "server/b.py", "server/b.py"], "server/b.py is named twice"),
    ],
)
def test_a_wrong_list_is_found(listed: list[str], complaint: str) -> None:
    assert complaint in complaints(listed, journey(RUN))


@pytest.mark.parametrize(
    "listed",
    [["server/a.py", "server/b.py"], ["server/a.py", "server/b.py", "server/c.py", "server/d.py"]],
    ids=["what it goes through", "with ends"],
)
def test_a_right_list_passes(listed: list[str]) -> None:
    assert complaints(listed, journey(RUN)) == []


def test_lists_are_read_from_below_their_headings() -> None:
    page = (
        "1. `server/no.py`: Not below a heading.\n"
        "### Journey: a trip\n\n1. `server/a.py`: It begins.\n2. `server/b.py`: It goes on.\n"
        "### Another\n1. `server/no.py`: Nor here.\n"
    )
    assert journeys_of(page) == {"a trip": ["server/a.py", "server/b.py"]}
