"""How often MLflow is asked while it fails."""

from __future__ import annotations

from penstock.server.control.coordination.alias_follower import retry_seconds


def test_pauses_double_from_a_second_to_five_minutes() -> None:
    assert [retry_seconds(failures) for failures in (1, 2, 3, 9, 10, 10**6)] == [
        *(1.0, 2.0, 4.0, 256.0, 300.0, 300.0)
    ]
