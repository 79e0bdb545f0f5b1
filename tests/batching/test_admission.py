"""Who is let in to wait: the prediction, without threads or time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from penstock.batching.admission import admit, check_room, in_time
from penstock.batching.errors import Overloaded
from penstock.batching.options import BatchingOptions
from penstock.batching.request import Batch, InferenceRequest
from penstock.batching.scheduled_model import FairShare, ScheduledModel
from penstock.batching.scheduler_state import SchedulerState

from .tables import linear_table

NOW = 100.0


class Admission:
    """One thread that is busy for 10 ms, and a model of 10 ms and 0.1 ms a row."""

    def __init__(self, doubler, slo_seconds=math.inf):
        self.state = SchedulerState(1, 0.0)
        costs = linear_table(10e-3, 0.1e-3, 64)
        options = BatchingOptions(slo_seconds=slo_seconds)
        self.scheduled = ScheduledModel(
            "m", "1", doubler, options, lambda _: None, costs, FairShare(), lambda: None
        )
        self.queue = self.scheduled.queue
        self.queue.costs.margin = 1.0
        self.state.answer_seconds = 0.0
        self.state.active.append(self.queue)
        self.state.free = 0
        self.state.ends[Batch([], NOW)] = NOW + 10e-3

    def wait(self, rows, deadline=math.inf):
        x = np.ones((rows, 3), np.float32)
        request = InferenceRequest((x,), rows, ("y",), NOW)
        request.deadline = deadline
        self.queue.requests.append(request)
        self.queue.rows += rows
        self.scheduled.waiting_rows += rows

    def in_time(self, deadline, rows=1):
        return in_time(self.queue, rows, NOW + deadline, self.state, NOW)


def test_the_rest_of_the_present_run_counts(doubler):
    admission = Admission(doubler)
    admission.wait(1)
    assert not admission.in_time(20e-3), "a free thread after 10 ms, then a run of 10.2 ms"
    assert admission.in_time(20.3e-3)
    admission.state.free = 1
    assert admission.in_time(10.3e-3)


def test_a_request_that_would_make_the_next_run_too_long_waits_for_the_one_after(doubler):
    admission = Admission(doubler)
    admission.wait(20, NOW + 22e-3)  # the run that answers it may take 12 ms: 20 rows
    assert not admission.in_time(22e-3)
    assert not admission.in_time(32e-3), "the one after begins after 22 ms and takes 10.1"
    assert admission.in_time(32.2e-3)


def test_what_is_refused_at_the_door_is_what_is_refused_when_it_is_queued(doubler):
    admission = Admission(doubler, slo_seconds=15e-3)
    check_room(
        admission.queue, 1, NOW + 15e-3, admission.state, NOW
    )  # nobody waits: no prediction, no no
    admission.wait(1)
    request = InferenceRequest((np.ones((1, 3), np.float32),), 1, ("y",), NOW)
    with pytest.raises(Overloaded, match="queue_time"):
        check_room(admission.queue, 1, NOW + 15e-3, admission.state, NOW)
    with pytest.raises(Overloaded, match="queue_time"):
        admit(admission.scheduled, admission.queue, request, admission.state, NOW)
