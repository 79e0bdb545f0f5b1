"""Drift episodes in words, as alerts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.alerts.alert import Alert

if TYPE_CHECKING:
    from .drift_state import Change
    from .store import Key


#: Why an episode has ended of which no window says so.
OTHER_BASELINE: Final = "watched anew, with another baseline"
ROLLOUT_OVER: Final = "no longer watched, its rollout is over"


def alert_of(key: Key, change: Change, now: float, why: str = OTHER_BASELINE) -> Alert:
    """The alert that an episode began or ended.

    Args:
        key: Version and arm.
        change: What happened.
        now: Unix seconds.
        why: It has ended, if no window says so.
    """
    opened = change.after.open
    episode = change.after if opened else change.before
    one = change.assessment
    where = f"{key.model} version {key.version}" + (f" ({key.arm})" if key.arm else "")
    if one is None:
        summary = f"{change.feature} of {where}: {why}"
        evidence = {}
    else:
        kind = "output" if one.output else "input"
        figures = f"PSI {one.psi:.2f}, p {one.p:.1g}, {one.rows} rows"
        if not one.categorical:
            figures += f", mean moved by {one.shift:+.2f} standard deviations"
        verb = "drifts from" if opened else "is again like"
        summary = f"{kind} {change.feature} of {where} {verb} the baseline: {figures}"
        evidence = {**one.to_dict(), "level": str(one.level), "arm": key.arm}
    since = int(episode.since * 1000)
    return Alert(
        kind="drift",
        model=key.model,
        version=key.version,
        subject=change.feature,
        severity="critical" if episode.critical else "warning",
        opened=opened,
        episode=f"drift/{key.model}/{key.version}/{key.arm}/{change.feature}/{since}",
        time=now,
        summary=summary,
        evidence=evidence,
    )
