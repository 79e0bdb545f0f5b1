"""The results of a shadow, as a section of the page of its rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.page.chart import bar_chart
from penstock.server.shadow.bins import BINS_PER_DECADE, LAST_BIN

from .rollout_words import cpu_words, moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.page.page import Section


def shadow_section(section: Section, shadow: Mapping[str, Any] | None) -> None:
    """Fill the section.

    Args:
        section: Section of the page.
        shadow: As `penstock.server.shadow.record` keeps it; ``None`` if it has not run.
    """
    if shadow is None:
        section.text("The shadow has not run yet.")
        return
    tally = shadow["tally"]
    names = ("pairs", "disagreements", "failures", "invalid", "dropped")
    section.table(
        ["unit", *names],
        [[unit, *(tally[unit][name] for name in names)] for unit in ("requests", "rows")],
    )
    section.text(f"Processor time of the candidate: {cpu_words(tally['cpu'])}.")
    _outputs(section, tally)
    if tally["worst"]:
        _worst(section, tally["worst"])
    if tally["errors"]:
        section.table(
            ["what the candidate said", "batches"],
            [[one["text"], one["batches"]] for one in tally["errors"]],
        )
    if tally["deaths"]:
        section.table(
            ["its process ended (UTC)", "why"],
            [[moment(one["at"]), one["reason"]] for one in tally["deaths"]],
        )


def _outputs(section: Section, tally: Mapping[str, Any]) -> None:
    outputs = sorted(tally["outputs"].items())
    section.table(
        ["output", "compared by", "rows differ", "largest difference", "largest relative one"],
        [
            [
                name,
                ", ".join(f"{how}: {rows} rows" for how, rows in one["compared"].items()),
                one["differing"],
                one["max_absolute"],
                one["max_relative"],
            ]
            for name, one in outputs
        ],
    )
    for name, one in outputs:
        shown = _decades(one["histogram"])
        section.add(
            bar_chart(
                f"{name}: rows by their largest difference", list(shown), {"": [*shown.values()]}
            )
        )


def _worst(section: Section, rows: list[dict[str, Any]]) -> None:
    shown = [
        [
            worst["request_id"],
            str(worst["row"]),
            name,
            _values(both["primary"]),
            _values(both["shadow"]),
        ]
        for worst in rows
        for name, both in worst["outputs"].items()
    ]
    headers = ["request", "row", "output", "stable", "candidate"]
    section.table(headers, shown, "the rows that differ most")


def _values(values: list[Any] | None) -> str:
    """The first values of an output's row; there is none where an output is missing."""
    if values is None:
        return "missing"
    return ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in values)


def _decades(histogram: Mapping[str, int]) -> dict[str, int]:
    """Rows by power of ten of their difference, ascending."""
    found: dict[int, int] = {}
    for name, count in histogram.items():
        number = int(name)
        decade = -LAST_BIN if number <= -LAST_BIN else number // BINS_PER_DECADE
        found[decade] = found.get(decade, 0) + count
    return {
        "none" if one == -LAST_BIN else f"1e{one} to 1e{one + 1}": found[one]
        for one in sorted(found)
    }
