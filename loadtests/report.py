"""From measurements to a table, a JSON file and pictures: medians with their ranges."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from .measure import Measurement

#: Figure -> heading, and whether its range is shown beside the median.
_COLUMNS = {
    "offered_per_second": ("offered/s", False),
    "requests_per_second": ("answers/s", True),
    "goodput_per_second": ("goodput/s", True),
    "attainment": ("in time", False),
    "cpu_microseconds_per_request": ("CPU µs/answer", True),
    "p50_milliseconds": ("p50 ms", False),
    "p99_milliseconds": ("p99 ms", False),
    "memory_mebibytes": ("MiB", False),
}
#: What servers are compared by, the first that there is.
_RATIOS = ("goodput_per_second", "requests_per_second")


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over the repeats."""

    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one scenario.

    Attributes:
        scenario: Name of the scenario.
        contestant: Name of the contestant.
        figures: Medians and ranges by figure; empty when every repeat failed.
        failures: Why repeats failed.
    """

    scenario: str
    contestant: str
    figures: Mapping[str, Spread]
    failures: Sequence[str]


def summarise(measurements: Iterable[Measurement]) -> list[Row]:
    """Group by scenario and server, in order of first appearance."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.scenario, one.contestant), []).append(one)
    order = {name: position for position, name in enumerate(dict.fromkeys(g[0] for g in groups))}
    rows = [Row(*key, _spreads(group), _failures(group)) for key, group in groups.items()]
    return sorted(rows, key=lambda row: order[row.scenario])


def _spreads(group: Sequence[Measurement]) -> dict[str, Spread]:
    values: dict[str, list[float]] = {}
    for one in group:
        for name, value in one.figures.items():
            values.setdefault(name, []).append(value)
    return {
        name: Spread(statistics.median(v), min(v), max(v), len(v)) for name, v in values.items()
    }


def _failures(group: Sequence[Measurement]) -> list[str]:
    return list(dict.fromkeys(one.failure for one in group if one.failure))


def table(rows: Sequence[Row], scenario: str, base: str = "penstock") -> Table:
    """One scenario as a table of medians (lowest..highest).

    The last column compares with ``base`` in goodput where there is one, else in answers.
    """
    chosen = [row for row in rows if row.scenario == scenario]
    present = [name for name in _COLUMNS if any(name in row.figures for row in chosen)]
    reference = next((row for row in chosen if row.contestant == base and row.figures), None)
    result = Table(title=scenario, title_justify="left")
    result.add_column("server", no_wrap=True)
    for name in present:
        result.add_column(_COLUMNS[name][0], justify="right", no_wrap=True)
    result.add_column(f"x {base}", justify="right")
    for row in chosen:
        cells = [_cell(row, name) for name in present]
        result.add_row(row.contestant, *cells, _ratio(row, reference))
    return result


def _cell(row: Row, name: str) -> str:
    spread = row.figures.get(name)
    if spread is None:
        return "-"
    middle = _number(spread.median)
    if not _COLUMNS[name][1]:
        return middle
    return f"{middle} ({_number(spread.low)}..{_number(spread.high)})"


def _ratio(row: Row, reference: Row | None) -> str:
    if reference is None:
        return ""
    name = next((name for name in _RATIOS if name in reference.figures), "")
    if name not in row.figures or not reference.figures[name].median:
        return "-"
    return f"{row.figures[name].median / reference.figures[name].median:.3g}"


def _number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"


def to_json(
    rows: Sequence[Row], measurements: Sequence[Measurement], context: Mapping[str, Any]
) -> str:
    """Everything a reader needs to check the table: the context, each row, each single window."""
    document = {
        "context": context,
        "rows": [asdict(row) for row in rows],
        "measurements": [asdict(one) for one in measurements],
    }
    return json.dumps(document, indent=1, default=str) + "\n"


def save(path: Path, text: str) -> None:
    """Write a report, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
