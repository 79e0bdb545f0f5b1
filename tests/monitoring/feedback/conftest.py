"""A keeper of ground truth on real files, and batches as workers send them."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample

NOW = 1_700_000_000.0


def make_batch(ids, outputs, *, version="1", arm="", time=NOW, offsets=None, model="m"):
    """A batch of requests, one row each unless `offsets` says otherwise."""
    return BatchSample(
        model=model,
        version=version,
        time=time,
        request_ids=[one.encode() for one in ids],
        offsets=offsets or list(range(len(ids) + 1)),
        statuses=[200] * len(ids),
        latencies=[0.001] * len(ids),
        input_names=(),
        inputs=[],
        output_names=tuple(outputs),
        outputs=[np.asarray(one) for one in outputs.values()],
        times=[time] * len(ids),
        arm=arm,
    )


@pytest.fixture
def batch():
    return make_batch


@pytest.fixture
def keep(tmp_path):
    """Open a keeper of this directory, as a process would after a start."""
    opened = []

    def start(options=None, max_rows=5_000_000, max_days=90.0, told=None, directory=tmp_path):
        store = FeedbackStore(
            directory,
            lambda *_: options or FeedbackOptions(),
            lambda *what: told.append(what) if told is not None else None,
            max_rows,
            max_days,
        )
        opened.append(store)
        return store

    yield start
    for store in opened:
        store._connection.close()
