"""``GET /admin/models/{m}/history`` and ``…/diff``: read from disk, in a thread."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock.monitoring.files.decoding import ContentError
from penstock.runtimes.contract import ModelLoadError
from penstock.server.desired_state.audit import read_log
from penstock.server.errors import InvalidRequest, NotFound, Unavailable
from penstock.server.files.roots import roots_of
from penstock.server.registry.manifest import Manifest
from penstock.server.registry.signature_diff import diff
from penstock.server.registry.verification import hash_files, read_manifest

from .audit_history import as_json, concerns, in_force, production_at
from .wire import MAX_SHOWN

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.registry.repository import ModelEntry


def history(audit: Path, model: str) -> list[dict[str, Any]]:
    """The changes of a model, newest first. Blocking.

    Raises:
        Unavailable: The log is damaged.
    """
    try:
        records = [one for one in in_force(read_log(audit)) if concerns(one, model)]
    except (ContentError, OSError) as error:
        raise Unavailable(f"the audit log cannot be read: {error}") from error
    return [as_json(record, model) for record in reversed(records)]


def production(audit: Path, model: str, time: str) -> dict[str, Any]:
    """The versions that answered requests for a model at a time. Blocking.

    Raises:
        InvalidRequest: That is no time.
        Unavailable: The log is damaged.
    """
    moment = parse_time(time)
    try:
        move = production_at(in_force(read_log(audit)), model, moment)
    except (ContentError, OSError) as error:
        raise Unavailable(f"the audit log cannot be read: {error}") from error
    found = {"model": model, "at": moment, "version": None if move is None else move.version}
    return found if move is None else {**found, **_because(move.record, model)}


def difference(entry: ModelEntry, before: int, after: int) -> list[dict[str, Any]]:
    """The differences of two versions of a model. Blocking; reads whole files where no manifest is.

    Raises:
        NotFound: One of them is not in the registry.
        InvalidRequest: One of them is not as a version must be.
    """
    changes = diff(_manifest(entry, before), _manifest(entry, after))
    return [
        {
            "what": one.what,
            "name": one.name,
            "before": one.before,
            "after": one.after,
            "breaking": one.breaking,
        }
        for one in changes
    ]


def parse_time(text: str) -> str:
    """A time as the audit log has it, from ISO 8601; UTC where it does not say.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "T"))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter where UTC has a year before 1 or after 9999
        shown, expected = text[:MAX_SHOWN], "such as 2031-05-01T12:00Z"
        raise InvalidRequest(f"{shown!r} is not a time; expected {expected}") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _because(record: Any, model: str) -> dict[str, Any]:
    told = as_json(record, model)
    return {key: told[key] for key in ("seq", "time", "action", "actor", "reason")}


def _manifest(entry: ModelEntry, version: int) -> Manifest:
    directory = entry.versions.get(version)
    if directory is None:
        listed = ", ".join(map(str, entry.versions))
        raise NotFound(
            f"version {version} of model {entry.name!r} is not published; there are {listed}"
        )
    try:
        roots = roots_of(entry.path.parent)
        found = read_manifest(directory, roots)
        return found or Manifest(entry.name, version, hash_files(directory, roots))
    except (ModelLoadError, OSError) as error:
        raise InvalidRequest(f"version {version}: {error}") from error
