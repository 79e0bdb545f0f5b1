"""A rollout as a page with plots, from the report of the admin port."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import OPERATE
from penstock.server.page.chart import (
    Event,
    Mark,
    Series,
    Threshold,
    bar_chart,
    line_chart,
    timeline,
)
from penstock.server.page.markup import link
from penstock.server.page.page import Figure, Page

from .rollout_words import held_words, interval_words, moment, says
from .shadow_section import shadow_section

if TYPE_CHECKING:
    from penstock.server.page.page import Section

    from .visit import Visit

_TONES: Final = {
    "promoted": "good",
    "finished": "good",
    "aborted": "bad",
    "held": "warning",
    "paused": "warning",
    "awaiting_promotion": "warning",
}
_BEYOND_DOUBT: Final = 1e6
#: What is told of each arm of a segment, and the end of its key.
_COUNTS: Final = {
    "all": "",
    "failed": "_failed",
    "slow": "_slow",
    "labelled": "_labelled",
    "wrong": "_wrong",
}
_KINDS: Final = ("errors", "timeouts", "invalid", "slow", "wrong")


def rollout_page(found: dict[str, Any]) -> str:
    """One self-contained HTML document; see `page_of`."""
    return page_of(found).render(footer=f"terms {found['terms']['digest']}")


def page_of(found: dict[str, Any]) -> Page:
    """The page of a rollout.

    Args:
        found: As ``GET …/rollout/report`` gives it.
    """
    title = f"Rollout {found['id']}"
    page = Page(title, f"version {found['candidate']} beside version {found['stable']}")
    _now(page.section("Now"), found)
    _evidence(page.section("Evidence"), found)
    if found["kind"] == "shadow":
        shadow_section(page.section("Shadow"), found["shadow"])
    else:
        _arms(page.section("Both arms"), found)
        if found["segments"]:
            segments(page.section("Segments"), found["segments"])
    if found["kind"] == "ab":
        _comparison(page.section("Comparison"), found)
    _history(page.section("What happened"), found)
    return page


def no_rollout(model: str, visit: Visit) -> Page:
    """The page of a model that has no rollout.

    Args:
        model: Name of the model.
        visit: Visit that the page is for.
    """
    page = Page(f"Rollout of {model}")
    section = page.section("Now")
    section.text("No version is rolled out, and none was.")
    if visit.may(OPERATE):
        words = "Start a rollout, or plan a canary, on the page of the model"
        section.text(link(words, visit.at("models", model)))
    return page


def _now(section: Section, found: dict[str, Any]) -> None:
    tone = _TONES.get(found["phase"], "")
    against = "bad" if found["e_value"] >= found["aborts_at"] else ""
    section.figures(
        Figure(
            "phase", found["phase"].replace("_", " "), f"since {moment(found['since'])} UTC", tone
        ),
        _share(found),
        Figure("E", _e_words(found["e_value"]), f"aborts at {found['aborts_at']:g}", against),
        Figure("requester", found["requester"], f"{moment(found['started_at'])} UTC"),
    )
    section.callout(found["message"], tone)
    if found["deadline_at"] and not found["final"]:
        section.text(f"Without a conclusion it holds at {moment(found['deadline_at'])} UTC.")
    if found["requires_approval"]:
        given = found["approval"]
        said = "nobody has approved" if given is None else f"{given['by']} has approved"
        section.callout(f"{said} {found['digest']}", "warning" if given is None else "good")


def _share(found: dict[str, Any]) -> Figure:
    """The candidate's, or that it has all there is."""
    if found["phase"] == "promoted":
        return Figure("share", "all", "it is stable now", "good")
    return Figure("share", f"{found['percent']:g} %", f"kind {found['kind']}")


def _evidence(section: Section, found: dict[str, Any]) -> None:
    looks = found["looks"]
    rows = looks["rows"]
    times = [row[0] for row in rows]
    marks = [
        Mark(_seconds(one["time"]), one["action"].removeprefix("rollout."))
        for one in found["timeline"]
    ]
    series = [Series("all", times, [_log(row[2]) for row in rows])]
    for place, part in enumerate(looks["parts"]):
        values = [_log(row[3][place]) if place < len(row[3]) else None for row in rows]
        series.append(Series(part, times, values))
    limit = Threshold(_log(found["aborts_at"]), f"aborts: E = {found['aborts_at']:g}", "bad")
    section.text(
        "E is what somebody would own who bet 1 on the candidate being worse. Its logarithm is "
        "shown. It may be looked at any time: a candidate that is no worse ever reaches the line "
        f"with a probability of {1 / found['aborts_at']:g} at most."
    )
    section.add(
        line_chart("log10 of E over time", series, thresholds=[limit], marks=marks),
        line_chart(
            "Share of the candidate over time",
            [Series("share", times, _shares(found), step=True)],
            unit="%",
            zero=True,
            height=140,
        ),
    )
    table = [[f"against it: {kind}", _e_words(one), ""] for kind, one in found["e_values"].items()]
    said = f"aborts at {found['aborts_at']:g}"
    table.append(["against it: all", _e_words(found["e_value"]), said])
    for kind, one in found["evidence"].items():
        shown = "" if isinstance(one, str) else _e_words(one)
        table.append([kind.replace("_", " "), shown, says(kind, one, found["aborts_at"])])
    section.table(["evidence", "E", "what it does"], table)


