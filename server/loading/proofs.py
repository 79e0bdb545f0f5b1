"""What is known of loading a version on this machine, by the digest of its files.

A proof answers one question exactly: these files, by these libraries, with these settings, on this
kind of processor (see `proof_key`). It is made by a trial, a load in a process of its own
(`penstock.server.loading.trial`), and kept in the state directory, so that neither the other
workers nor the next start make another trial. Proofs of other conditions are not consulted, and a
damaged file is none.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.batching.cost import CostTable
from penstock.monitoring.distribution import server_version
from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.monitoring.files.stamp import stamp_of
from penstock.runtimes.discovery import ENTRY_POINT_GROUP
from penstock.server.files.durable import locked

from .warm_up import measuring_conditions, prune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .load_order import LoadOrder

#: How a trial ended.
LOADS: Final = "loads"
REFUSED: Final = "refused"
ERROR: Final = "error"
CRASHED: Final = "crashed"
TOO_LONG: Final = "too long"

#: A refusal is believed for so long: all workers of one start share it, and what only looked like
#: the fault of the files is tried again later. Crashes and endless loads are believed for good.
REFUSAL_SECONDS: Final = 60.0
#: Trials of different versions wait for one another only if their digests fall on one lock.
_LOCKS: Final = 256
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Proof:
    """The end of a trial.

    Attributes:
        end: `LOADS`, `REFUSED`, `ERROR`, `CRASHED` or `TOO_LONG`.
        reason: Reason for which the version must not be loaded; empty if it loads.
        at: Time at which the trial ended, Unix seconds.
        limit_seconds: Seconds that the load was allowed to take.
        rows: Batch sizes whose run time was measured; empty if none was.
        seconds: The run times of these.
    """

    end: str
    reason: str = ""
    at: float = 0.0
    limit_seconds: float = 0.0
    rows: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()

    @property
    def costs(self) -> CostTable | None:
        """The run times that the trial measured."""
        return CostTable(self.rows, self.seconds) if self.rows else None

    def holds(self, now: float, limit_seconds: float, retried_at: float) -> bool:
        """Whether this still answers the question. Pure.

        Args:
            now: Unix seconds.
            limit_seconds: Seconds that a load may take now.
            retried_at: Time at which an operator last asked for another trial, Unix seconds; 0 for
                never.
        """
        if self.end == LOADS:
            return True
        if self.at < retried_at or self.end == ERROR:
            return False
        if self.end == REFUSED:
            return now - self.at < REFUSAL_SECONDS
        return self.end != TOO_LONG or limit_seconds <= self.limit_seconds


class Proofs:
    """Keeps proofs.

    Args:
        directory: Directory that only the server uses, made when it is needed; ``None`` keeps them
            in memory.
        clock: Unix seconds.
        libraries: Libraries of custom operators.
    """

    def __init__(
        self,
        directory: Path | None,
        clock: Callable[[], float] = time.time,
        libraries: Sequence[str] = (),
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._libraries = libraries
        self._memory: dict[str, Proof] = {}
        if directory is not None:
            prune(directory)

    def any_kept(self) -> bool:
        """Whether a version was tried before, in an earlier life as well."""
        if self._directory is None:
            return bool(self._memory)
        try:
            return any(self._directory.glob("*.json"))
        except OSError:
            return False

    def key(self, digest: str, order: LoadOrder) -> str:
        """As `proof_key` has it, with the libraries of this server."""
        return proof_key(digest, order, self._libraries)

    def find(self, key: str, limit_seconds: float = 0.0, retried_at: float = 0.0) -> Proof | None:
        """The proof for a question, if there is one that holds; see `Proof.holds`.

        Args:
            key: From `key`.
            limit_seconds: Seconds that a load may take.
            retried_at: Time at which an operator last asked for another trial.
        """
        proof = self._memory.get(key) if self._directory is None else self._read(key)
        if proof is None or not proof.holds(self._clock(), limit_seconds, retried_at):
            return None
        return proof

    def keep(self, key: str, proof: Proof) -> None:
        """Remember the end of a trial in place of the one before."""
        if self._directory is None:
            self._memory[key] = proof
            return
        content = json.dumps(asdict(proof)).encode()
        with suppress(OSError):  # then there is another trial
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(key), content, synced=False)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold off other processes of the server that want the same proof."""
        if self._directory is None:
            yield
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        number = int(key[:8], 16) % _LOCKS
        with locked(self._directory / f".lock-{number}"):
            yield

    def _read(self, key: str) -> Proof | None:
        try:
            path = self._path(key)
            return read_json(Proof, read_bounded(path, _MAX_FILE_BYTES), str(path), closed=True)
        except (OSError, ContentError):
            return None

    def _path(self, key: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{key}.json"


def proof_key(digest: str, order: LoadOrder, libraries: Sequence[str] = ()) -> str:
    """The question that a trial of a load answers, as the name of a file: hexadecimal digits.

    It holds all that the end of the load depends on: the files, what was promised of them, the
    configuration of the model, libraries and processor. What serves meanwhile is no part of it.

    Args:
        digest: Digest of the files.
        order: Order of the load.
        libraries: Libraries of custom operators, which may have changed in their places.
    """
    config = order.config
    rows = config.batching.max_batch_size
    question = {
        "digest": digest,
        "accepted": order.accepted,
        "declared": repr(order.declared),
        "penstock": server_version(),
        "runtimes": _runtime_versions(),
        "operators": [(one, stamp_of(Path(one))) for one in libraries],
        **measuring_conditions(config.platform or "", config.threads, rows, config.settings),
    }
    text = json.dumps(question, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _runtime_versions() -> dict[str, str]:
    """Of the distributions that the installed runtimes come from."""
    found = entry_points(group=ENTRY_POINT_GROUP)
    return {one.name: one.dist.version for one in found if one.dist is not None}
