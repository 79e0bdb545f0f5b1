"""The runner: the process that a candidate runs in; see `penstock.server.isolation`.

It loads the candidate with all checks that a worker makes, and beside it the primary, and runs
copied batches one after the other. It may hang, crash or leak: the shadow process watches it. For a
rollback control starts one that computes recent requests of the log with the former version.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.config.config import ServerConfig
from penstock.server.loading.load_order import LoadOrder
from penstock.server.loading.loading import Loader
from penstock.server.pipelines.pipeline_runtime import StepModel
from penstock.server.processes.logs import configure_logs
from penstock.server.processes.priority import run_when_idle
from penstock.server.shadow_copies.batches import decode
from penstock.server.target.target import decode_target

from .comparer import Comparer
from .messages import READY, REFUSED, REPORT, Order
from .replay import Replay, read_log, replay_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.runtimes.contract import Model
    from penstock.server.isolation.link import Link
    from penstock.server.target.plan import ModelPlan

LOG = logging.getLogger("penstock.shadow")


def serve(link: Link) -> None:
    """Serve the connection until it ends."""
    order = unpack(Order, link.expect()[1], "the order")
    config = ServerConfig.from_json(Path(order.config).read_text())
    configure_logs(config, "shadow")
    plan, *others = decode_target(order.target).models.values()
    plans = {one.name: one for one in (plan, *others)}
    loader = Loader(config)
    replay = order.replay
    try:
        candidate = _candidate(loader, plan, plans)
        comparer = None if replay is not None else _comparer(loader, plan, plans, candidate)
    except Exception as error:  # noqa: BLE001  a plug-in may raise anything
        link.send(REFUSED, (str(error) or type(error).__name__).encode())
        return
    if replay is not None:  # an operator waits for it
        _replay(link, candidate, plan, replay)
        return
    assert comparer is not None
    run_when_idle()
    link.send(READY)
    while True:
        _, content = link.expect()
        for batch in decode(memoryview(content)):
            link.send(REPORT, pack(comparer.examine(batch)))


def _replay(link: Link, candidate: Model, plan: ModelPlan, replay: dict[str, Any]) -> None:
    """Say what the candidate makes of recent requests."""
    assert plan.mirror is not None
    asked = Replay(**{**replay, "private": tuple(replay["private"])})
    logged = read_log(candidate.signature, plan.name, plan.mirror.candidate, asked)
    link.send(READY)  # from here on the candidate is to blame for what takes long
    tolerance = plan.config.rollout.tolerance
    link.send(REPORT, pack(replay_log(candidate, logged, asked.serving, tolerance)))


def _candidate(loader: Loader, plan: ModelPlan, plans: Mapping[str, ModelPlan]) -> Model:
    """Load the candidate."""
    mirror = plan.mirror
    assert mirror is not None
    directory = mirror.directory or plan.versions.get(mirror.candidate)
    if directory is None:
        raise FileNotFoundError(f"version {mirror.candidate} is not in the registry")
    accepted = mirror.candidate in plan.accepted
    order = LoadOrder(
        plan.name,
        str(mirror.candidate),
        directory,
        plan.config,
        accepted=accepted,
        busy=True,
        declared=plan.declared.get(mirror.candidate),
        steps=_steps(loader, plan, mirror.candidate, plans),
    )
    return loader.load(order).model


def _comparer(
    loader: Loader, plan: ModelPlan, plans: Mapping[str, ModelPlan], candidate: Model
) -> Comparer:
    """Load the primary beside the candidate."""
    primary = _primary(loader, plan, plans)
    if primary is not None:
        _check_inputs(candidate, primary)
    return Comparer(candidate, primary, plan.config.rollout.tolerance)


def _steps(
    loader: Loader, plan: ModelPlan, version: int, plans: Mapping[str, ModelPlan]
) -> dict[tuple[str, int], StepModel]:
    """The models of the steps of a pipeline, loaded; none for another version."""
    found = {}
    for step in plan.steps.get(version, ()):
        pin, other = step.pin, plans.get(step.pin.model)
        if step.directory is None or other is None:
            raise FileNotFoundError(f"{pin.label} is not in the registry")
        config = other.config
        order = LoadOrder(
            pin.model, str(pin.version), step.directory, config, accepted=True, busy=True
        )
        loaded = loader.load(order)
        found[pin.model, pin.version] = StepModel(loaded.model, loaded.digest)
    return found


def _primary(loader: Loader, plan: ModelPlan, plans: Mapping[str, ModelPlan]) -> Model | None:
    """The version that answers, if there is room for it."""
    if plan.default is None or plan.default not in plan.versions:
        return None
    order = LoadOrder(
        plan.name,
        str(plan.default),
        plan.versions[plan.default],
        plan.config,
        accepted=True,  # it serves
        busy=True,
    )
    try:
        order = replace(order, steps=_steps(loader, plan, plan.default, plans))
        return loader.load(order).model
    except Exception as error:  # noqa: BLE001  a plug-in may raise anything; others go on
        LOG.warning(
            "model %s version %s is not run beside the shadow, so their processor time cannot be "
            "compared: %s",
            plan.name,
            plan.default,
            error,
        )
        return None


def _check_inputs(candidate: Model, primary: Model) -> None:
    """Whether the primary's requests can be the candidate's.

    Raises:
        ValueError: They cannot.
    """
    taken = {one.name: one.datatype for one in primary.signature.inputs}
    for one in candidate.signature.inputs:
        if one.name not in taken and not one.optional:
            raise ValueError(f"it wants input {one.name!r}, which the primary does not take")
        if taken.get(one.name, one.datatype) != one.datatype:
            raise ValueError(
                f"it wants input {one.name!r} as {one.datatype}, "
                f"the primary takes {taken[one.name]}"
            )
