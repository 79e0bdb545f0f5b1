"""Pictures for the documentation, as SVG. Needs the extra ``bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .report import Row

_OURS, _BOUND, _THEIRS = "#0b6e99", "#9aa5ad", "#d98e4a"
_TITLES = {
    "requests_per_second": "right answers per second",
    "cpu_microseconds_per_request": "CPU microseconds per right answer (log scale)",
    "goodput_per_second": "right answers within the objective, per second",
}


def plot(rows: Sequence[Row], directory: Path) -> list[Path]:
    """One picture per scenario and figure that matters there.

    Returns:
        The files written.
    """
    written = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        chosen = [row for row in rows if row.scenario == scenario and row.figures]
        if not chosen:
            continue
        overload = any("goodput_per_second" in row.figures for row in chosen)
        names = ["goodput_per_second"] if overload else list(_TITLES)[:2]
        for name in names:
            path = directory / f"{scenario}-{name.partition('_')[0]}.svg"
            _bars(chosen, name, scenario, path)
            written.append(path)
    return written


def _bars(rows: Sequence[Row], figure: str, scenario: str, path: Path) -> None:
    """Medians with their ranges, the best on top.

    Rates are bars from zero; CPU spans four decades, so it is points on a logarithmic scale, where
    the length of a bar would mean nothing.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "penstock"  # the same numbers draw the same file
    from matplotlib import pyplot as plt

    smaller_is_better = figure.startswith("cpu")
    ordered = sorted(rows, key=lambda r: r.figures[figure].median, reverse=smaller_is_better)
    spreads = [row.figures[figure] for row in ordered]
    labels = [row.contestant for row in ordered]
    medians = [spread.median for spread in spreads]
    whiskers = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
    drawing: Any
    drawing, axes = plt.subplots(figsize=(8, 0.6 + 0.38 * len(ordered)), layout="constrained")
    if smaller_is_better:
        for label, median, low, high in zip(labels, medians, *whiskers, strict=True):
            colour = _colour(label)
            axes.errorbar(median, label, xerr=[[low], [high]], fmt="o", color=colour, capsize=2)
        axes.set_xscale("log")
    else:
        colours = [_colour(label) for label in labels]
        axes.barh(labels, medians, xerr=whiskers, color=colours, capsize=2)
    for position, median in enumerate(medians):
        axes.annotate(
            f" {median:,.0f}",
            (spreads[position].high, position),
            va="center",
            fontsize=8,
        )
    axes.margins(x=0.12, y=0.2 if smaller_is_better else None)
    axes.set_xlabel(_TITLES[figure], fontsize=9)
    axes.set_title(scenario, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def _colour(name: str) -> str:
    if name.startswith("penstock"):
        return _OURS
    return _BOUND if name.startswith("bare") else _THEIRS
