"""A discrete-event simulation of the batcher: the production scheduler on a virtual clock.

`VirtualLoop` stands in for the event loop, `VirtualThreads` for the execution threads, and a
`SimulatedModel` takes its time by moving the clock. Everything else is the code that serves.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.batching.cost import CostTable, knots_up_to
from penstock.batching.errors import Overloaded
from penstock.batching.execution import execute
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.runtimes.contract import VARIABLE, Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.options import BatchingOptions
    from penstock.batching.request import Batch
    from penstock.batching.scheduled_model import ScheduledModel

SIGNATURE = Signature((TensorSpec("x", "FP64", (VARIABLE, 0)),), (), batch_axis=True)


class Handle:
    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualLoop:
    """The part of an event loop that the scheduler uses, in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers = 0
        self._events: list[tuple[float, int, Handle]] = []
        self._order = count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, function: Callable[..., None], *arguments: Any) -> Handle:
        handle = Handle(function, arguments)
        heapq.heappush(self._events, (when, next(self._order), handle))
        return handle

    def call_soon(self, function: Callable[..., None], *arguments: Any) -> Handle:
        return self.call_at(self.now, function, *arguments)

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, function: Callable[..., None], *arguments: Any) -> Handle:
        self.timers += 1
        return self.call_at(self.now + delay, function, *arguments)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    def run(self, until: float = math.inf) -> None:
        events = self._events
        while events and events[0][0] <= until:
            when, _, handle = heapq.heappop(events)
            self.now = max(self.now, when)
            if not handle.cancelled:
                handle.function(*handle.arguments)


class VirtualThreads:
    """Execution threads that take the model's time without taking ours."""

    def __init__(
        self,
        loop: VirtualLoop,
        threads: int,
        done: Callable[..., None],
        clock: Callable[[], float],
    ) -> None:
        self.loop = loop
        self.size = threads
        self.busy = 0
        self.busy_seconds = 0.0
        self.done = done

    def start(self, batch: Batch, model: SimulatedModel) -> None:
        self.busy += 1
        assert self.busy <= self.size, "more batches than threads"
        batch.started_at = started = self.loop.now
        seconds = model.draw(batch.rows, self.busy)
        model.on_thread = True
        parts = execute(batch, model, lambda: started + seconds)
        model.on_thread = False
        self.busy_seconds += seconds
        self.loop.call_at(started + seconds, self._finish, batch, parts)

    def _finish(self, batch: Batch, parts: list[Batch] | None) -> None:
        self.busy -= 1
        self.done(batch, parts)

    def close(self) -> None:
        assert not self.busy


class SimulatedModel:
    """Takes ``seconds(rows)`` per run, with optional noise and contention between threads.

    On the event loop it takes that time from the loop.
    """

    signature = SIGNATURE
    metadata: dict[str, str] = {}  # noqa: RUF012  as in the contract

    def __init__(
        self,
        loop: VirtualLoop,
        seconds: Callable[[int], float],
        *,
        noise: float = 0.0,
        contention: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.loop = loop
        self.seconds = seconds
        self.noise = noise
        self.contention = contention
        self.random = np.random.default_rng(seed)
        self.on_thread = False
        self.runs: list[int] = []

    def draw(self, rows: int, busy: int = 1) -> float:
        seconds = self.seconds(rows) * (1 + self.contention * (busy - 1))
        if self.noise:
            seconds *= 1 + abs(self.random.normal(0, self.noise))
        self.runs.append(rows)
        return seconds

    def execute(self, inputs: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
        if not self.on_thread:
            self.loop.now += self.draw(inputs[0].shape[0])
        return []

    def unload(self) -> None: ...


@cache
def tensors(rows: int) -> tuple[np.ndarray]:
    """Inputs without content."""
    return (np.empty((rows, 0)),)


def linear(base_seconds: float, row_seconds: float) -> Callable[[int], float]:
    return lambda rows: base_seconds + row_seconds * rows


def table_of(seconds: Callable[[int], float], max_rows: int, factor: float = 1.0) -> CostTable:
    """What calibration would measure, or ``factor`` times that."""
    sizes = knots_up_to(max_rows)
    return CostTable(tuple(sizes), tuple(factor * seconds(size) for size in sizes))


def poisson(rate: float, number: int, seed: int = 1) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, number))


def bursty(rate: float, number: int, seed: int = 1, variation: float = 3.0) -> np.ndarray:
    """Gaps from a gamma distribution with the given coefficient of variation."""
    shape = 1 / variation**2
    gaps = np.random.default_rng(seed).gamma(shape, 1 / (rate * shape), number)
    return np.cumsum(gaps)


