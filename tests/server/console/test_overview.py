"""The overview: drift and labels of each model, and what it says while the monitor is away."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.server.console.overview import overview
from penstock.server.console.visit import Visit

BAD = "<script>alert(1)</script>\"'&"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"
API: Any = None
LOOKER = Visit("/console", API, None)
STABLE = {"state": "ok", "words": "stable"}
NO_LABELS = {"state": "none", "words": "none"}


def page(
    drift: dict[str, str] | None = None, labels: dict[str, str] | None = None, problem: str = ""
) -> str:
    versions = [
        {
            "version": number, "default": number == 2, "state": "READY", "wanted": True,
            "traffic": None, "drift": (drift or STABLE) if number == 2 else {"words": "other"},
            "labels": labels or NO_LABELS,
        }
        for number in (1, 2)
    ]  # fmt: skip
    status: dict[str, Any] = {
        "registry": "r", "generation": 3, "converged": True, "workers": [], "problems": [],
        "state_note": "", "monitor": {"answers": not problem, "problem": problem},
        "models": [
            {
                "name": "m", "versions": versions, "rollout": None,
                "default_set": {"since": None, "by": "", "reason": ""},
            }
        ],
    }  # fmt: skip
    return overview(status, [], {}, LOOKER.at).render()


def test_drift_and_labels_of_the_version_that_answers_lead_to_their_pages() -> None:
    html = page(labels={"state": "steady", "words": "accuracy 0.93 (0.91-0.95), 1,240 labels"})
    assert '<a href="/console/models/m/drift">stable</a>' in html
    assert '<a href="/console/models/m/performance">accuracy 0.93 (0.91-0.95), 1,240' in html
    assert "other" not in html
    assert "not known now" not in html


@pytest.mark.parametrize(
    ("drift", "labels", "badge"),
    [
        ("drift", "none", '<span class="badge bad">drift</span>'),
        ("warn", "none", '<span class="badge warning">warning</span>'),
        ("ok", "falling", '<span class="badge bad">alarm</span>'),
        ("ok", "cannot tell", '<span class="badge warning">doubt</span>'),
    ],
)
def test_what_a_glance_must_not_miss_has_a_badge(drift: str, labels: str, badge: str) -> None:
    html = page({"state": drift, "words": "w"}, {"state": labels, "words": "w"})
    assert html.count('class="badge') == page().count('class="badge') + 1
    assert badge in html


def test_names_of_features_are_text() -> None:
    html = page({"state": "drift", "words": f"changed: {BAD}"})
    assert SHOWN in html
    assert "<script>alert" not in html


def test_a_monitor_that_is_away_is_told_once_above() -> None:
    away = {"state": "unknown", "words": "unknown: the monitor is away"}
    html = page(away, away, "the monitor is away")
    assert "Drift and labels are not known now: the monitor is away." in html
