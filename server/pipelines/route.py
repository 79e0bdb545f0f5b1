"""The steps that some outputs of a pipeline need, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .wired_step import WiredStep


@dataclass(frozen=True, slots=True)
class RoutedStep:
    """A step of a route.

    Attributes:
        step: The step.
        outputs: Names of the outputs that the route needs, in signature order.
        slots: The slots of their values.
        needs: Number of other steps of the route that give its inputs.
        feeds: The steps of the route that take its outputs, as positions in the route.
    """

    step: WiredStep
    outputs: tuple[str, ...]
    slots: tuple[int, ...]
    needs: int
    feeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A route through a pipeline.

    Attributes:
        steps: Each after the steps that give its inputs.
        uses: Number of uses of each value, the answer included, by slot.
        answer: The slots of the outputs of the pipeline.
    """

    steps: tuple[RoutedStep, ...]
    uses: tuple[int, ...]
    answer: tuple[int, ...]


def find_route(steps: Sequence[WiredStep], size: int, answer: tuple[int, ...]) -> Route:
    """The route to some outputs.

    Args:
        steps: All steps of the pipeline, each after the steps that give its inputs.
        size: Number of slots.
        answer: The slots of the outputs.
    """
    uses = [0] * size
    for slot in answer:
        uses[slot] += 1
    chosen: list[WiredStep] = []
    for step in reversed(steps):
        if any(uses[slot] for slot in step.gives.values()):
            chosen.append(step)
            for slot in step.taken:
                uses[slot] += 1
    chosen.reverse()
    givers = {slot: place for place, step in enumerate(chosen) for slot in step.gives.values()}
    needs = [{givers[slot] for slot in step.taken if slot in givers} for step in chosen]
    routed = []
    for place, step in enumerate(chosen):
        wanted = {name: slot for name, slot in step.gives.items() if uses[slot]}
        feeds = tuple(later for later, sources in enumerate(needs) if place in sources)
        slots = tuple(wanted.values())
        routed.append(RoutedStep(step, step.asked(wanted), slots, len(needs[place]), feeds))
    return Route(tuple(routed), tuple(uses), answer)