@dataclass
class Outcome:
    """What became of the requests of one model."""

    slo_seconds: float
    offered: int = 0
    first: float = math.inf
    last: float = 0.0
    latencies: list[float] = field(default_factory=list)
    completions: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)
    execution_seconds: float = 0.0

    @property
    def in_time(self) -> int:
        return sum(latency <= self.slo_seconds for latency in self.latencies)

    @property
    def attainment(self) -> float:
        return self.in_time / self.offered

    @property
    def goodput(self) -> float:
        """Answers in time per second of arrivals."""
        return self.in_time / (self.last - self.first)

    @property
    def throughput(self) -> float:
        return len(self.completions) / (max(self.completions) - self.first)

    @property
    def mean_latency(self) -> float:
        return float(np.mean(self.latencies)) if self.latencies else math.nan

    def quantile(self, q: float) -> float:
        return float(np.quantile(self.latencies, q)) if self.latencies else math.inf


class Simulation:
    """Servers, arrivals, outcomes. ``submit`` is the production scheduler's unless replaced."""

    def __init__(self, threads: int = 2, **scheduler: Any) -> None:
        self.loop = VirtualLoop()
        self.scheduler = Scheduler(
            self.loop,  # type: ignore[arg-type]
            threads=threads,
            clock=self.loop.time,
            executor=VirtualThreads,
            **scheduler,
        )
        self.outcomes: dict[str, Outcome] = {}
        self.models: dict[str, SimulatedModel] = {}
        self.ended: Counter[int] = Counter()

    @property
    def threads(self) -> VirtualThreads:
        executor = self.scheduler._dispatcher._executor
        assert isinstance(executor, VirtualThreads)
        return executor

    def add(
        self,
        name: str,
        seconds: Callable[[int], float],
        options: BatchingOptions,
        *,
        version: str = "1",
        believed: float | None = 1.0,
        **model: Any,
    ) -> ScheduledModel:
        """Register a model; ``believed`` times the truth is what calibration measured."""
        self.models[f"{name}/{version}"] = simulated = SimulatedModel(self.loop, seconds, **model)
        outcome = self.outcomes[f"{name}/{version}"] = Outcome(options.slo_seconds)
        costs = None if believed is None else table_of(seconds, options.max_batch_size, believed)
        return self.scheduler.register(
            name, version, simulated, options, lambda batch: self.answer(outcome, batch), costs
        )

    def outcome(self, scheduled: ScheduledModel) -> Outcome:
        return self.outcomes[f"{scheduled.name}/{scheduled.version}"]

    def answer(self, outcome: Outcome, batch: Batch) -> None:
        if batch.error is None:
            outcome.batches.append(batch.rows)
            outcome.execution_seconds += batch.finished_at - batch.started_at
        for request in batch.requests:
            self.ended[id(request)] += 1
            if batch.error is None:
                outcome.latencies.append(self.loop.now - request.arrival)
                outcome.completions.append(self.loop.now)
            else:
                reason = getattr(batch.error, "reason", type(batch.error).__name__)
                outcome.refusals[reason] += 1

    def arrive(
        self,
        scheduled: ScheduledModel,
        times: Sequence[float] | np.ndarray,
        rows: Callable[[int], int] = lambda _: 1,
        deadline: Callable[[int], float] = lambda _: math.inf,
    ) -> None:
        """Schedule requests; ``deadline`` is seconds after the arrival."""
        outcome = self.outcome(scheduled)
        outcome.offered += len(times)
        outcome.first = min(outcome.first, times[0])
        outcome.last = max(outcome.last, times[-1])

        def submit(number: int) -> None:
            arrival = float(times[number])
            size = rows(number)
            request = InferenceRequest(
                tensors(size),
                size,
                (),
                arrival,
                deadline=arrival + deadline(number),
                context=number,
            )
            try:
                self.scheduler.submit(scheduled, request)
            except Overloaded as error:
                outcome.refusals[error.reason] += 1

        def tick(number: int) -> None:
            """All that has arrived by now is read in one iteration of the loop."""
            while number < len(times) and times[number] <= self.loop.now:
                submit(number)
                number += 1
            if number < len(times):
                self.loop.call_at(float(times[number]), tick, number)

        self.loop.call_at(float(times[0]), tick, 0)

    def run(self, until: float = math.inf) -> None:
        self.loop.run(until)
