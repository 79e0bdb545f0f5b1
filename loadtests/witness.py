"""Who answered when: every answer of a run with its version, against what was commanded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from .cases import Case
from .encodings import V2
from .versions import FEATURES
from .wire import build_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .wire import Response


@dataclass(frozen=True, slots=True)
class Move:
    """A command that made another version the current one.

    Attributes:
        version: The one that is current afterwards.
        sent: When the command was sent, ``time.perf_counter`` seconds.
        answered: When it was answered.
        former: The one that was current before.
    """

    version: int
    sent: float
    answered: float
    former: int


class Known(set[bytes]):
    """Bodies that were checked, by the version that gives them; looking one up records it."""

    def __init__(self, record: Callable[[int], object]) -> None:
        super().__init__()
        self.versions: dict[bytes, int] = {}
        self._record = record

    def __contains__(self, body: object) -> bool:
        """Whether the body was checked before."""
        version = self.versions.get(body) if isinstance(body, bytes) else None
        if version is not None:
            self._record(version)
        return version is not None


class Witness(Case):
    """Asks a model made by `penstock.loadtests.versions`, and notes who answers.

    Attributes:
        seen: When each answer came and from which version.

    Args:
        host: ``name:port``.
        path: Path of the prediction route.
        clock: As that of the moves.
    """

    __slots__ = ("_known", "seen")

    def __init__(
        self, host: str, path: str, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        row = np.random.default_rng(1).random((1, FEATURES), np.float32)
        encoded = V2["json"].encode({"x": row})
        request = build_request(host, path, encoded.body, dict(encoded.headers))
        super().__init__(request, {}, V2["json"].decode)
        self.seen: list[tuple[float, int]] = []
        self._known = Known(lambda version: self.seen.append((clock(), version)))
        self.verified = self._known

    def fault(self, response: Response) -> str | None:
        """Why the answer is not that of the version that it names, or ``None``."""
        try:
            answer = orjson.loads(response.body)
            version, (value,) = int(answer["model_version"]), answer["outputs"][0]["data"]
        except (ValueError, LookupError, TypeError) as error:
            return f"cannot be read ({error!r}): {response.body[:200]!r}"
        if value != version:
            return f"version {version} answers {value}"
        self._known.versions[response.body] = version
        assert response.body in self.verified
        return None


def strangers(seen: Sequence[tuple[float, int]], moves: Sequence[Move], longest: float) -> int:
    """Answers of versions that were not current at any time while they may have been under way.

    Args:
        seen: In the order in which they came.
        moves: In order.
        longest: The longest time from sending a request to its answer, in seconds.
    """
    begins = [(moves[0].former, -np.inf), *((move.version, move.sent) for move in moves)]
    ends = [*(move.answered for move in moves), np.inf]
    spans: dict[int, list[tuple[float, float]]] = {}
    for (version, begin), end in zip(begins, ends, strict=True):
        spans.setdefault(version, []).append((begin, end + longest))
    return sum(
        not any(begin <= at <= end for begin, end in spans.get(version, ())) for at, version in seen
    )


def last_of_former(seen: Sequence[tuple[float, int]], moves: Sequence[Move]) -> list[float]:
    """For each move, seconds from the command to the last answer of the former version.

    0 where none came later. Ends looking at the move that makes that version current again.
    """
    delays = []
    for position, move in enumerate(moves):
        again = (one.sent for one in moves[position + 1 :] if one.version == move.former)
        until = next(again, np.inf)
        late = [at for at, version in seen if version == move.former and move.sent <= at < until]
        delays.append(max(late) - move.sent if late else 0.0)
    return delays
