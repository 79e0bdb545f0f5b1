"""Deaths of processes that a version may be to blame for, in a file of the run directory.

The supervisor writes it, control reads it and decides what to take out of service.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file

from .watchdog import Death

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Deaths kept; the oldest go first.
MAX_DEATHS: Final = 64


def write_deaths(path: Path, deaths: Iterable[Death]) -> None:
    """Replace the file at once."""
    content = json.dumps([asdict(death) for death in deaths])
    replace_file(path, content.encode(), synced=False)


def read_deaths(path: Path) -> tuple[Death, ...]:
    """What `write_deaths` wrote; nothing if nobody has died over a version yet."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return ()
    return tuple(
        Death(
            one["process"],
            one["how"],
            one["at"],
            tuple((model, version) for model, version in one["suspects"]),
        )
        for one in content
    )
