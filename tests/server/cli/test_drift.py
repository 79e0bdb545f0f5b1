"""What `penstock drift` prints."""

from __future__ import annotations

import io

from rich.console import Console

from penstock.server.cli.drift import drift_view
from penstock.server.drift.values_view import false_alarm_words


def entry(version, arm, end, state="ok"):
    return {
        "version": version, "arm": arm, "state": state, "windows": 3, "problem": "", "source": "",
        "window": {"start": end - 60, "end": end, "rows": 600, "skipped": 0}, "open": None,
        "expected_false_alarms_per_week": 0.01, "learning": {}, "features": [], "notes": {},
        "segments": [],
    }  # fmt: skip


def test_a_version_is_one_block_whatever_arms_it_had():
    found = {
        "model": "m",
        "problem": "",
        "versions": [
            entry("1", "", 100.0), entry("1", "stable", 900.0),
            entry("2", "", 50.0), entry("2", "canary", 800.0, "drift"), entry("2", "stable", 9.0),
        ],
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    console.print(drift_view(found))
    lines = console.file.getvalue().splitlines()
    heads = [line.split(":")[0] for line in lines]
    assert heads == [
        "m version 1 (stable)", "  also version 1",
        "m version 2 (canary)", "  also version 2", "  also version 2 (stable)",
    ]  # fmt: skip


def test_a_rate_of_false_alarms_that_is_not_known_is_not_stated():
    known, partly, never = (entry(version, "", 100.0) for version in ("1", "2", "3"))
    features = [{"name": name} for name in ("x", "y")]
    for one, unknown in ((known, []), (partly, ["y"]), (never, ["x", "y"])):
        one["features"], one["unknown"] = features, unknown
    assert false_alarm_words(known) == ("0.01", "a week by chance")
    assert "without one feature whose" in " ".join(false_alarm_words(partly))
    assert false_alarm_words(never)[0] == "not known"
    assert false_alarm_words(entry("4", "", 100.0))[0] == "not known"
