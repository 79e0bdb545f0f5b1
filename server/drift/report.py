"""The drift report: one self-contained page with the distributions, over time and by version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift.baseline import FROM_ACCEPTED, FROM_TRAFFIC
from penstock.monitoring.drift.bins import NumberBins
from penstock.monitoring.drift.states import DRIFT, OK, WARN
from penstock.server.page.chart import (
    Series,
    Threshold,
    bar_chart,
    histogram_chart,
    line_chart,
    sparkline,
)
from penstock.server.page.frame import HALF, WIDTH
from penstock.server.page.markup import badge, side_by_side
from penstock.server.page.page import Figure, Page

from .values_view import (
    category_words,
    false_alarm_words,
    faults_words,
    moved_words,
    note_words,
    quantile_chart,
    rate_words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from penstock.monitoring.drift.baseline import Reference
    from penstock.server.page.page import Section

    from .references import References

#: Windows of each version and arm that the page shows.
RECENT_WINDOWS: Final = 200
#: Features with plots; the others are in the table.
MOST_PLOTS: Final = 24
#: Categories of a bar chart.
_MOST_BARS: Final = 12
_TONES: Final = {DRIFT: "bad", WARN: "warning", OK: "good"}
_FEATURE_HEADINGS: Final = (
    "feature", "state", "PSI", "p", "over time", "mean moved", "smallest shift seen",
    "unusual rows",
)  # fmt: skip


def report(
    model: str,
    entries: Sequence[Mapping[str, Any]],
    windows: Sequence[Mapping[str, Any]],
    references: References,
    problem: str = "",
) -> Page:
    """The page.

    Args:
        model: Name of the model.
        entries: As `drift_of` gives them.
        windows: As `windows_of` gives them.
        references: References that the windows are compared with.
        problem: Reason for which drift is not watched; empty if it is.
    """
    last = max((one["end"] for one in windows), default=None)
    until = "" if last is None else f", in windows up to {_time(last)}"
    page = Page(f"Drift of {model}", f"How far inputs and outputs are from the baseline{until}")
    if problem:
        page.section("Not watched").callout(problem, "warning")
    if not entries:
        page.section("Nothing yet").text("No row of this model has been looked at.")
    for entry in entries:
        version = entry["version"]
        mine = [
            one
            for one in windows
            if (one["version"], one["arm"]) == (version, entry["arm"])
            and one["baseline"] == entry["baseline"]
            and one["findings"]
        ]
        in_force = references.in_force(model, version, entry["baseline"])
        _version(page, entry, mine, in_force)
    if len({one["version"] for one in windows}) > 1:
        _by_version(page, windows)
    return page


def _version(
    page: Page,
    entry: Mapping[str, Any],
    windows: Sequence[Mapping[str, Any]],
    references: Mapping[str, Reference],
) -> None:
    arm = f", {entry['arm']}" if entry["arm"] else ""
    section = page.section(f"Version {entry['version']}{arm}")
    state = entry["state"]
    window = entry["window"]
    drifting = [one["words"] for one in entry["features"] if one["state"] == DRIFT]
    section.figures(
        Figure("State", state, ", ".join(drifting[:3]), _TONES.get(state, "")),
        Figure(
            "Windows", entry["windows"], "" if window is None else f"last {_time(window['end'])}"
        ),
        Figure("Rows", 0 if window is None else window["rows"], "in the last window"),
        Figure("False alarms", *false_alarm_words(entry)),
    )
    _baseline_note(section, entry)
    if not entry["features"]:
        return
    features = sorted(entry["features"], key=_interest)
    section.table(_FEATURE_HEADINGS, [_row(one) for one in features])
    for words in [*note_words(entry["notes"]), *category_words(features)]:
        section.text(words)
    if not entry["sketches"]:
        section.text(
            "Quantiles over time and new categories are missing: the server has not the extra "
            "“monitor” (datasketches)."
        )
    _plots(section, features, windows, references)


def _baseline_note(section: Section, entry: Mapping[str, Any]) -> None:
    if entry["problem"]:
        section.callout(entry["problem"], "warning")
    if entry["source"] == FROM_ACCEPTED:
        section.text("The baseline is of windows of this version that were accepted as healthy.")
    if entry["source"] == FROM_TRAFFIC:
        section.text(
            "The baseline is the first live rows of this version: a change since then is seen, a "
            "difference from the training data is not."
        )
    if entry["learning"]:
        rows = max(entry["learning"].values())
        section.text(f"Learning {len(entry['learning'])} features from live rows: {rows} so far.")
    if not entry["calibrated"] and entry["baseline"]:
        section.text(
            "Calibrating: it is not known yet how much healthy windows vary; only what is critical "
            "is reported."
        )


def _row(one: Mapping[str, Any]) -> list[Any]:
    return [
        one["words"],
        badge(one["state"], _TONES.get(one["state"], "")),
        f"{max(0.0, one['psi']):.3f}",
        rate_words(one["p"]),
        sparkline(one["history"], threshold=0.1, tone=_TONES.get(one["state"], "")),
        moved_words(one),
        seen(one),
        faults_words(one),
    ]


def seen(one: Mapping[str, Any]) -> str:
    """The smallest shift that a window like the last flags in nine of ten, for people."""
    if one["detectable"] < 0:
        return "none"
    if one["categorical"]:
        return f"{100 * one['detectable']:.1f} points"
    return f"{one['detectable']:.2f} sd"


def _interest(one: Mapping[str, Any]) -> tuple[bool, bool, float]:
    return (one["state"] != DRIFT, not one["output"], -one["psi"])


def _plots(
    section: Section,
    features: Sequence[Mapping[str, Any]],
    windows: Sequence[Mapping[str, Any]],
    references: Mapping[str, Reference],
) -> None:
    if not windows:
        return
    shown = features[:MOST_PLOTS]
    odd = [one for one in shown if one["state"] in {DRIFT, WARN}]
    for one in odd:
        section.heading(one["words"])
        section.add(*_charts(one["name"], windows, references.get(one["name"])))
    for one in shown:
        if one not in odd:
            name = one["name"]
            charts = _charts(name, windows, references.get(name))
            section.details(f"{one['words']}: {one['state']}", *charts)


def _charts(
    name: str, windows: Sequence[Mapping[str, Any]], reference: Reference | None
) -> list[Markup]:
    """The distribution of a feature over time, and its distance from the baseline."""
    counts = windows[-1]["counts"].get(name)
    charts: list[Markup] = []
    if counts is not None and reference is not None and len(counts) == reference.bins.size:
        charts.append(_distribution(reference, counts))
    quantiles = quantile_chart(windows, name, reference)
    if charts and quantiles is not None:
        return [side_by_side(*charts, quantiles), _over_time(name, windows, WIDTH)]
    return [side_by_side(*charts, _over_time(name, windows, HALF))]


def _distribution(reference: Reference, counts: Sequence[int]) -> Markup:
    before = reference.counts.tolist()
    if isinstance(reference.bins, NumberBins):
        edges = reference.bins.edges
        ends = [-float("inf"), *edges, float("inf")]
        return histogram_chart("Distribution", ends, before[:-2], counts[:-2])
    shown = sorted(range(len(counts)), key=lambda place: -(before[place] + counts[place]))
    shown = shown[:_MOST_BARS]
    labels = reference.bins.labels
    totals = max(1, sum(before)), max(1, sum(counts))
    return bar_chart(
        "Shares",
        [labels[place] for place in shown],
        {
            "baseline": [100 * before[place] / totals[0] for place in shown],
            "now": [100 * counts[place] / totals[1] for place in shown],
        },
        unit="%",
        muted="baseline",
        width=HALF,
    )


def _over_time(name: str, windows: Sequence[Mapping[str, Any]], width: float) -> Markup:
    times = [one["end"] for one in windows]
    found = [one["findings"].get(name, {}).get("psi") for one in windows]
    values = [None if psi is None else max(0.0, psi) for psi in found]
    levels = (Threshold(0.10, "warn"), Threshold(0.25, "critical", "bad"))
    series = [Series("PSI", times, values)]
    return line_chart(
        "Distance from the baseline", series, thresholds=levels, zero=True, height=180, width=width
    )


def _by_version(page: Page, windows: Sequence[Mapping[str, Any]]) -> None:
    section = page.section("By version")
    section.text("Means of the features that all versions have, over time.")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in windows:
        groups.setdefault(one["version"], []).append(one)
    names = [name for name in windows[-1]["moments"] if windows[-1]["moments"][name]]
    for name in names[:MOST_PLOTS]:
        lines = [
            Series(
                f"version {version}",
                [one["end"] for one in mine],
                [one["moments"].get(name, {}).get("mean") for one in mine],
            )
            for version, mine in sorted(groups.items())
        ]
        section.add(line_chart(f"Mean of {name}", lines))


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
