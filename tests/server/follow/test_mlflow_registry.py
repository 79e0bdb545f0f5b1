"""What MLflow's client says is one line, without what could be a secret."""

from __future__ import annotations

import pytest

from penstock.server.follow.mlflow_registry import one_line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "403 Client Error: Forbidden for url: https://b.s3.amazonaws.com/1/m?X-Amz-Signature=S",
            "403 Client Error: Forbidden for url: https://b.s3.amazonaws.com/1/m",
        ),
        (
            "cannot reach 'http://ann:S@host:5000/api' now",
            "cannot reach 'http://host:5000/api' now",
        ),
        ("wasbs://c@a.blob/x?sig=S and\n  http://h/y#S", "wasbs://a.blob/x and http://h/y"),
        ("x" * 2000, "x" * 1000),
    ],
)
def test_addresses_lose_users_and_queries(text: str, told: str) -> None:
    assert one_line(text) == told
