from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from penstock.batching.cost import CostModel, CostTable
from penstock.batching.queue import BatchQueue
from penstock.batching.request import InferenceRequest

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(1, 12)),
        st.tuples(st.just("drop"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
    ),
    max_size=60,
)


@given(steps, st.booleans())
def test_it_is_a_plain_list_whatever_is_taken_dropped_and_cancelled(steps, solo):
    scheduled = SimpleNamespace(waiting_rows=0)
    queue = BatchQueue(scheduled, CostModel(CostTable((1,), (1.0,)), 12), solo=solo)
    model: list[InferenceRequest] = []
    for step, number in steps:
        if step == "put":
            request = InferenceRequest((), number, (), 0.0)
            request.queue = queue
            queue.requests.append(request)
            queue.rows += number
            scheduled.waiting_rows += number
            model.append(request)
        elif step == "cancel" and model:
            request = model.pop(number % len(model))
            request.cancelled = True
            queue.discard(request)
            assert request.queue is None
        elif step == "take" and model:
            expected = [model.pop(0)]
            while model and not solo and sum(r.rows for r in expected) + model[0].rows <= number:
                expected.append(model.pop(0))
            assert queue.take(number) == expected
            assert all(request.queue is None for request in expected)
        elif step == "drop" and len(queue.requests) >= number:
            entries = list(queue.requests)[:number]
            dropped = queue.drop(number)
            assert dropped == [request for request in entries if not request.cancelled]
            assert dropped == model[: len(dropped)]
            del model[: len(dropped)]
        assert [r for r in queue.requests if not r.cancelled] == model
        assert queue._cancelled == sum(request.cancelled for request in queue.requests)
        assert queue.rows == scheduled.waiting_rows == sum(request.rows for request in model)
        assert not queue.requests or not queue.requests[0].cancelled
        assert len(queue.requests) <= 2 * len(model) + 1
