"""Logs which version answers requests that name no version, when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from penstock.server.target.plan import ModelPlan, Standing

#: Up to so many models have a line each; more models share one line.
_MAX_TOLD: Final = 20


class Answering:
    """Remembers the version of each model that was logged last."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def news(
        self, plans: Mapping[str, ModelPlan], standings: Mapping[str, Standing]
    ) -> Iterator[str]:
        """A line for each model that another version answers than before.

        Args:
            plans: The plans of the target, by model.
            standings: The states of the versions, by model.
        """
        now = {
            name: plan.default
            for name, plan in plans.items()
            if plan.default is not None
            and name in standings
            and plan.default in standings[name].serving
        }
        changed = {name: one for name, one in now.items() if self._told.get(name) != one}
        gone = self._told.keys() - now.keys()
        self._told = now
        if len(changed) > _MAX_TOLD:
            yield f"{len(changed)} models answer; penstock status shows the version of each"
        else:
            yield from (f"{name}: version {one} answers" for name, one in changed.items())
        if len(gone) > _MAX_TOLD:
            yield f"{len(gone)} models answer no more"
        else:
            yield from (f"{name}: no version answers any more" for name in sorted(gone))
