"""Who looks at answers: the samples for the monitor, the input quality, and the shadow.

None of them can fail an answer. An error in one of them is noted, and the answer goes out.

    before, before_coalesced  the answers are ready and not written: what is sampled is counted
    after, after_coalesced    the answers are written
    failed                    calls are answered with an error
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.samples.run_sample import RunSample
    from penstock.server.errors import ApiError
    from penstock.server.errors.incidents import Incidents
    from penstock.server.serving.servable import Servable

    from .call import Call
    from .sampling import Sampling
    from .shadow_sender import ShadowSender

T = TypeVar("T")


class Onlookers:
    """All of a process.

    Attributes:
        mirrors: Who wants copies, by model and version.

    Args:
        sampling: Hands inputs and outputs to the monitor; ``None`` if there is none.
        incidents: Is told of errors.
    """

    def __init__(self, sampling: Sampling | None, incidents: Incidents) -> None:
        self.mirrors: dict[tuple[str, str], ShadowSender] = {}
        self._sampling = sampling
        self._incidents = incidents

    def aside(self, step: Callable[..., T], *args: Any) -> T | None:
        """Take a step on which no answer may depend; ``None`` if it fails."""
        try:
            return step(*args)
        except Exception as error:  # noqa: BLE001  see above
            place = getattr(step, "__qualname__", type(step).__name__)
            self._incidents.note(f"looking at answers ({place})", error)
            return None

    def before(
        self,
        servable: Servable,
        calls: Sequence[Call],
        firsts: Sequence[int],
        batch: Batch,
        answered: Sequence[tuple[Call, Any]],
        arrivals: Sequence[float],
        now: float,
    ) -> RunSample | None:
        """What is sampled of a run, for `after`; see `Sampling.take`."""
        sampling = self._sampling
        if sampling is None:
            return None
        take = sampling.take
        return self.aside(take, servable, calls, firsts, batch, answered, arrivals, now)

    def after(
        self,
        servable: Servable,
        calls: Sequence[Call],
        firsts: Sequence[int],
        batch: Batch,
        taken: RunSample | None,
    ) -> None:
        """The answers of a run are written."""
        if taken and self._sampling is not None:
            self.aside(self._sampling.offer, servable, taken)
        if self.mirrors or servable.tally is not None:
            self._look(servable, calls, firsts, batch)

    def before_coalesced(self, servable: Servable, ids: Sequence[bytes]) -> list[int] | None:
        """The same as `before` for requests of one row each; see `Sampling.count_rows`."""
        if self._sampling is None:
            return None
        try:
            return self._sampling.count_rows(servable, ids)
        except Exception as error:  # noqa: BLE001  as in `aside`
            self._incidents.note("looking at answers (Sampling.count_rows)", error)
            return []  # none of them was counted

    def after_coalesced(
        self,
        servable: Servable,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        arrivals: Sequence[float],
        batch: Batch,
        picked: list[int] | None,
        now: float,
    ) -> None:
        """The same as `after` for requests of one row each, with what `before_coalesced` gave."""
        if self._sampling is not None:
            try:
                self._sampling.offer_rows(servable, picked, ids, arrivals, batch, now)
            except Exception as error:  # noqa: BLE001  as in `aside`
                self._incidents.note("looking at answers (Sampling.offer_rows)", error)
        if self.mirrors:
            for call, request_id in zip(calls, ids, strict=True):
                call.request_id = request_id
        if self.mirrors or servable.tally is not None:
            self._look(servable, calls, range(batch.rows), batch)

    def failed(
        self,
        servable: Servable,
        ids: Sequence[bytes],
        error: ApiError,
        latencies: Sequence[float],
        arm: str = "",
    ) -> None:
        """Calls are answered with an error; see `Sampling.failed`."""
        if self._sampling is not None:
            self.aside(self._sampling.failed, servable, ids, error, latencies, arm)

    def _look(
        self, servable: Servable, calls: Sequence[Call], firsts: Sequence[int], batch: Batch
    ) -> None:
        if servable.tally is not None:
            inputs = batch.inputs or batch.requests[0].inputs  # in parts it has none
            self.aside(servable.tally.tally, inputs)
        if self.mirrors:
            self.aside(self._copy, servable, calls, firsts, batch)

    def _copy(
        self, servable: Servable, calls: Sequence[Call], firsts: Sequence[int], batch: Batch
    ) -> None:
        """Offer inputs and outputs to the shadow, if it is to have them."""
        feed = self.mirrors.get((servable.name, servable.version))
        if feed is not None:
            feed.offer(calls, [*firsts, batch.rows], servable.wire.input_names, batch)
