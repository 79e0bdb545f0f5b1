"""Rules of monitor health: dropped rows, sinks that are down, damaged files. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .episode_tracker import Finding

if TYPE_CHECKING:
    from .counter_window import CounterWindow

WINDOW_SECONDS: Final = 300.0
STEP_SECONDS: Final = 10.0
#: With a larger share of dropped rows the figures of the monitor are in doubt.
WORST_SHARE: Final = 0.01
LEAST_ROWS: Final = 100
#: A sink that has not taken an alert for so long, after some attempts, is down.
SINK_DOWN_SECONDS: Final = 600.0
#: A damaged file is reported for so many seconds, or until the file set aside is removed.
DAMAGED_SECONDS: Final = 86_400.0


def lost_rows(subject: str, window: CounterWindow, now: float) -> Finding:
    """The finding about rows of the last five minutes.

    Args:
        subject: The place where rows are dropped.
        window: Rows that were to be kept first, rows dropped second.
        now: Unix seconds.
    """
    rows, dropped = window.growth(now, WINDOW_SECONDS)
    share = dropped / rows if rows else 0.0
    bad = dropped >= LEAST_ROWS and share > WORST_SHARE
    summary = f"{subject}: {dropped:.0f} of {rows:.0f} rows of the last 5 minutes were dropped"
    evidence = {"rows": rows, "dropped": dropped, "share": share, "window_seconds": WINDOW_SECONDS}
    return Finding("", subject, bad, "warning", f"{summary} ({share:.1%})", evidence)


def sink_down(name: str, waiting_since: float | None, now: float) -> Finding:
    """The finding about a sink that may not take alerts.

    Args:
        name: Name of the sink.
        waiting_since: Unix seconds of the oldest alert that it has refused; `None` if it takes all.
        now: Unix seconds.
    """
    waited = 0.0 if waiting_since is None else now - waiting_since
    bad = waited >= SINK_DOWN_SECONDS
    state = f"has taken no alert for {waited / 60:.0f} minutes" if bad else "takes alerts"
    evidence = {"sink": name, "waiting_seconds": waited}
    return Finding("", f"sink {name}", bad, "warning", f"the sink {name} {state}", evidence)


def damaged_file(name: str, aside: str, time: float, now: float) -> Finding:
    """The finding about a damaged database file.

    Args:
        name: Name of the file.
        aside: Its present name.
        time: Unix seconds when it was set aside.
        now: Unix seconds.
    """
    bad = abs(now - time) < DAMAGED_SECONDS
    summary = f"{name} was damaged; it is kept as {aside}, and a new one was begun"
    return Finding(
        "", f"file {name}", bad, "warning", summary, {"file": name, "kept_as": aside, "time": time}
    )
