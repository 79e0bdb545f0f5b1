"""The batch job that a request asks for: its body is checked before anything is put on record."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from penstock.server.batch_job.inputs import check_input
from penstock.server.batch_job.job_failed import JobFailed
from penstock.server.batch_job.outputs import check_format
from penstock.server.batch_queue import places
from penstock.server.batch_queue.record import BatchRecord
from penstock.server.errors import Conflict, InvalidRequest, NotFound, Unavailable

from . import wire
from .registry_names import check_model, check_version

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.control.coordination.coordinator import Coordinator

_MOST_KEYS: Final = 1000
_LONGEST_NAME: Final = 1024


def asked_batch(
    coordinator: Coordinator, body: dict[str, Any], root: Path, by: str, now: float
) -> BatchRecord:
    """The job that a request asks for.

    Args:
        coordinator: Knows the models.
        body: Body of the request.
        root: Directory of the files of jobs.
        by: Who asks.
        now: Unix seconds.

    Raises:
        InvalidRequest: The body is none of a job, or a path may leave the directory.
        NotFound: There is no such model, version or alias.
    """
    model = body.get("model", "")
    check_model(coordinator, model)
    keys = body.get("keys", [])
    texts = isinstance(keys, list) and all(
        isinstance(one, str) and 0 < len(one) <= _LONGEST_NAME for one in keys
    )
    if not texts or len(keys) > _MOST_KEYS:
        raise InvalidRequest(f"keys has to be a list of at most {_MOST_KEYS} names of columns")
    source, output = _path_of(body, "input", root), _path_of(body, "output", root)
    if source == output:
        raise InvalidRequest("the output would replace the input; name another file")
    try:
        check_input(PurePosixPath(source), PurePosixPath(source).suffix)
        check_format(PurePosixPath(output))
    except JobFailed as failure:
        raise InvalidRequest(str(failure)) from None
    return BatchRecord(
        id=secrets.token_hex(8),
        number=0,
        model=model,
        input=source,
        output=output,
        by=by,
        created=now,
        version=_version(coordinator, model, body.get("version", "")),
        keys=tuple(keys),
        all_columns=wire.flag_of(body, "all_columns"),
        replace=wire.flag_of(body, "replace"),
        reason=wire.reason_of(body),
    )


def _version(coordinator: Coordinator, model: str, asked: Any) -> str:
    """The version that is asked for, which the registry or an alias has; empty for stable."""
    if asked == "":
        return ""
    if isinstance(asked, str) and not asked.isdigit():
        plan = coordinator.planner.target.models.get(model)
        aliases = {} if plan is None else plan.aliases
        if asked not in aliases:
            there = ", ".join(sorted(aliases)) or "none"
            raise NotFound(
                f"model {model!r} has no alias {asked[: wire.MAX_SHOWN]!r}; there are {there}"
            )
        return asked
    version = wire.version_of(asked)
    check_version(coordinator, model, version)
    return str(version)


def _path_of(body: dict[str, Any], key: str, root: Path) -> str:
    path = body.get(key)
    if not isinstance(path, str) or not path:
        raise InvalidRequest(f"{key} is missing, expected the path of a file below batch_root")
    try:
        return places.relative(root, path)
    except places.PlaceRefused as refusal:
        raise InvalidRequest(f"{key}: {refusal}") from None


def check_places(root: Path, record: BatchRecord) -> None:
    """Whether the input is there and the output may be written, now; the job looks again.

    Raises:
        InvalidRequest: They are no plain files, or none that are there.
        Conflict: There is an output already.
        Unavailable: They cannot be reached.
    """
    try:
        with places.source(root, record.input):
            pass
        with places.target(root, record.output) as (folder, name):
            if places.exists(folder, name) and not record.replace:
                raise Conflict(f"the output {record.output} is there; say replace, or name another")
    except places.PlaceRefused as refusal:
        raise InvalidRequest(str(refusal)) from None
    except OSError as error:
        raise Unavailable(f"a file of the batch cannot be reached: {error.strerror}") from error
