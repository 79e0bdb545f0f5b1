"""Who sent the rows of a window: clients that flood are recognised and named. Pure.

Counted with all others, the rows of a client that suddenly sends a large part of the traffic look
like drift. So a window counts its rows by groups of clients, too: the first clients have a group
each, later ones share groups by a hash. When one client floods, or several do at once, the window
is judged twice: by all rows, and by the groups without these clients. The lower level holds.

The first window has none before it. Its largest client has flooded it if the window looks like
drift with the rows of that client only; else its share is usual.

A flood takes no other rows away. Where hardly any others are left, as after the address of a
gateway has changed, the client is the traffic of before under a new name. A client that goes on
for `LASTING_SECONDS` is traffic, too: it is still named, and its rows count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from penstock.monitoring.samples.samples import BatchSample

    from .bins import Counts

#: Groups of one client each, and groups that the other clients share.
_OWN: Final = 16
_SHARED: Final = 16
_GROUPS: Final = _OWN + _SHARED
#: Clients of a window whose rows are counted; after a cut half of them are left.
_MOST_COUNTED: Final = 2048
#: Clients that have together this share of the rows of a window flood it,
FLOOD_SHARE: Final = 0.25
#: if each is so much above the largest share that it had in a healthy window,
_MORE: Final = 0.15
#: or `_LARGE` above it where it flooded the window before;
#: if they are at most so many: more that are new at once are the traffic under new names,
_MOST_FLOODING: Final = 3
#: and the others send this part of all rows, or of the rows a second that there are at least.
_OTHERS_LEFT: Final = 0.1
_MOST_FIRST: Final = 1.0 - _OTHERS_LEFT
#: Clients with a smaller share are taken together, and not remembered.
_LARGE: Final = 0.05
_MOST_REMEMBERED: Final = 256
#: After so many seconds of flooding, a client is traffic.
LASTING_SECONDS: Final = 7 * 86_400.0
#: Rows of the others below which a window says nothing while one client floods.
LEAST_OTHERS: Final = 50


class ClientCounts:
    """The clients of a window, and its counts by groups of them.

    Attributes:
        rows: Rows by client. Of very many clients, those of the largest; too low by at most the
            rows of the window divided by 1,025 (Misra and Gries 1982, merged as in Agarwal et al.
            2012).
        total: Rows of all clients.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.total = 0
        self._own: dict[bytes, int] = {}
        self._counts: dict[str, NDArray[np.int32]] = {}  # half the memory: there are many bins

    def take(self, clients: Sequence[bytes], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take the requests of a frame; gives the group of each of their rows.

        Args:
            clients: Client of each request; empty where it is not known.
            rows: Rows of each request.
        """
        self.total += int(rows.sum())
        found: Counter[bytes] = Counter()
        if (rows == 1).all():
            found.update(clients)
        else:
            for client, number in zip(clients, rows.tolist(), strict=True):
                found[client] += number
        groups = {}
        for client, number in found.items():
            self.rows[client] = self.rows.get(client, 0) + number
            groups[client] = self._group(client)
        if len(self.rows) > _MOST_COUNTED:
            self._cut()
        of_requests = np.fromiter((groups[one] for one in clients), np.int64, len(clients))
        return np.repeat(of_requests, rows)

    def take_samples(self, samples: Sequence[BatchSample]) -> NDArray[np.int64] | None:
        """Take the requests of samples, as `take`; ``None`` if no client is known."""
        if not any(one.clients for one in samples):
            return None
        clients = chain.from_iterable(
            one.clients or [b""] * len(one.request_ids) for one in samples
        )
        rows = [_rows(one.offsets) for one in samples]
        return self.take(list(clients), np.concatenate(rows))

    def count(self, name: str, groups: NDArray[np.int64], places: Counts, size: int) -> None:
        """Count values of a feature.

        Args:
            name: Name of the feature.
            groups: Group of each row, as `take` gives it.
            places: Bin of each row.
            size: Number of bins.
        """
        counts = np.bincount(groups * size + places, minlength=_GROUPS * size)
        found = counts.reshape(_GROUPS, size).astype(np.int32)
        before = self._counts.get(name)
        if before is None:
            self._counts[name] = found
        else:
            before += found

    def without(self, clients: Collection[bytes]) -> dict[str, Counts]:
        """Counts of each feature over the groups that these clients are not in."""
        kept = np.ones(_GROUPS, bool)
        kept[[self._group(one) for one in clients]] = False
        return {name: one[kept].sum(axis=0, dtype=np.int64) for name, one in self._counts.items()}

    def _group(self, client: bytes) -> int:
        own = self._own.get(client)
        if own is None and len(self._own) < _OWN:
            own = self._own[client] = len(self._own)
        return _OWN + crc32(client) % _SHARED if own is None else own

    def _cut(self) -> None:
        numbers = sorted(self.rows.values(), reverse=True)
        least = numbers[_MOST_COUNTED // 2]
        self.rows = {name: one - least for name, one in self.rows.items() if one > least}


#: Fields of `Flood` that say nothing to people.
_INNER: Final = frozenset({"keys", "unsure"})


@dataclass(frozen=True, slots=True)
class Flood:
    """Clients that send an unusually large part of the rows of a window, mostly one.

    Attributes:
        keys: Those whose rows are no traffic, by the names as they were counted.
        client: The largest for people: the address, or the value of the declared header.
        clients: All of them, the largest first.
        share: Their rows, as a share of all.
        usual: What that was at most in healthy windows.
        others: Rows of all but those of `keys`.
        lasting: Whether each has flooded for `LASTING_SECONDS`, so that its rows count as traffic.
        unsure: Whether it is the largest client of the first window, which may be usual.
    """

    keys: tuple[bytes, ...]
    client: str
    clients: tuple[str, ...]
    share: float
    usual: float
    others: int
    lasting: bool
    unsure: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For msgpack and JSON."""
        found = {name: one for name, one in asdict(self).items() if name not in _INNER}
        return {**found, "clients": list(self.clients)}


class ClientHistory:
    """The clients of windows that were not flooded.

    Args:
        content: As `to_dict` gives it.
    """

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        known = {} if content is None else content
        self._usual: dict[str, float] = dict(known.get("usual", {}))
        self._pace: float | None = known.get("pace")
        self._since: dict[str, float] = dict(known.get("since", {}))

    def look(self, clients: ClientCounts, start: float, end: float) -> Flood | None:
        """Take the next window; the clients that flood it, if any do.

        Args:
            clients: Of the window.
            start: Unix seconds of its first row.
            end: Unix seconds of its last row.
        """
        total = clients.total
        if not total:
            return None
        large = {one: rows for one, rows in clients.rows.items() if rows >= _LARGE * total and one}
        shares = {_name(one): rows / total for one, rows in large.items()}
        if self._pace is None and FLOOD_SHARE <= max(shares.values(), default=0.0) <= _MOST_FIRST:
            key = max(large, key=large.__getitem__)
            name = _name(key)
            others = total - large[key]
            mine = (key,), name, (name,), shares[name]
            return Flood(*mine, usual=0.0, others=others, lasting=False, unsure=True)
        # A flood ends within a window, of which its last rows are a small part.
        least = {name: _LARGE if name in self._since else _MORE for name in shares}
        unusual = {
            name: one
            for name, one in shares.items()
            if one >= self._usual.get(name, 0.0) + least[name]
        }
        # Several that are new at once may be the traffic under new names.
        pace = total / max(end - start, 1e-3)
        flooding = sum(unusual.values())
        left = 1.0 - flooding >= self._least_others(pace)
        few = len(unusual) <= _MOST_FLOODING
        floods = flooding >= FLOOD_SHARE or not self._since.keys().isdisjoint(unusual)
        if not floods or not few or self._pace is None or not left:
            self._learn(shares, pace)
            return None
        self._since = {name: self._since.get(name, start) for name in unusual}
        short = {name for name in unusual if end - self._since[name] < LASTING_SECONDS}
        keys = tuple(one for one in large if _name(one) in short)
        names = tuple(sorted(unusual, key=unusual.__getitem__, reverse=True))
        usual = sum(self._usual.get(name, 0.0) for name in names)
        others = total - sum(large[one] for one in keys)
        return Flood(keys, names[0], names, flooding, usual, others, lasting=not keys)

    def settle(self, clients: ClientCounts, start: float, end: float, flood: Flood | None) -> None:
        """Learn from a first window that `look` was unsure of.

        Args:
            clients: Of the window.
            start: Unix seconds of its first row.
            end: Unix seconds of its last row.
            flood: The client that floods it, if it does.
        """
        total = clients.total
        keys = () if flood is None else flood.keys
        shares = {
            _name(one): rows / total
            for one, rows in clients.rows.items()
            if rows >= _LARGE * total and one and one not in keys
        }
        self._learn(shares, total / max(end - start, 1e-3))
        if flood is not None:
            self._since = {flood.client: start}

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {"usual": self._usual, "pace": self._pace, "since": self._since}

    def _least_others(self, pace: float) -> float:
        """Share of the others below which they are gone, in a window with so many rows a second."""
        usual = 0.0 if self._pace is None else self._pace
        return _OTHERS_LEFT * min(1.0, usual / pace)

    def _learn(self, shares: Mapping[str, float], pace: float) -> None:
        for name, share in shares.items():
            # The latest are last; of too many, the first are forgotten.
            self._usual[name] = max(share, self._usual.pop(name, 0.0))
        for name in list(self._usual)[:-_MOST_REMEMBERED]:
            del self._usual[name]
        self._pace = pace if self._pace is None else min(pace, self._pace)
        self._since = {}


def _rows(offsets: Sequence[int]) -> NDArray[np.int64]:
    """Rows of each request."""
    if isinstance(offsets, range):
        return np.ones(len(offsets) - 1, np.int64)
    found = np.asarray(offsets, np.int64)
    return found[1:] - found[:-1]


def _name(client: bytes) -> str:
    return client.decode("utf-8", "replace")


def words(flood: Mapping[str, Any]) -> str:
    """A flood as a sentence for people.

    Args:
        flood: As `Flood.to_dict` gives it.
    """
    names = flood.get("clients", [flood["client"]])
    who = "one client" if len(names) == 1 else f"{len(names)} clients"
    found = f"{100 * flood['share']:.0f} % of the rows come from {who}, {' and '.join(names)}"
    found += f" (usual: up to {100 * flood['usual']:.0f} %)"
    return f"{found}, for a week" if flood["lasting"] else found
