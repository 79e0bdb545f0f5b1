"""What the sketches and the learnt limits say of a feature, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift.bins import QUANTILE_BINS, NumberBins
from penstock.monitoring.drift.notes import flood_words
from penstock.monitoring.drift.sketches import RANKS
from penstock.server.page.chart import Series, Threshold, line_chart
from penstock.server.page.frame import HALF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from penstock.monitoring.drift.baseline import Reference

_LOW, _MIDDLE, _HIGH = (RANKS.index(rank) for rank in (0.1, 0.5, 0.9))
_WORDS: Final = {"range": "out of range", "domain": "never seen", "missing": "missing"}
_MOST_NAMED: Final = 3
_LEAST_SHOWN: Final = 1e-6


def quantile_chart(
    windows: Sequence[Mapping[str, Any]], name: str, reference: Reference | None
) -> Markup | None:
    """Median and the middle 80 % of a number over time; ``None`` if no window has them."""
    found = [one["figures"].get(name, {}).get("quantiles") for one in windows]
    if not any(found):
        return None

    def at(place: int) -> list[float | None]:
        return [None if one is None else one[place] for one in found]

    times = [one["end"] for one in windows]
    series = Series("median and the middle 80 %", times, at(_MIDDLE), at(_LOW), at(_HIGH))
    levels: list[Threshold] = []
    bins = None if reference is None else reference.bins
    if isinstance(bins, NumberBins) and len(bins.edges) == QUANTILE_BINS + 1:
        levels = [
            Threshold(bins.edges[1], "", "muted"),
            Threshold(bins.edges[QUANTILE_BINS // 2], "baseline", "muted"),
            Threshold(bins.edges[-2], "", "muted"),
        ]
    return line_chart("Values", [series], thresholds=levels, height=200, width=HALF)


def rate_words(rate: float) -> str:
    """A probability or a small rate; what is far below all that matters is not spelt out."""
    return f"{rate:.2g}" if rate >= _LEAST_SHOWN else f"< {_LEAST_SHOWN:g}"


def false_alarm_words(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The rate of false alarms of a version, and what it is a rate of."""
    unknown = len(entry.get("unknown", ()))
    expected = entry["expected_false_alarms_per_week"]
    if expected is None or unknown >= len(entry["features"]):  # or nothing was compared yet
        return "not known", "until healthy windows have shown how much they vary"
    rate = rate_words(expected)
    if not unknown:
        return rate, "a week by chance"
    them = "one feature" if unknown == 1 else f"{unknown} features"
    return rate, f"a week by chance, without {them} whose variation is not known"


def faults_words(one: Mapping[str, Any]) -> str:
    """Rows of the last window that are not as the baseline taught; empty if there are none."""
    rows = max(1, one["rows"])
    return ", ".join(
        f"{100 * number / rows:.2g} % {_WORDS[kind]}"
        for kind, number in one["faults"].items()
        if number
    )


def category_words(features: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each feature of categories whose sketches tell something."""
    said = []
    for one in features:
        if not one.get("distinct"):
            continue
        found = f"{one['name']}: {one['distinct']} different values in the last window"
        if one["new"]:
            named = ", ".join(f"{text!r} ({rows} rows)" for text, rows in one["new"][:_MOST_NAMED])
            found += f"; new: {named}"
        said.append(found + ".")
    return said


def note_words(notes: Mapping[str, Any]) -> list[str]:
    """What the rows of the last window show beside the features, in sentences.

    Args:
        notes: As `drift_of` gives them.
    """
    said = []
    growing = notes.get("growing", [])
    if growing:
        verb = "only grows and is" if len(growing) == 1 else "only grow and are"
        said.append(f"{', '.join(growing)} {verb} not compared, like an id or a time.")
    said += [f"{one}." for one in flood_words(notes)]
    return said


def moved_words(one: Mapping[str, Any]) -> str:
    """How far the mean of a number moved, or the correlation of two; empty for categories."""
    if one["columns"]:
        before, now = one["correlations"]
        return f"r {before:+.2f} to {now:+.2f}"
    return "" if one["categorical"] else f"{one['shift']:+.2f} sd"
