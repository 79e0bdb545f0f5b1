"""What happens by itself to new versions where `on_push` is ``wait`` or ``canary``. Pure.

Only ``stable`` answers requests that name no version then. So the version that answers when the
model is served for the first time becomes stable by itself. With ``canary`` a rollout begins for
the newest version that is higher than all that were ever stable or on trial: what a person or the
evidence has decided about is not tried again by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.config.version_policy import CANARY, SERVE
from penstock.server.desired_state import state as change
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.desired_state.rollout_state import in_progress
from penstock.server.desired_state.state import STABLE
from penstock.server.desired_state.store import ACTOR
from penstock.server.rollout.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.server.desired_state.state import DesiredState
    from penstock.server.target.plan import ModelPlan, Standing

    Changed = tuple[DesiredState, AuditEvent | None]
    Change = Callable[[DesiredState, frozenset[int]], Changed]


def unnamed(
    plans: Mapping[str, ModelPlan],
    state: DesiredState,
    standings: Mapping[str, Standing],
    on_push: str,
) -> dict[str, int]:
    """The version of each model that is to become stable by itself.

    It answers requests that name no version, every worker has it ready, and nobody has named a
    stable version.

    Args:
        plans: The plans of the target, by model.
        state: The desired state.
        standings: The states of the versions, by model.
        on_push: The server's option, for models that do not say.
    """
    found: dict[str, int] = {}
    for name, plan in plans.items():
        if (plan.config.on_push or on_push) == SERVE:
            continue
        now, standing = state.model(name), standings.get(name)
        if (
            plan.default is not None
            and now.stable is None
            and in_progress(now) is None
            and standing is not None
            and plan.default in standing.serving
        ):
            found[name] = plan.default
    return found


def untried(
    plans: Mapping[str, ModelPlan],
    state: DesiredState,
    standings: Mapping[str, Standing],
    on_push: str,
) -> dict[str, int]:
    """The version of each model whose canary is to begin by itself.

    Args:
        plans: The plans of the target, by model.
        state: The desired state.
        standings: The states of the versions, by model.
        on_push: The server's option, for models that do not say.
    """
    found: dict[str, int] = {}
    for name, plan in plans.items():
        now, standing = state.model(name), standings.get(name)
        if (plan.config.on_push or on_push) != CANARY or now.stable is None or standing is None:
            continue
        running = in_progress(now)
        if running is not None and running.phase is not Phase.WATCHING:
            continue
        ready = standing.serving & plan.versions.keys() - now.unloaded - {*plan.steps_only}
        newest = max(ready, default=0)
        if newest > max(now.tried, now.stable):
            found[name] = newest
    return found


def naming(model: str, version: int, digest: str) -> Change:
    """The change that makes a version stable, with its record; none if one is stable already."""

    def changed(state: DesiredState, serving: frozenset[int]) -> Changed:
        if state.model(model).stable is not None or version not in serving:
            return state, None
        after = change.promote(state, model, version, serving)
        event = AuditEvent(
            action="promote",
            actor=ACTOR,
            model=model,
            before={STABLE: None},
            after={STABLE: version},
            reason="the first version of the model; later ones wait (on_push)",
            evidence={"version": version, **({"digest": digest} if digest else {})},
            generation=after.generation,
        )
        return after, event

    return changed