def _shares(found: dict[str, Any]) -> list[float]:
    """The candidate's over time; one that is promoted ends with all of the traffic."""
    shares = [row[1] for row in found["looks"]["rows"]]
    if shares and found["phase"] == "promoted":
        shares[-1] = 100.0
    return shares


def _arms(section: Section, found: dict[str, Any]) -> None:
    steps = found["steps"]
    names = [f"{step['percent']:g} %" for step in steps]
    section.add(
        bar_chart(
            "Bad requests of a thousand, by step",
            names,
            {
                arm: [1000 * step[arm]["bad"] / (step[arm]["requests"] or 1) for step in steps]
                for arm in ("stable", "canary")
            },
        )
    )
    headers = ["step", "arm", "requests", *_KINDS, "answered by stable", "observed s"]
    rows: list[list[Any]] = []
    for step in steps:
        for arm in ("stable", "canary"):
            counts = step[arm]
            kinds = [counts[kind] for kind in _KINDS]
            observed = round(step["observed_seconds"])
            row = [f"{step['percent']:g} %", arm, counts["requests"]]
            rows.append([*row, *kinds, counts["fallbacks"], observed])
    section.table(headers, rows)


def segments(section: Section, found: list[dict[str, Any]]) -> None:
    """The counts of each segment, those with most evidence against the candidate first."""
    section.table(
        [
            "segment",
            "E",
            "E of scores",
            *(f"{arm}: {what}" for arm in ("stable", "candidate") for what in _COUNTS),
        ],
        [
            [
                one["segment"],
                _e_words(one["e_value"]),
                _e_words(one["score_change"]),
                *(one[f"{arm}{key}"] for arm in ("stable", "canary") for key in _COUNTS.values()),
            ]
            for one in found
        ],
        "requests; E as above, for the segment alone; E of scores: evidence for another "
        "distribution in the segment, which makes the rollout hold",
    )


def _comparison(section: Section, found: dict[str, Any]) -> None:
    section.table(
        ["rate of", "stable", "candidate", "difference", "ratio"],
        [
            [
                kind,
                f"{one['stable']:.3%}",
                f"{one['canary']:.3%}",
                interval_words(one["difference"], "+.3%"),
                interval_words(one["ratio"], ".3g"),
            ]
            for kind, one in found["comparison"].items()
        ],
        "; ".join(
            ["intervals of 95 % that hold whenever one looks", *held_words(found["comparison"])]
        ),
    )


def _history(section: Section, found: dict[str, Any]) -> None:
    records = found["timeline"]
    if records:
        section.add(timeline("Phases", _phases(found)))
    section.table(
        ["time (UTC)", "by", "action", "phase", "E", "reason"],
        [
            [
                one["time"][:19].replace("T", " "),
                one["actor"],
                one["action"].removeprefix("rollout."),
                one["phase"].replace("_", " "),
                _e_words(one["e_value"]),
                one["reason"],
            ]
            for one in records
        ],
    )


def _phases(found: dict[str, Any]) -> list[Event]:
    """One for each time that the phase or the share changed; the last lasts until now."""
    timeline: list[dict[str, Any]] = found["timeline"]
    moved = timeline[:1] + [
        one for before, one in pairwise(timeline) if _stands(before) != _stands(one)
    ]
    starts = [_seconds(one["time"]) for one in moved]
    rows = found["looks"]["rows"]
    last = max([starts[-1], *(row[0] for row in rows[-1:])])
    ends = [*starts[1:], None if found["final"] else last]
    events = []
    for one, start, end in zip(moved, starts, ends, strict=True):
        phase, percent = _stands(one)
        words = phase.replace("_", " ") + (f" {percent:g} %" if percent else "")
        events.append(Event(start, words, end, _TONES.get(phase, ""), one["reason"]))
    return events


def _stands(record: dict[str, Any]) -> tuple[str, float]:
    return record["phase"], record["percent"]


def _e_words(value: float) -> str:
    """Beyond a million nobody doubts any more."""
    if value > _BEYOND_DOUBT:
        return "over a million"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004  no 7.4e+04


def _log(value: float) -> float:
    return math.log10(max(value, 1e-6))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
