"""``[batching]`` of ``model.toml``: bounds and wishes of a model's batches.

[batching]
slo_milliseconds = 50                # answers later than this are worthless
max_batch_size = 64                  # and the other fields of BatchingOptions
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from penstock.batching.options import (
    MAX_HOLD_SECONDS,
    MAX_PRIORITY,
    MAX_WEIGHT,
    MOST_ROWS,
    BatchingOptions,
)
from penstock.monitoring.files.config_file import MAX_NUMBER
from penstock.monitoring.files.decoding import convert
from penstock.server.files.config_error import ConfigError

_MAX_SLO_MILLISECONDS: Final = 86_400_000
_DEFAULT: Final = BatchingOptions()


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `BatchingOptions`, whose defaults these are."""

    slo_milliseconds: Annotated[float, msgspec.Meta(gt=0, le=_MAX_SLO_MILLISECONDS)] | None = None
    max_batch_size: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS["max_batch_size"])] = (
        _DEFAULT.max_batch_size
    )
    max_queue_rows: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS["max_queue_rows"])] = (
        _DEFAULT.max_queue_rows
    )
    priority: Annotated[int, msgspec.Meta(ge=0, le=MAX_PRIORITY)] = _DEFAULT.priority
    weight: Annotated[float, msgspec.Meta(gt=0, le=MAX_WEIGHT)] = _DEFAULT.weight
    background: bool = _DEFAULT.background
    max_queue_seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_NUMBER)] = (
        _DEFAULT.max_queue_seconds
    )
    max_hold_seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_HOLD_SECONDS)] = (
        _DEFAULT.max_hold_seconds
    )


def parse_batching(table: Any, source: str) -> BatchingOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(_Table, table, source, "batching", noun="a table", error=ConfigError)
    values = msgspec.structs.asdict(found)
    milliseconds = values.pop("slo_milliseconds")
    if milliseconds is not None:
        values["slo_seconds"] = milliseconds / 1000
    return BatchingOptions(**values)
