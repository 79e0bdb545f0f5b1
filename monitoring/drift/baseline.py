"""The baseline: how healthy inputs and outputs are distributed, as counts over fixed bins.

A baseline is JSON, at most `MAX_BYTES`; its id is a hash of it, so that a window always knows what
it was compared with.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import bins as binning
from . import variation
from .moments import Moments, from_list, to_list

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .bins import Bins, Counts
    from .variation import Variations

MAX_BYTES: Final = 4 << 20
_FORMAT: Final = "penstock-baseline-2"
#: Its bins were chosen from the rows that it counts: windows without drift differ from it.
_OLD_FORMAT: Final = "penstock-baseline-1"
_MOST_FEATURES: Final = 512

#: Where a baseline comes from.
FROM_FILE: Final = "file"
FROM_TRAFFIC: Final = "traffic"
FROM_ACCEPTED: Final = "accepted"


@dataclass(frozen=True, slots=True)
class Reference:
    """One feature of a baseline.

    Attributes:
        bins: Fixed; windows are counted into the same.
        counts: Rows per bin, none of them among those that chose the bins; see `halves`.
        moments: Moments of the numbers; empty for categories.
        output: Whether it is an output of the model.
        variations: How much healthy windows vary, from pieces of the data in the order of time;
            ``None`` if it must be learnt from the first windows.
        limits: Smallest and largest value that are ordinary (its middle 99.98 %); empty for
            categories.
        fitted: Rows that chose the bins; they are not in `counts`.
        provisional: Whether the rows are of too short a time to be the baseline of a week: what
            differs from it is shown, and opens no episode.
    """

    bins: Bins
    counts: Counts
    moments: Moments = field(default_factory=Moments)
    output: bool = False
    variations: Variations | None = None
    limits: tuple[float, ...] = ()
    fitted: int = 0
    provisional: bool = False

    @property
    def categorical(self) -> bool:
        """True if the values are categories."""
        return isinstance(self.bins, binning.CategoryBins)

    @property
    def rows(self) -> int:
        """Rows that were counted."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class Baseline:
    """All features, and where they come from.

    Attributes:
        references: By name, inputs in the order of the model's.
        source: `FROM_FILE`, `FROM_TRAFFIC`, or `FROM_ACCEPTED` for windows that somebody accepted.
        data: SHA-256 of the file; empty for traffic and windows.
        digest: Digest of the version that it is bound to; empty if that has none.
        made: Time of the building, RFC 3339.
    """

    references: Mapping[str, Reference]
    source: str
    data: str = ""
    digest: str = ""
    made: str = ""

    @property
    def id(self) -> str:
        """Names its content, in 16 hexadecimal digits."""
        return hashlib.sha256(encode(self)).hexdigest()[:16]

    @property
    def rows(self) -> int:
        """Rows of the feature that has most, those that chose the bins among them."""
        return max((one.rows + one.fitted for one in self.references.values()), default=0)

    def belongs_to(self, digest: str) -> bool:
        """Whether it may be that of a version with this digest; empty if nobody knows it."""
        return not self.digest or digest in {"", self.digest}

    def without(self, inputs: Collection[str]) -> dict[str, Reference]:
        """The references but for those of these inputs.

        Args:
            inputs: Names; of an input of several scalars it is all of them.
        """
        return {
            name: one
            for name, one in self.references.items()
            if one.output or (name not in inputs and name.partition("[")[0] not in inputs)
        }


def encode(baseline: Baseline) -> bytes:
    """The baseline as bytes: canonical JSON."""
    content = {
        "format": _FORMAT,
        "source": baseline.source,
        "data": baseline.data,
        "digest": baseline.digest,
        "made": baseline.made,
        "features": [
            {
                "name": name,
                "output": one.output,
                "bins": binning.to_json(one.bins),
                "counts": one.counts.tolist(),
                "moments": to_list(one.moments),
                "variations": None if one.variations is None else variation.to_json(one.variations),
                "limits": list(one.limits),
                "fitted": one.fitted,
                "provisional": one.provisional,
            }
            for name, one in baseline.references.items()
        ],
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes) -> Baseline:
    """The reverse of `encode`.

    Raises:
        ValueError: It is no baseline.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"a baseline of {len(data)} bytes; at most {MAX_BYTES}")
    try:
        content = json.loads(data)
        if isinstance(content, dict) and content.get("format") == _OLD_FORMAT:
            raise ValueError(
                "the baseline was made by an older version, whose counts raise false alarms: "
                "build it again; one that was learnt from traffic is being learnt again"
            )
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f'no baseline: expected "format": "{_FORMAT}"')
        if len(content["features"]) > _MOST_FEATURES:
            raise ValueError(f"a baseline of over {_MOST_FEATURES} features")
        return Baseline(
            {str(one["name"]): _reference(one) for one in content["features"]},
            source=str(content["source"]),
            data=str(content["data"]),
            digest=str(content["digest"]),
            made=str(content["made"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no baseline: {error!r}") from error


def _reference(content: dict[str, Any]) -> Reference:
    bins = binning.from_json(content["bins"])
    counts = np.array(content["counts"], np.int64)
    if counts.shape != (bins.size,) or (counts < 0).any():
        raise ValueError(f"feature {content['name']!r}: the counts do not fit the bins")
    variations = content["variations"]
    return Reference(
        bins,
        counts,
        from_list(content["moments"]),
        output=content["output"] is True,
        variations=None if variations is None else variation.from_json(variations),
        limits=_limits(content["limits"]),
        fitted=max(0, int(content["fitted"])),
        provisional=content["provisional"] is True,
    )


def _limits(content: Any) -> tuple[float, ...]:
    limits = tuple(map(float, content))
    if limits and not (len(limits) == 2 and limits[0] <= limits[1]):  # noqa: PLR2004  low, high
        raise ValueError(f"the limits {limits} are no range")
    return limits
