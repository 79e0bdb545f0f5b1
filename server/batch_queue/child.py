"""The process of one batch job of the server: finds its files, runs it, and tells how far it is."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.batch_job.batch_job import BatchJob, Order, Outcome
from penstock.server.batch_job.job_directory import has_work, work_name
from penstock.server.batch_job.job_failed import JobFailed, NotNow
from penstock.server.batch_job.prediction_port import PredictionPort
from penstock.server.processes.priority import lower_priority, run_when_idle

from . import places

if TYPE_CHECKING:
    from penstock.server.isolation.link import Link

    from .record import BatchRecord

#: Kinds of messages: the order; how far the job is, which the parent answers; the end.
ORDER: Final = 1
PROGRESS: Final = 2
GO_ON: Final = 3
DONE: Final = 4
BROKEN: Final = 5
#: What a file has to be, and is not: trying again would not help.
_LASTING: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def order_of(
    record: BatchRecord,
    root: Path,
    url: str,
    certificate: Path | None,
    token: Path | None,
    *,
    idle: bool,
) -> bytes:
    """The order of a job.

    Args:
        record: The job.
        root: Directory of its files.
        url: Of the prediction port.
        certificate: Of that port; ``None`` without TLS.
        token: File of the token to send; ``None`` where the port asks for none.
        idle: Whether the process takes only time that nobody else wants.
    """
    return pack(
        {
            "model": record.model,
            "version": record.version,
            "input": record.input,
            "output": record.output,
            "keys": list(record.keys),
            "all_columns": record.all_columns,
            "replace": record.replace,
            "whole": record.whole,
            "done": [record.answered_by, record.rows, record.failed],
            "root": str(root),
            "url": url,
            "idle": idle,
            "certificate": "" if certificate is None else str(certificate),
            "token": "" if token is None else str(token),
        }
    )


def serve(link: Link) -> None:
    """Run the job of the order."""
    lower_priority()
    order = unpack(dict[str, Any], link.expect()[1], "the order")
    if order["idle"]:
        run_when_idle()
    try:
        with ExitStack() as held:
            outcome = _run(order, link, held)
    except (JobFailed, places.PlaceRefused, OSError) as failure:
        again = isinstance(failure, NotNow) or (
            isinstance(failure, OSError) and not isinstance(failure, _LASTING)
        )
        link.send(BROKEN, pack({"error": _named(failure), "again": again}))
    else:
        link.send(DONE, _told(outcome, None, whole=True))
    link.expect()  # the parent ends this process


def _run(order: dict[str, Any], link: Link, held: ExitStack) -> Outcome:
    root = Path(order["root"])
    folder, name = held.enter_context(places.target(root, order["output"]))
    output = Path(f"/proc/self/fd/{folder}/{name}")
    work = work_name(name)
    if order["whole"] and places.exists(folder, name) and not _has_work(folder, work):
        # It was killed after the output was put in place.
        places.remove_work(folder, work)
        version, rows, failed = order["done"]
        return Outcome(version, rows, failed, rows)
    if not order["replace"] and not order["whole"] and places.exists(folder, name):
        raise JobFailed(f"the output {order['output']} is there; say replace, or name another")
    source = held.enter_context(places.source(root, order["input"]))
    with places.work_directory(folder, work) as place:
        job = BatchJob(
            Order(
                order["model"],
                order["version"] or None,
                source,
                output,
                tuple(order["keys"]),
                order["all_columns"],
                kind=Path(order["input"]).suffix,
                work=place,
            ),
            _port(order),
            lambda _: None,
            on_commit=lambda done, whole: _tell(link, done, job.total, whole=whole),
        )
        try:
            outcome = job.run(lambda _: None)
        except JobFailed as failure:
            said = str(failure).replace(str(source), order["input"])
            said = said.replace(str(output), order["output"]).replace(str(place), work)
            raise type(failure)(said) from None
    places.remove_work(folder, work)
    return outcome


def _has_work(folder: int, work: str) -> bool:
    try:
        with places.work_directory(folder, work) as place:
            return has_work(place)
    except places.PlaceRefused:
        return False


def _port(order: dict[str, Any]) -> PredictionPort:
    token = Path(order["token"]).read_text().strip() if order["token"] else ""
    context = None
    if order["certificate"]:
        # The port's own certificate, which may be of another name than this machine's loopback.
        context = ssl.create_default_context(cafile=order["certificate"])
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return PredictionPort(order["url"], token, context=context)


def _tell(link: Link, done: Outcome, total: int | None, *, whole: bool) -> None:
    """Tell the parent, and wait until it has this on disk: only then may the job go on."""
    link.send(PROGRESS, _told(done, total, whole=whole))
    link.expect()


def _told(done: Outcome, total: int | None, *, whole: bool) -> bytes:
    return pack(
        {
            "answered_by": done.version,
            "rows": done.rows,
            "failed": done.failed,
            "total": done.rows if whole else total,
            "whole": whole,
        }
    )


def _named(failure: Exception) -> str:
    if isinstance(failure, OSError) and failure.strerror:
        return f"a file of the job: {failure.strerror}"
    return str(failure)
