"""Recent requests from the prediction log, computed again with another version.

It answers whether a version that served before is still valid on today's data: whether it fails at
what is asked now, whether its outputs are as they were when it served, and how often it agrees with
what serves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.drift.sample_comparison import compare as compare_counts
from penstock.monitoring.prediction_log.logged_field import Field
from penstock.monitoring.prediction_log.recent import Wanted, recent_requests
from penstock.monitoring.probability import is_available, what_to_install
from penstock.runtimes.datatypes import NUMPY_OF

from .answer_diff import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.prediction_log.recent import LoggedRequest
    from penstock.runtimes.contract import Array, Model, Signature, TensorSpec
    from penstock.server.rollout.tolerance import Tolerance

#: Requests of today that are computed again, and answers from before that the outputs are compared
#: with.
MAX_REQUESTS: Final = 256
MAX_REFERENCE: Final = 1024
#: Computing ends after so long, with what there is by then.
COMPUTE_SECONDS: Final = 5.0
#: Fewer rows tell nothing of a distribution.
LEAST_ROWS: Final = 50
#: Columns of outputs that are compared, each with this part of the probability of a false alarm.
MAX_COLUMNS: Final = 16
FALSE_ALARM: Final = 0.01
#: A significant difference below this population stability index is small.
LARGE_PSI: Final = 0.1
_BINS: Final = 10
_MAX_ERRORS: Final = 3
_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Replay:
    """The requests that are to be computed again.

    Attributes:
        state: ``state_dir/monitor``.
        since: The earliest time of a request, Unix seconds.
        serving: The version that serves; its answers are compared.
        private: Inputs and outputs that the log does not hold as they were.
    """

    state: str
    since: float
    serving: int
    private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Logged:
    """The requests and answers in the log.

    Attributes:
        recent: Requests of today.
        note: Reason for which some are missing.
        before: Requests that the version answered when it served; their outputs alone.
    """

    recent: Sequence[LoggedRequest]
    note: str = ""
    before: Sequence[LoggedRequest] = ()


def read_log(signature: Signature, name: str, version: int, replay: Replay) -> Logged:
    """Read what is to be computed again, and the answers from before.

    Args:
        signature: Of the version.
        name: Name of the model.
        version: Number of the version.
        replay: Requests to compute.
    """
    taken = [one.name for one in signature.inputs if one.name in replay.private]
    if taken:
        return Logged([], f"the log does not hold {taken[0]!r} as it was: see [log] in model.toml")
    inputs = [_field(one, by_rows=signature.rows_axis) for one in signature.inputs]
    outputs = [
        _field(one, by_rows=signature.rows_axis)
        for one in signature.outputs
        if one.name not in replay.private
    ]
    state = Path(replay.state)
    recent, note = recent_requests(state, Wanted(name, replay.since, MAX_REQUESTS), inputs, outputs)
    before, _ = recent_requests(state, Wanted(name, 0.0, MAX_REFERENCE, version), [], outputs)
    return Logged(recent, note, before)


def replay_log(
    model: Model,
    logged: Logged,
    serving: int,
    tolerance: Tolerance,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Compute recent requests again.

    Args:
        model: The version, loaded.
        logged: Requests and answers of the log.
        serving: The version that serves; its answers are compared.
        tolerance: Allowed difference from the answers that were given.
        clock: Monotonic seconds.

    Returns:
        ``requests``, ``rows``, ``since`` and ``until`` (Unix seconds) of what was computed;
        ``failed`` and ``invalid`` of these requests, with some ``errors``; ``compared`` with what
        serves and ``differing``; ``drifted``, the outputs that are not as before, or ``None`` with
        the reason in ``drift_note``; ``note``, why requests are missing.
    """
    computed = _compute(model, logged.recent, serving, tolerance, clock)
    report = {**_report(logged.recent[: computed.requests], logged.note), **computed.figures}
    return {**report, **drift([one.outputs for one in logged.before], computed.answers)}


@dataclass(slots=True)
class _Computed:
    requests: int
    figures: dict[str, Any]
    answers: list[dict[str, Array]]


