"""Publishes beside readers while requests fail, are slow and break off, and pushes are killed."""

from __future__ import annotations

import random
import threading

from penstock.server.config.store_url import parse_store_url
from penstock.server.store.object_store import open_store


def test_no_version_is_half_lost_or_late_while_requests_fail_and_pushes_are_killed(
    bucket, url, tmp_path, publishes
):
    chance, pause = random.Random(7), threading.Event()

    def fault(_method, _path):
        drawn = chance.random()
        if drawn < 0.01:
            pause.wait(0.05)
        return ("", "error", "cut", "lost")[int(drawn * 100)] if drawn < 0.04 else ""

    def opened():
        return open_store(parse_store_url(url))

    bucket.faults = fault
    outcome = publishes.Run(opened, tmp_path, count=40, seed=3, poll_seconds=0.1).run()
    bucket.faults = lambda *_: ""
    outcome.check(opened())
    assert outcome.killed >= 2
    assert len(outcome.published) >= 30
