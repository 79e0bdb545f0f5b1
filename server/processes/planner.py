"""Turns the registry into the numbered target, and remembers it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from penstock.server.registry.plan import aspire
from penstock.server.registry.repository import scan
from penstock.server.registry.state import DesiredState

from .target import next_target, read_target, write_target

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.registry.repository import Problem

LOG = logging.getLogger("penstock.planner")


class Planner:
    """The present target. A new control goes on from the one its predecessor wrote.

    Args:
        registry: The model repository.
        path: Where the target is kept; workers read it, too, when they start.

    Attributes:
        target: What every worker should serve.
        problems: What in the registry cannot be served.
    """

    def __init__(self, registry: Path, path: Path) -> None:
        self._registry = registry
        self._path = path
        self.target = read_target(path)
        self.problems: tuple[Problem, ...] = ()

    def rescan(self) -> bool:
        """Read the registry again; returns whether the target changed.

        Raises:
            ConfigError: The registry cannot be read; the target stays as it was.
        """
        snapshot = scan(self._registry)
        for problem in snapshot.problems:
            if problem not in self.problems:
                LOG.warning("%s: %s", problem.path, problem.reason)
        self.problems = snapshot.problems
        target = next_target(self.target, aspire(snapshot.models, DesiredState()))
        if target is self.target:
            return False
        write_target(self._path, target)
        self.target = target
        return True
