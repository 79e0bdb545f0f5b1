"""The drift monitor over arrays: a baseline and windows in, verdicts and incidents out. Pure.

The monitor process does the same with samples, a clock and a disk around it: bins and counts by
`learning`, windows by `window`, verdicts and episodes by `drift_state`, the end of a provisional
baseline by `settling`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .drift_state import DriftState
from .halves import counted
from .incident import by_contribution
from .learning import Column, reference_of
from .measurement import LEAST_WINDOWS, measure
from .options import DriftOptions
from .relations import LEAST_ROWS
from .row_sample import Cells, RowSample
from .rows import Rows, checked, length
from .settling import enough, settled
from .states import unknown_of
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .baseline import Reference
    from .drift_state import Verdict
    from .row_history import RowHistory

_MOST_PIECES: Final = 1000


@dataclass(frozen=True, slots=True)
class Incident:
    """Features whose episodes opened in the same window.

    Attributes:
        opened: Place of the window in which it opened, from 0.
        closed: Place of the window in which the last of its features was like the baseline again;
            ``None`` if it is open.
        features: In order of their contribution, which is their PSI when it opened; a relation
            that changed is called ``the relation between x and y``.
        critical: Whether one of them was critical when it opened.
    """

    opened: int
    closed: int | None
    features: tuple[str, ...]
    critical: bool


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The findings of `assess`.

    Attributes:
        verdicts: One for each window. ``state`` is the worst of its features, one of
            `drift_state.STATES`. ``findings`` has for each feature a mapping with ``level``
            (``clean``; ``small``: changed, small; ``warn`` and ``critical``: flagged), ``state``,
            ``psi``, ``p``, ``shift`` (of the mean, in standard deviations), ``rows`` and the other
            fields of `assessment.Assessment`. The finding `row_history.RELATIONS` is of the
            correlations between columns: ``columns`` are the two whose relation changed most,
            ``correlations`` the former and the present one, ``others`` further pairs; it is left
            out while too few windows were seen. ``notes`` of a verdict says which columns only
            grow (``growing``: ids and timestamps; they are not compared) and, if unusually many
            rows are repeated (``repeats``), the share of rows that repeat others, the share of the
            most frequent row, and what is usual.
        incidents: In the order in which they opened.
        expected_false_alarms_per_week: Incidents a week that healthy windows like these open,
            after the last compared window; see `sensitivity`; says nothing of those in `unknown`.
        unknown: Features of that window of which it is not known how much healthy windows vary.
        provisional: Whether the baseline was of less than `baseline_seconds` to the end.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    expected_false_alarms_per_week: float = 0.0
    unknown: tuple[str, ...] = ()
    provisional: bool = False


def assess(
    baseline: Rows | Mapping[str, NDArray[Any]],
    windows: Iterable[Rows | Mapping[str, NDArray[Any]]],
    options: DriftOptions | None = None,
    *,
    outputs: Collection[str] = (),
) -> DriftReport:
    """Compare windows of rows with a baseline, as the monitor does.

    Args:
        baseline: Rows of a time when all was well, in the order in which they came: one half of
            them chooses the bins, the other half is counted, and pieces as long as the windows
            show how much healthy rows vary. With `Rows.start` and `Rows.end` and less than
            `DriftOptions.baseline_seconds` between them it is provisional, as if it had been
            learnt from traffic: it chooses the bins, and the first windows of that time become its
            counts; no incident opens until then. Without times it is taken for a baseline that was
            built from a file. At least 2 rows. Pieces as long as the windows also show how columns
            are related and which of them only grow; 400 rows are needed to judge relations.
        windows: Rows after it, in the order of time. Without times each is as long as
            `DriftOptions.window_seconds`, one after the other. Columns that the baseline has not
            are left out. Rows that are equal in all inputs are taken for repetitions where rows of
            the baseline hardly ever are.
        options: Of the model; the defaults if left out.
        outputs: Names of the columns that the model puts out; the others are inputs.

    Returns:
        Verdicts and incidents.

    Raises:
        ValueError: A column has another length than the others or more than one axis, the
            baseline has no rows, or a column of numbers in the baseline holds texts in a window.

    Example:
        >>> import numpy as np
        >>> from penstock.monitoring.drift import assess
        >>> rng = np.random.default_rng(0)
        >>> baseline = {"age": rng.normal(40.0, 10.0, 10_000)}  # arrays of shape (rows,)
        >>> windows = [{"age": rng.normal(mean, 10.0, 500)} for mean in (40.0, 40.0, 50.0)]
        >>> report = assess(baseline, windows)
        >>> [verdict.state for verdict in report.verdicts]
        ['ok', 'ok', 'drift']
        >>> [(incident.opened, incident.features) for incident in report.incidents]
        [(2, ('age',))]
    """
    options = DriftOptions() if options is None else options
    base = checked(baseline, "the baseline")
    shown = [checked(one, f"window {place}") for place, one in enumerate(windows)]
    columns = {
        name: Column(values, name in outputs, values.dtype.hasobject)
        for name, values in base.columns.items()
    }
    if not columns or min(len(one.values) for one in columns.values()) < 2:  # noqa: PLR2004
        raise ValueError("the baseline has fewer than 2 rows: bins and counts need one each")
    references = {name: reference_of(one) for name, one in columns.items()}
    if base.start is not None and base.end is not None:
        short = base.end - base.start < options.baseline_seconds
        references = {name: replace(one, provisional=short) for name, one in references.items()}
    state = DriftState()
    if shown:
        rows = int(np.median([length(one) for one in shown]))
        if not any(one.provisional for one in references.values()):
            references = {
                name: replace(one, variations=_varied(one, columns[name].values, rows))
                for name, one in references.items()
            }
        _teach(state.row_history, references, base, rows)
    return _run(state, references, shown, options)


def _teach(history: RowHistory, references: Mapping[str, Reference], base: Rows, rows: int) -> None:
    """Show the rows of a baseline as pieces that are as long as the windows, or shorter."""
    total = length(base)
    pieces = min(max(total // max(1, rows), LEAST_WINDOWS), _MOST_PIECES, total // LEAST_ROWS)
    bounds = np.linspace(0, total, pieces + 1).astype(int).tolist() if pieces else []
    for low, high in pairwise(bounds):
        sample = RowSample()
        cells = [Cells(name, one, base.columns[name][low:high]) for name, one in references.items()]
        sample.take(cells)
        history.teach(sample)
    if any(one.provisional for one in references.values()):
        history.forget_relations()


def _run(
    state: DriftState,
    references: Mapping[str, Reference],
    shown: Sequence[Rows],
    options: DriftOptions,
) -> DriftReport:
    report = DriftReport()
    healthy: list[Window] = []
    going_on: dict[int, list[str]] = {}
    end = 0.0
    for place, one in enumerate(shown):
        start = one.start if one.start is not None else end
        end = one.end if one.end is not None else start + options.window_seconds
        window = _window(one, references, start, end, place)
        provisional = any(reference.provisional for reference in references.values())
        if not provisional and state.uncalibrated(references) and state.due():
            state.calibrate(references, healthy, options)
        state.window = window
        verdict = state.conclude(references, options)
        report.verdicts.append(verdict)
        _follow(report.incidents, going_on, verdict, state, place)
        if window.rows >= options.min_rows:
            healthy.append(window)
        if provisional and enough(healthy, options):
            references, healthy = settled(references, healthy), []
            state.rebase("settled", settled=True)
    compared = [one.findings for one in report.verdicts if one.findings]
    return replace(
        report,
        expected_false_alarms_per_week=state.expected,
        unknown=unknown_of(compared[-1]) if compared else (),
        provisional=any(one.provisional for one in references.values()),
    )


def _follow(
    incidents: list[Incident],
    going_on: dict[int, list[str]],
    verdict: Verdict,
    state: DriftState,
    place: int,
) -> None:
    """Add the incident that opened, and close those of which no feature drifts any more.

    `going_on` has the features of those that are open, by the place of the incident.
    """
    opened = by_contribution(one for one in verdict.changes if one.after.open)
    fresh = {one.feature for one in opened}
    for number, names in list(going_on.items()):
        episodes = [state.episodes.get(name) for name in names if name not in fresh]
        if not any(one is not None and one.open for one in episodes):
            incidents[number] = replace(incidents[number], closed=place)
            del going_on[number]
    if opened:
        words = tuple(one.words for one in opened)
        critical = any(one.after.critical for one in opened)
        going_on[len(incidents)] = [one.feature for one in opened]
        incidents.append(Incident(place, None, words, critical))


def _window(
    rows: Rows, references: Mapping[str, Reference], start: float, end: float, place: int
) -> Window:
    window = Window(start, end, length(rows))
    groups = None
    if rows.clients is not None:
        clients = [one.encode() for one in rows.clients]
        groups = window.clients.take(clients, np.ones(len(clients), np.int64))
    cells = []
    for name, reference in references.items():
        values = rows.columns.get(name)
        if values is None:
            continue
        if values.dtype.hasobject and not reference.categorical:
            raise ValueError(f"window {place}: {name!r} holds texts, in the baseline it is numbers")
        window.add(name, reference, values, groups)
        cells.append(Cells(name, reference, values))
    window.sample.take(cells)
    return window


def _varied(reference: Reference, values: NDArray[Any], rows: int) -> Any:
    """How much pieces of the counted rows vary; ``None`` if there are too few."""
    pieces = min(_MOST_PIECES, len(values) // max(1, rows))
    if pieces < LEAST_WINDOWS:
        return None
    second = counted(len(values))
    bounds = np.linspace(0, len(values), pieces + 1).astype(int)
    bins = reference.bins
    counts = []
    for low, high in pairwise(bounds.tolist()):
        piece = values[low:high][second[low:high]]
        counts.append(bins.count(piece.tolist() if reference.categorical else piece))
    return measure(counts, bins.exceptional, bins.ordered)
