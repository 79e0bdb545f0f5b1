"""What is measured: one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load on one model.

    Attributes:
        name: For reports and ``--only``.
        model: ``breast-cancer``, ``mlp`` or ``image``.
        encoding: ``json``, ``msgpack`` or ``binary``; servers that do not speak it are left out.
        connections: In a closed loop the requests in flight, in an open loop their upper bound.
        rows: Per request.
        load_factor: Offered rate of an open loop as a multiple of what this very server did in the
            closed loop named by ``capacity_from``, in the same repeat; ``None`` is a closed loop.
        arrivals: See `penstock.loadtests.schedule.draw`.
        slo_seconds: An answer counts towards goodput when it comes within this; a server that can
            be told is started with it.
        capacity_from: The closed-loop scenario that gives the capacity.
        is_capacity: Whether this is such a scenario.
    """

    name: str
    model: str = "breast-cancer"
    encoding: str = "json"
    connections: int = 64
    rows: int = 1
    load_factor: float | None = None
    arrivals: str = "poisson"
    slo_seconds: float | None = None
    capacity_from: str | None = None
    is_capacity: bool = False


def closed_scenarios(connections: tuple[int, ...] = (64, 8, 1)) -> list[Scenario]:
    """Throughput and CPU per request of a small model, and of a large body."""
    small = [
        Scenario(f"{encoding}-c{count}", encoding=encoding, connections=count)
        for encoding in ("json", "msgpack", "binary")
        for count in connections
    ]
    return [*small, Scenario("image-binary-c8", model="image", encoding="binary", connections=8)]


def overload_scenarios() -> list[Scenario]:
    """Goodput beyond capacity, of a model that takes a while and gains from batching."""
    capacity = Scenario("mlp-capacity", model="mlp", connections=64, is_capacity=True)
    return [
        capacity,
        *(
            Scenario(
                f"mlp-{arrivals.partition(':')[0]}-{factor:g}x",
                model="mlp",
                connections=1024,
                load_factor=factor,
                arrivals=arrivals,
                slo_seconds=0.020,
                capacity_from=capacity.name,
            )
            for arrivals in ("poisson", "gamma:4")
            for factor in (0.7, 1.3, 2.0)
        ),
    ]
