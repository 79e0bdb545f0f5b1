"""The answers of a finished run, encoded on the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import encode_batch
from .coalesced_calls import calls_of
from .failure_kinds import unsound

if TYPE_CHECKING:
    from penstock.batching.request import Batch
    from penstock.server.serving.servable import Servable

    from .answers import Answer
    from .call import Call
    from .traffic_splitter import TrafficSplitter

    #: All calls of a run, the row in which each begins, those to be answered, their answers, and
    #: which of them have invalid outputs.
    EncodedRun = tuple[list[Call], list[int], list[Call], list[Answer], set[Call]]


def encode_run(servable: Servable, batch: Batch, splitter: TrafficSplitter) -> EncodedRun:
    """Encode the answers of a run that did not fail.

    Args:
        servable: The version that ran.
        batch: The finished run.
        splitter: Decides which calls are answered from it.
    """
    calls, firsts = calls_of(batch, alone=not servable.wire.batch_axis)
    waiting, starts = calls, firsts
    invalid: set[Call] = set()
    if servable.routed:
        bad = unsound(firsts, batch, batched=servable.wire.batch_axis)
        waiting, starts, invalid = splitter.sift(servable, calls, firsts, bad)
    answers = encode_batch(servable, waiting, starts, batch.outputs, waiting is calls)
    return calls, firsts, waiting, answers, invalid
