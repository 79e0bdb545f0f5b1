"""Drift episodes in words, as alerts: those that open in one window are one incident. Pure.

One cause moves many inputs. The features whose episodes open in the same window have one alert,
which names them in order of their contribution: the share of each in the sum of their PSI. Its end
is told when the last of them is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.alerts.alert import Alert

from .incident import by_contribution, psi_of, subject_of
from .notes import flood_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .incident import Change
    from .states import Episode
    from .store import Key


#: The reason of an end that no window decided.
OTHER_BASELINE: Final = "watched anew, with another baseline"
ROLLOUT_OVER: Final = "no longer watched, its rollout is over"
GROWS: Final = "no longer compared, it only grows"
#: Features of an incident that an alert tells of.
MOST_TOLD: Final = 20


def alerts_of(
    key: Key,
    changes: Iterable[Change],
    now: float,
    why: str = OTHER_BASELINE,
    remaining: Iterable[Episode] = (),
    notes: Mapping[str, Any] | None = None,
) -> list[Alert]:
    """The alerts that incidents began or ended: one for each.

    Args:
        key: Version and arm.
        changes: Episodes that began or ended in one window.
        now: Unix seconds.
        why: The reason of ends that no window decided.
        remaining: All episodes after the window: an incident goes on while one of its is open.
        notes: Findings about the rows of the window, as `RowFindings.notes`.
    """
    going_on = {one.since for one in remaining if one.open}
    groups: dict[tuple[bool, float, str], list[Change]] = {}
    for change in changes:
        episode = change.after if change.after.open else change.before
        # An episode of before incidents has an alert of its own.
        alone = "" if episode.incident else change.feature
        groups.setdefault((change.after.open, episode.since, alone), []).append(change)
    return [
        _alert(key, found, now, why, alone, {} if notes is None else notes)
        for (opened, since, alone), found in groups.items()
        if opened or alone or since not in going_on
    ]


def _alert(
    key: Key, changes: list[Change], now: float, why: str, alone: str, notes: Mapping[str, Any]
) -> Alert:
    changes = by_contribution(changes)
    first = changes[0]
    opened = first.after.open
    episodes = [one.after if opened else one.before for one in changes]
    where = f"{key.model} version {key.version}" + (f" ({key.arm})" if key.arm else "")
    since = int(episodes[0].since * 1000)
    name = f"{alone}/{since}" if alone else str(since)
    return Alert(
        kind="drift",
        model=key.model,
        version=key.version,
        subject=alone or episodes[0].incident,
        severity="critical" if any(one.critical for one in episodes) else "warning",
        opened=opened,
        episode=f"drift/{key.model}/{key.version}/{key.arm}/{name}",
        time=now,
        summary=_summary(changes, where, why) + _repeated(notes),
        evidence=_evidence(changes, key.arm) | ({"rows_show": dict(notes)} if notes else {}),
    )


def _summary(changes: list[Change], where: str, why: str) -> str:
    first = changes[0]
    one = first.assessment
    if one is None:
        return f"{subject_of([change.feature for change in changes])} of {where}: {why}"
    name, figures = first.words, f"PSI {one.psi:.2f}, p {one.p:.1g}, {one.rows} rows"
    if one.columns and first.after.open:
        before, now = one.correlations
        figures += f", correlation {now:+.2f} instead of {before:+.2f}"
    elif not one.columns:
        name = f"{'output' if one.output else 'input'} {first.feature}"
    if not one.columns and not one.categorical:
        figures += f", mean moved by {one.shift:+.2f} standard deviations"
    if len(changes) == 1:
        verb = "drifts from" if first.after.open else "is again like"
        return f"{name} of {where} {verb} the baseline: {figures}"
    verb = "drift from" if first.after.open else "are again like"
    others = ", ".join(change.words for change in changes[1:4])
    return (
        f"{len(changes)} features of {where} {verb} the baseline, most of all {name}: "
        f"{figures}; then {others}"
    )


def _repeated(notes: Mapping[str, Any]) -> str:
    return "".join(f"; {one}" for one in flood_words(notes))


def _evidence(changes: list[Change], arm: str) -> dict[str, Any]:
    one = changes[0].assessment
    if one is None:
        return {}
    total = sum(map(psi_of, changes))
    features = [
        {
            "feature": change.words,
            "name": change.feature,
            "contribution": round(psi_of(change) / total, 4),
            "level": str(change.assessment.level),
            "psi": change.assessment.psi,
            "p": change.assessment.p,
            "shift": change.assessment.shift,
            "output": change.assessment.output,
        }
        for change in changes[:MOST_TOLD]
        if change.assessment is not None
    ]
    return {
        **one.to_dict(),
        "level": str(one.level),
        "arm": arm,
        "features": features,
        "number": len(changes),
    }
