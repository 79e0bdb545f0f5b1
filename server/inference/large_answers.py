"""Encodes and compresses the answers of large runs on a thread; the loop writes them.

A million numbers take a tenth of a second to be written as text. The loop has other connections to
serve meanwhile, so it only looks at the size of a run, and gets the answers when they are ready.

While the thread encodes, a call may be abandoned, or leave a canary that did not answer in time.
The thread therefore sees no call: it works on what each call had asked for when its run
ended. The loop finds the calls that have left, as after any run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.batching.contained import contained
from penstock.monitoring.samples.run_sample import array_bytes
from penstock.server.errors import ClientGone, Unavailable

from .answers import encode_large
from .coalesced_calls import calls_of
from .failure_kinds import unsound

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from penstock.batching.request import Batch
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.serving.servable import Servable

    from .answers import Answer, EncodedRun
    from .call import Call
    from .head import RequestHead
    from .traffic_splitter import TrafficSplitter

    #: The request of a call; ``None`` for a call that has left the version.
    Wish = tuple[RequestHead, InferRequest] | None
    #: The calls with NaN or infinity in an output, if that matters, and the answer of each call.
    Encoded = tuple[set[int], list[Answer]]

#: Bytes of outputs that may wait to be encoded; a further run is refused, unless none waits.
MAX_WAITING_BYTES: Final = 256 << 20
_FULL: Final = "answers wait to be encoded; the result of this request was dropped, try again later"


class LargeAnswers:
    """Encodes the answers of large runs on a thread.

    Attributes:
        answer: Answers the calls of a run.
        fail: Answers a call with an error.
        end: Ends calls after an error in a step.

    Args:
        loop: The event loop of all steps but the encoding.
        threads: The thread that encodes.
        splitter: Divides requests between two versions.
        large_bytes: Larger outputs of a run are encoded on a thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: Executor,
        splitter: TrafficSplitter,
        large_bytes: int,
    ) -> None:
        self.answer: Callable[[Servable, Batch, EncodedRun], object]
        self.fail: Callable[[Call, Exception], object]
        self.end: Callable[[Sequence[Call], Exception], object]
        self._loop = loop
        self._threads = threads
        self._splitter = splitter
        self._large_bytes = large_bytes
        self._waiting_bytes = 0

    def are_of(self, servable: Servable, batch: Batch) -> bool:
        """Whether the outputs of a run are large."""
        size = 0
        for output in batch.outputs:
            size += output.nbytes
        if size <= self._large_bytes and not servable.wire.numeric:  # pointers to texts
            size = array_bytes(batch.outputs)
        return size > self._large_bytes

    def start(self, servable: Servable, batch: Batch) -> None:
        """Encode the answers of a run that did not fail.

        Raises:
            RuntimeError: There is no thread; nothing was done.
        """
        calls, firsts = calls_of(batch, alone=not servable.wire.batch_axis)
        size = array_bytes(batch.outputs)
        if self._waiting_bytes and self._waiting_bytes + size > MAX_WAITING_BYTES:
            self._refuse(servable, calls)
            return
        wishes: list[Wish] = [
            (call.head, call.message)
            if call.servable is servable and call.message is not None
            else None
            for call in calls
        ]
        routed = servable.routed > 0
        encoding = self._threads.submit(
            contained, _encode, servable, batch, wishes, firsts, routed=routed
        )
        servable.begin_coding()
        self._waiting_bytes += size
        encoding.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(
                self._encoded, servable, batch, calls, firsts, size, done
            )
        )

    def _encoded(
        self,
        servable: Servable,
        batch: Batch,
        calls: list[Call],
        firsts: list[int],
        size: int,
        done: Future[Encoded],
    ) -> None:
        """Answer the calls with what the thread has encoded, on the loop. Never raises."""
        self._waiting_bytes -= size
        try:
            bad, answers = contained(done.result)
            self._answer(servable, batch, calls, firsts, bad, answers)
        except Exception as error:  # noqa: BLE001  the calls that still wait get it as their answer
            self.end([call for call in calls if call.servable is servable], error)
        finally:
            servable.end_coding()

    def _answer(
        self,
        servable: Servable,
        batch: Batch,
        calls: list[Call],
        firsts: list[int],
        bad: set[int],
        answers: list[Answer],
    ) -> None:
        waiting, invalid = calls, set[Any]()
        if servable.routed:
            waiting, _, invalid = self._splitter.sift(servable, calls, firsts, bad)
        if waiting is not calls:
            answer_of = dict(zip(calls, answers, strict=True))
            answers = [answer_of[call] for call in waiting]
        self.answer(servable, batch, (calls, firsts, waiting, answers, invalid))

    def _refuse(self, servable: Servable, calls: Sequence[Call]) -> None:
        """Refuse the calls of a run for whose outputs there is no room."""
        for call in calls:
            if not self._splitter.forsake(call, servable) and call.entered:
                full = Unavailable(_FULL, retry_after_seconds=1, reason="queue_full")
                self.fail(call, ClientGone() if call.abandoned else full)


def _encode(
    servable: Servable,
    batch: Batch,
    wishes: Sequence[Wish],
    firsts: Sequence[int],
    *,
    routed: bool,
) -> Encoded:
    """Encode the answers, on a thread; the interpreter lock is released between pieces."""
    batched = servable.wire.batch_axis
    bad = unsound(firsts, batch, batched=batched) if routed else set[int]()
    answers: list[Answer] = []
    for wish, first in zip(wishes, firsts, strict=True):
        if wish is None:
            answers.append(ClientGone())
            continue
        head, message = wish
        outputs: Sequence[Any] = batch.outputs
        if batched:
            outputs = [output[first : first + message.rows] for output in outputs]
        answers.append(encode_large(servable, head, message, outputs))
    return bad, answers
