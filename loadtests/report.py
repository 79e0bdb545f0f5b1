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

_COLUMNS = {
    "requests_per_second": "right answers/s",
    "cpu_microseconds_per_request": "CPU µs/answer",
    "p50_milliseconds": "p50 ms",
    "p99_milliseconds": "p99 ms",
    "goodput_per_second": "goodput/s",
    "attainment": "attainment",
    "memory_mebibytes": "MiB",
}


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
        scenario: Its name.
        contestant: Its name.
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
    """One scenario as a table; the last column is the ratio of right answers to ``base``'s."""
    result = Table(title=scenario, title_justify="left")
    result.add_column("server")
    for heading in (*_COLUMNS.values(), f"x {base}"):
        result.add_column(heading, justify="right")
    chosen = [row for row in rows if row.scenario == scenario]
    reference = next((row for row in chosen if row.contestant == base and row.figures), None)
    for row in chosen:
        if not row.figures:
            result.add_row(row.contestant, *[""] * len(_COLUMNS), _short(row.failures))
            continue
        cells = [_cell(row.figures[name]) if name in row.figures else "" for name in _COLUMNS]
        result.add_row(row.contestant, *cells, _ratio(row, reference))
    return result


def _ratio(row: Row, reference: Row | None) -> str:
    if reference is None:
        return ""
    whole = reference.figures["requests_per_second"].median
    return f"{row.figures['requests_per_second'].median / whole:.2f}" if whole else ""


def _cell(spread: Spread) -> str:
    return f"{_number(spread.median)} ({_number(spread.low)}..{_number(spread.high)})"


def _number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _short(failures: Sequence[str]) -> str:
    return failures[0].strip().splitlines()[-1][:80] if failures else ""


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
