"""Performance by segment as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .output import plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

_HEADINGS: Final = ("segment", "version", "arm", "labels", "figure", "value", "95 %")


def figure_words(figure: dict[str, float | None]) -> list[str]:
    """A figure, and its interval with the condition that it has."""
    low, high, up_to = figure["low"], figure["high"], figure.get("up_to")
    interval = "no interval" if low is None else f"{low:.4f} to {high:.4f}"
    if up_to is not None:
        interval += f", for errors up to {up_to:.4g}"
    return [f"{figure['value']:.4f}", interval]


def segments_table(found: dict[str, Any]) -> Iterator[Table]:
    """The first figure of each segment by version and arm; nothing if none was asked for."""
    rows = []
    for one in found["versions"]:
        for segment in (one["segments"] or {}).get("values", ()):
            name, figure = next(iter(segment["figures"].items()))
            first = [segment["segment"], one["version"], one["arm"], str(segment["labels"])]
            rows.append([*first, name, *figure_words(figure)])
    if not rows:
        return
    made = table(*_HEADINGS)
    for row in rows:
        made.add_row(*map(plain, row))
    yield made


def segment_notes(one: dict[str, Any], where: str) -> Iterator[str]:
    """The segments that are answered worse, and what was tested.

    Args:
        one: Figures of a version in an arm.
        where: Name of the version in the arm.
    """
    segments = one["segments"]
    if segments is None:
        return
    for finding in segments["worse"]:
        bad, votes = finding["bad"]
        others, all_others = finding["others"]
        yield (
            f"{where}: worse in {finding['field']}={finding['segment']} than {finding['versus']}: "
            f"{bad} of {votes} bad, against {others} of {all_others} (p {finding['p']:.2g})"
        )
    names = ", ".join(segments["fields"])
    few = segments["too_few_labels"]
    yield (
        f"{where}: {segments['tests']} comparisons of segments by {names}"
        + (f", {few} more have too few labels to say" if few else "")
        + f"; any is called worse by chance with {segments['false_alarm_rate']:.0%} probability at "
        "most"
    )


def drift_notes(told: dict[str, Any]) -> Iterator[str]:
    """The segments of the last window: those that differ, the mix, and the number of the others."""
    if not told:
        return
    states: dict[str, int] = {}
    for one in told["segments"]:
        states[one["state"]] = states.get(one["state"], 0) + 1
        if one["state"] in {"drift", "warn"} and one["p"] is not None:
            yield (
                f"{one['segment']}: {one['state']}, most of all {one['feature']}: "
                f"PSI {one['psi']:.2f}, p {one['p']:.1g}, {one['rows']} rows"
            )
    for one in told["mixes"]:
        if one["changed"]:
            yield (
                f"the mix of {one['field']} has changed: a share moved by {one['moved']:.1%} "
                f"(p {one['p']:.1g}); that alone is no drift within a segment"
            )
    shown = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    yield f"segments: {shown}; {told['tests']} tests share the false-alarm rate (Holm)"
