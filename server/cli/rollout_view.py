"""Rollouts as text: one line each, or everything about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.console.rollout_words import (
    cpu_words,
    held_words,
    interval_words,
    moment,
    says,
)

from .output import plain, table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_STYLES: Final = {
    "promoted": "green",
    "finished": "green",
    "aborted": "red",
    "held": "yellow",
    "paused": "yellow",
    "awaiting_promotion": "yellow",
}
#: Segments that are shown.
_MOST_SEGMENTS: Final = 10
_KINDS: Final = ("errors", "timeouts", "invalid", "slow", "wrong", "fallbacks")


def rollouts_view(rollouts: list[dict[str, Any]]) -> RenderableType:
    """One line for each rollout."""
    made = table("rollout", "kind", "versions", "phase", "share", "since", "E", "now")
    for one in rollouts:
        made.add_row(
            plain(one["id"]),
            one["kind"],
            f"{one['stable']} → {one['candidate']}",
            _phase(one["phase"]),
            "all" if one["phase"] == "promoted" else f"{one['percent']:g} %",
            moment(one["since"]),
            f"{one['e_value']:.3g} of {one['aborts_at']:g}",
            plain(one["message"]),
        )
    return made


def report_view(found: dict[str, Any]) -> RenderableType:
    """Everything about one rollout."""
    from rich.console import Group

    parts: list[RenderableType] = [rollouts_view([found]), "", _evidence_view(found), ""]
    if found["shadow"] is not None:
        parts += [_shadow_view(found), ""]
    elif found["kind"] != "shadow":
        parts += [_steps_view(found), ""]
    if found["segments"]:
        parts += [_segments_view(found), ""]
    if found["kind"] == "ab":
        parts += [_comparison_view(found), ""]
    parts.append(_timeline_view(found))
    if found["requires_approval"]:
        given = found["approval"]
        said = "nobody yet" if given is None else f"{given['by']}, {moment(given['at'])}"
        parts.append(f"approval of {plain(found['digest'])}: {plain(said)}")
    return Group(*parts)


def _evidence_view(found: dict[str, Any]) -> Table:
    made = table("evidence against the candidate", "E", "")
    for kind, value in found["e_values"].items():
        made.add_row(kind, f"{value:.3g}", "")
    made.add_row("all", f"{found['e_value']:.3g}", f"aborts at {found['aborts_at']:g}")
    for kind, value in found["evidence"].items():
        shown = "" if isinstance(value, str) else f"{value:.3g}"
        made.add_row(kind.replace("_", " "), shown, plain(says(kind, value, found["aborts_at"])))
    return made


def _steps_view(found: dict[str, Any]) -> Table:
    made = table("share", "arm", "requests", *_KINDS, "observed")
    for step in found["steps"]:
        for arm in ("stable", "canary"):
            counts = step[arm]
            made.add_row(
                f"{step['percent']:g} %" if arm == "stable" else "",
                arm,
                str(counts["requests"]),
                *(str(counts[kind]) for kind in _KINDS),
                f"{step['observed_seconds']:.0f} s" if arm == "stable" else "",
            )
    return made


def _segments_view(found: dict[str, Any]) -> Table:
    """The segments with most evidence against the candidate."""
    made = table("segment", "E", "arm", "requests", "failed", "slow", "labelled", "wrong")
    for one in found["segments"][:_MOST_SEGMENTS]:
        for arm in ("stable", "canary"):
            first = (
                [plain(one["segment"]), f"{one['e_value']:.3g}"] if arm == "stable" else ["", ""]
            )
            names = (arm, *(f"{arm}_{kind}" for kind in ("failed", "slow", "labelled", "wrong")))
            made.add_row(*first, arm, *(str(one[name]) for name in names))
    more = len(found["segments"]) - _MOST_SEGMENTS
    made.caption = f"and {more} segments more, with less evidence" if more > 0 else None
    return made


def _comparison_view(found: dict[str, Any]) -> Table:
    made = table("rate of", "stable", "candidate", "difference", "ratio")
    for kind, one in found["comparison"].items():
        made.add_row(
            kind,
            f"{one['stable']:.3%}",
            f"{one['canary']:.3%}",
            interval_words(one["difference"], "+.3%"),
            interval_words(one["ratio"], ".3g"),
        )
    lines = ["intervals of 95 % that hold whenever one looks", *held_words(found["comparison"])]
    made.caption = "\n".join(map(plain, lines))
    return made


def _shadow_view(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    tally = found["shadow"]["tally"]
    made = table("of the shadow", "pairs", "disagree", "failed", "invalid", "dropped")
    for unit in ("requests", "rows"):
        one = tally[unit]
        names = ("pairs", "disagreements", "failures", "invalid", "dropped")
        made.add_row(unit, *(str(one[name]) for name in names))
    outputs = table("output", "compared", "rows differ", "largest", "relative", "p99 differs by")
    for name, one in sorted(tally["outputs"].items()):
        quantile = one["quantiles"].get("0.99")
        outputs.add_row(
            plain(name),
            ", ".join(f"{how} {rows}" for how, rows in one["compared"].items()),
            str(one["differing"]),
            f"{one['max_absolute']:.3g}",
            f"{one['max_relative']:.3g}",
            "" if quantile is None else f"{quantile:.3g}",
        )
    return Group(
        made, "", outputs, "", f"processor time of the candidate: {cpu_words(tally['cpu'])}"
    )


def _timeline_view(found: dict[str, Any]) -> Table:
    made = table("time", "by", "action", "phase", "share", "E", "reason")
    for one in found["timeline"]:
        made.add_row(
            one["time"][:19].replace("T", " "),
            plain(one["actor"]),
            one["action"],
            _phase(one["phase"]),
            f"{one['percent']:g} %",
            f"{one['e_value']:.3g}",
            plain(one["reason"]),
        )
    return made


def _phase(phase: str) -> str:
    return f"[{_STYLES.get(phase, 'cyan')}]{phase}[/]"
