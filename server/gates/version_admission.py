"""The admission: says which versions are held before they may be loaded, and why.

A version passes once: what was let in is not held later, when an approval has expired or the gates
ask more. It is known by the digest of its files.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError

from .gate_order import question_of
from .gate_report import parse_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.server.config.gates_options import GatesOptions
    from penstock.server.desired_state.approval import Approval

    from .gate_order import GatedVersion
    from .gate_report import GateReport

LOG = logging.getLogger("penstock.gates")

DIRECTORY: Final = "gates"
#: Reports that are kept, the newest.
MOST_REPORTS: Final = 1000
_MAX_BYTES: Final = 8 << 20

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Gated:
    """A version that asks to be let in.

    Attributes:
        model: Name of the model.
        home: Its directory in the registry.
        options: What is asked of it.
        version: The version.
        approvals: What persons have said of versions of the model.
        loaded: Whether the workers have it already.
    """

    model: str
    home: Path
    options: GatesOptions
    version: GatedVersion
    approvals: Sequence[Approval] = ()
    loaded: bool = False

    @property
    def key(self) -> Key:
        """Model and version."""
        return self.model, self.version.version


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a version is held.

    Attributes:
        reason: For people.
        question: The question whose report is missing; empty if none is.
    """

    reason: str
    question: str = ""


class VersionAdmission:
    """Holds versions. Its methods block on the disk, and are called by one thread at a time.

    Args:
        state_dir: State directory of the server, where reports are kept; ``None`` keeps them in
            memory.
        clock: Unix seconds.
    """

    def __init__(
        self, state_dir: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = None if state_dir is None else state_dir / DIRECTORY
        self._clock = clock
        self._let_in: dict[Key, str] = {}
        self._reports: dict[Key, GateReport | None] = {}

    def hold(self, gated: Gated) -> Hold | None:
        """Why a version is held; ``None`` if it may be loaded."""
        options, digest = gated.options, gated.version.digest
        if not (options.measured or options.approval):
            return None
        if gated.loaded or self._let_in.get(gated.key) == digest:
            self._let_in[gated.key] = digest
            return None
        found = self._held(gated)
        if found is None:
            self._let_in[gated.key] = digest
        return found

    def _held(self, gated: Gated) -> Hold | None:
        options, digest, now = gated.options, gated.version.digest, self._clock()
        valid = [one for one in gated.approvals if one.digest == digest and one.until > now]
        if any(one.override for one in valid):
            return None
        where = f"{gated.model} {gated.version.version}"
        if options.measured:
            question = question_of(digest, options, gated.home)
            report = self.report(*gated.key)
            if report is None or report.question != question:
                return Hold("its gates are being run", question)
            if not report.passed:
                return Hold(
                    f"{report.reason}; penstock gate show {where} has the figures, and "
                    f"penstock gate override {where} --reason … lets it in"
                )
        if options.approval and not valid:
            return Hold(
                "gate approval: nobody has approved it yet, or the approval has expired; another "
                f"person than who pushed it: penstock gate approve {where}"
            )
        return None

    def report(self, model: str, version: int) -> GateReport | None:
        """The last report of a version."""
        key = model, version
        if key not in self._reports:
            self._remember(key, self._read(key))
        return self._reports[key]

    def note(self, report: GateReport) -> None:
        """Keep a report in place of the one before."""
        self._remember((report.model, report.version), report)
        if self._directory is None:
            return
        path = self._path((report.model, report.version))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, json.dumps(report.to_json(), indent=2).encode(), 0o600)
            self._prune()
        except OSError as error:  # the report is in force even then
            LOG.error("%s cannot be written: %s", path, error)  # noqa: TRY400  one line says it

    def forget(self, model: str, version: int) -> None:
        """Have the gates of a version run again."""
        self._remember((model, version), None)
        if self._directory is not None:
            with suppress(OSError):
                self._path((model, version)).unlink()

    def _remember(self, key: Key, report: GateReport | None) -> None:
        self._reports.pop(key, None)
        self._reports[key] = report
        while len(self._reports) > MOST_REPORTS:
            del self._reports[next(iter(self._reports))]

    def _path(self, key: Key) -> Path:
        assert self._directory is not None
        return self._directory / f"{key[0]}@{key[1]}.json"

    def _read(self, key: Key) -> GateReport | None:
        if self._directory is None:
            return None
        path = self._path(key)
        try:
            return parse_report(read_bounded(path, _MAX_BYTES), str(path))
        except FileNotFoundError:
            return None
        except (OSError, ContentError) as error:
            LOG.warning("%s is damaged, the gates are run again: %s", path, error)
            return None

    def _prune(self) -> None:
        assert self._directory is not None
        paths = list(self._directory.glob("*.json"))
        if len(paths) > MOST_REPORTS:
            paths.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in paths[: len(paths) - MOST_REPORTS]:
                path.unlink(missing_ok=True)
