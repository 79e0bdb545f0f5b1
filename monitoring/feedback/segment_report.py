"""The quality of predictions by segment: figures of one field, and the segments that are worse."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .outputs import REGRESSION
from .performance import measure, pick
from .segment_votes import FAMILY_RATE, UNKNOWN, SegmentVotes, compare_segments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .performance import Labelled

_METHOD: Final = "Fisher's exact test, one-sided, one vote a unit; Holm over all tests"
_STABLE: Final = "stable"


@dataclass(slots=True)
class SegmentedVersion:
    """The labelled predictions of one version and arm by segment.

    Attributes:
        version: Number of the version, as text.
        arm: Arm of the rollout; empty without one.
        votes: Its votes; ``None`` without segments.
        values: Figures by value of the field that was asked for.
    """

    version: str
    arm: str
    votes: SegmentVotes | None
    values: list[dict[str, Any]]


def segmented(
    version: str,
    arm: str,
    rows: Labelled,
    numbers: NDArray[np.int64],
    names: Mapping[int, Mapping[str, str]],
    by: str,
) -> SegmentedVersion:
    """The labelled predictions of one version and arm by segment.

    Args:
        version: Number of the version.
        arm: Arm of the rollout.
        rows: Labelled predictions, the newest first.
        numbers: Number of the segments of each, see `segment_ids`.
        names: By number, the value of each field.
        by: Field whose figures are wanted; empty for none.
    """
    fields = sorted({field for one in np.unique(numbers).tolist() for field in names.get(one, ())})
    if not fields or not len(numbers):
        return SegmentedVersion(version, arm, None, [])
    columns = {field: _values(numbers, names, field) for field in fields}
    first = np.arange(len(numbers))
    if rows.units is not None:  # the newest predictions come first
        first = len(numbers) - 1 - np.unique(rows.units[::-1], return_index=True)[1]
    votes = SegmentVotes(
        rows.loss[first],
        {field: column[first] for field, column in columns.items()},
        rows.kind == REGRESSION,
    )
    values = [] if by not in columns else _figures(rows, columns[by])
    return SegmentedVersion(version, arm, votes, values)


def told(one: SegmentedVersion, versions: Sequence[SegmentedVersion]) -> dict[str, Any] | None:
    """The segments of a version, for JSON; ``None`` without segments.

    Args:
        one: The version.
        versions: All versions of the model.
    """
    if one.votes is None:
        return None
    other = _reference(one, versions)
    name = "" if other is None else f"version {other.version} {other.arm}".rstrip()
    findings = compare_segments(one.votes, None if other is None else other.votes, name)
    tested = [finding for finding in findings if finding.p is not None]
    return {
        "fields": list(one.votes.segments),
        "method": _METHOD,
        "false_alarm_rate": FAMILY_RATE,
        "tests": len(tested),
        "too_few_labels": len(findings) - len(tested),
        "versus": name or None,
        "worse": [asdict(finding) for finding in tested if finding.worse],
        "values": one.values,
    }


def _reference(
    one: SegmentedVersion, versions: Sequence[SegmentedVersion]
) -> SegmentedVersion | None:
    """What a version is compared with: stable's arm of its rollout, else the version before."""
    others = [other for other in versions if other is not one and other.votes is not None]
    if one.arm and one.arm != _STABLE:
        return next((other for other in others if other.arm == _STABLE), None)
    before = [
        other
        for other in others
        if other.arm in {"", _STABLE} and _number(other.version) < _number(one.version)
    ]
    return max(before, key=lambda other: _number(other.version), default=None)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def _values(
    numbers: NDArray[np.int64], names: Mapping[int, Mapping[str, str]], field: str
) -> NDArray[np.object_]:
    """The value of a field for each row."""
    different, places = np.unique(numbers, return_inverse=True)
    values = np.array(
        [names.get(one, {}).get(field, UNKNOWN) for one in different.tolist()], object
    )
    found: NDArray[np.object_] = values[places.reshape(-1)]
    return found


def _figures(rows: Labelled, column: NDArray[np.object_]) -> list[dict[str, Any]]:
    """The figures of each value, those with most labels first."""
    found = []
    for value in sorted({*column.tolist()} - {UNKNOWN}):
        figures = measure(pick(rows, np.flatnonzero(column == value))).to_json()
        del figures["kind"], figures["classes"]
        found.append({"segment": value, **figures})
    return sorted(found, key=lambda one: (-one["labels"], one["segment"]))
