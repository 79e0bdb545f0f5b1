"""What a worker that starts keeps out of service by itself, while nobody else can have said so yet.

Control takes a version out of service after three deaths (`deaths_watch`), and the target says so.
It may be down, or slower than the worker that comes back: so the worker reads the list of deaths
before it loads, and judges those by the same rule that control has not seen when it wrote the
target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.server.processes.deaths import read_deaths
from penstock.server.processes.watchdog import condemned
from penstock.server.target.target import Target, read_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.server.processes.run_directory import RunDirectory
    from penstock.server.processes.watchdog import Death, Key

#: A control that wrote a target so long after the last death has judged it.
JUDGED_SECONDS: Final = 2.0


def first_target(directory: RunDirectory, now: float) -> Target:
    """The target to begin with, without the versions that must not be loaded again.

    Args:
        directory: Run directory.
        now: Unix seconds.
    """
    target = read_target(directory.target)
    if not target.number:
        return target
    try:
        deaths = read_deaths(directory.deaths)
        written_at = directory.target.stat().st_mtime
    except (OSError, ValueError, LookupError, TypeError):
        return target  # a server without the list serves
    return hold_back(target, deaths, now, written_at)


def hold_back(target: Target, deaths: Iterable[Death], now: float, written_at: float) -> Target:
    """The target without what the deaths condemn. Pure.

    Args:
        target: As control wrote it.
        deaths: The last ones.
        now: Unix seconds.
        written_at: Time at which control wrote it, Unix seconds.
    """
    deaths = tuple(deaths)
    if not deaths or written_at > deaths[-1].at + JUDGED_SECONDS:
        return target
    verdicts = condemned(deaths, now, _pardoned(target))
    models = dict(target.models)
    for name, reasons in _by_model(verdicts).items():
        if name in models:
            kept_out = {**models[name].quarantined, **reasons}
            models[name] = replace(models[name], quarantined=kept_out)
    return target if models == target.models else Target(target.number, models)


def _pardoned(target: Target) -> dict[Key, float]:
    return {
        (name, str(version)): at
        for name, plan in target.models.items()
        for version, at in plan.retried.items()
    }


def _by_model(verdicts: Mapping[Key, str]) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for (model, version), reason in verdicts.items():
        if version.isdecimal():
            found.setdefault(model, {})[int(version)] = reason
    return found