def _compute(
    model: Model,
    recent: Sequence[LoggedRequest],
    serving: int,
    tolerance: Tolerance,
    clock: Callable[[], float],
) -> _Computed:
    names = [one.name for one in model.signature.outputs]
    figures: dict[str, Any] = dict.fromkeys(("failed", "invalid", "compared", "differing"), 0)
    errors: list[str] = []
    answers: list[dict[str, Array]] = []
    end, done = clock() + COMPUTE_SECONDS, 0
    for request in recent:
        if clock() > end:
            break
        done += 1
        try:
            own = _answer(model, request, names)
        except Exception as error:  # noqa: BLE001  whatever a model raises is its failure
            figures["failed"] += 1
            text = f"{type(error).__name__}: {error}"[:_TEXT]
            if text not in errors and len(errors) < _MAX_ERRORS:
                errors.append(text)
            continue
        answers.append(own)
        given = {name: array for name, array in request.outputs.items() if name in own}
        difference = compare(given, own, request.rows, tolerance)
        figures["invalid"] += bool(difference.invalid.any())
        if request.version == serving and given:
            figures["compared"] += 1
            figures["differing"] += bool(difference.differs.any())
    return _Computed(done, {**figures, "errors": errors}, answers)


def _answer(model: Model, request: LoggedRequest, names: list[str]) -> dict[str, Array]:
    by_rows = model.signature.rows_axis
    arrays = [request.inputs.get(one.name) for one in model.signature.inputs]
    given = [array if array is None or by_rows else array[0] for array in arrays]
    outputs = model.execute(given, names)
    if len(outputs) != len(names) or not all(isinstance(one, np.ndarray) for one in outputs):
        raise TypeError(f"it gave {len(outputs)} outputs, expected {len(names)} arrays")
    shaped = [one if by_rows else one[None] for one in outputs]
    return dict(zip(names, shaped, strict=True))


def _field(spec: TensorSpec, *, by_rows: bool) -> Field:
    shape = spec.shape[1:] if by_rows else spec.shape
    return Field(spec.name, NUMPY_OF[spec.datatype], tuple(shape), spec.optional)


def _report(requests: Sequence[LoggedRequest], note: str) -> dict[str, Any]:
    return {
        "requests": len(requests),
        "rows": sum(one.rows for one in requests),
        "since": requests[0].time if requests else None,
        "until": requests[-1].time if requests else None,
        **dict.fromkeys(("failed", "invalid", "compared", "differing"), 0),
        "errors": [],
        "drifted": None,
        "drift_note": "nothing was computed",
        "note": note,
    }


def drift(before: Sequence[Any], now: Sequence[Any]) -> dict[str, Any]:
    """The outputs that are not distributed as before.

    Args:
        before: Outputs by name of each request that the version answered when it served.
        now: The same of each request that it has computed again.

    Returns:
        ``drifted``, names; ``None`` if too little is known, with the reason in ``drift_note``.
    """
    if not is_available():
        return {"drifted": None, "drift_note": what_to_install()}
    old, new = _columns(before), _columns(now)
    both = [name for name in new if name in old and len(old[name]) >= LEAST_ROWS][:MAX_COLUMNS]
    both = [name for name in both if len(new[name]) >= LEAST_ROWS]
    if not both:
        return {
            "drifted": None,
            "drift_note": f"fewer than {LEAST_ROWS} rows of its own answers, or of today",
        }
    moved = [name for name in both if _moved(old[name], new[name], FALSE_ALARM / len(both))]
    return {"drifted": moved, "drift_note": ""}


def _columns(answers: Sequence[Any]) -> dict[str, Array]:
    """Each scalar of the outputs, over all rows."""
    parts: dict[str, list[Array]] = {}
    for one in answers:
        for name, array in one.items():
            rows = array.reshape(len(array), -1)[:, :MAX_COLUMNS]
            for place in range(rows.shape[1]):
                label = name if rows.shape[1] == 1 else f"{name}[{place}]"
                parts.setdefault(label, []).append(rows[:, place])
    return {name: np.concatenate(several) for name, several in parts.items()}


def _moved(old: Array, new: Array, alpha: float) -> bool:
    """Whether a column is distributed otherwise, significantly and by much."""
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        edges = np.unique(np.nanquantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
        counts = [
            np.bincount(np.searchsorted(edges, one, side="right"), minlength=len(edges) + 1)
            for one in (old, new)
        ]
        ordered = len(edges) + 1
    else:
        kinds = {
            value: place for place, value in enumerate(np.unique(np.append(old, new)).tolist())
        }
        counts = [
            np.bincount([kinds[value] for value in one.tolist()], minlength=len(kinds))
            for one in (old, new)
        ]
        ordered = 0
    reference, window = (one.tolist() for one in counts)
    found = compare_counts(reference, window, [False] * len(reference), ordered)
    return found.p_value() < alpha and found.psi > LARGE_PSI
