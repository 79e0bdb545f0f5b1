"""Real processes end to end: what a shadow counts, and that nobody feels it, whatever it does."""

import pytest

from penstock.monitoring import layout

pytestmark = pytest.mark.slow


def test_a_shadow_that_agrees_is_counted_exactly(stage, until):
    server = stage({})
    assert server.predict(300, rows=3) == [200] * 300
    until(lambda: server.settled() and server.counted(layout.PAIRS) > 0)
    assert server.counted(layout.SHADOW_COPIED) == 301
    assert server.counted(layout.SHADOW_DROPPED) == 0
    assert server.counted(layout.PAIRS) == 301
    assert server.counted(layout.DISAGREEMENTS) == 0
    assert server.counted(layout.SHADOW_ERRORS) == 0
