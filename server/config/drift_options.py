"""``[monitoring]`` of ``model.toml``: how a model is watched for drift.

[monitoring]
features = ["age", "income"]     # names of the input scalars, in the order of the model's inputs
window = "1h"                    # a window lasts at least so long; a number is seconds
window_rows = 500                # and has at least so many rows
max_window = "24h"               # but is closed after this
psi_warn = 0.10                  # and the other fields of DriftOptions
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from penstock.monitoring.drift.options import (
    ADDRESS,
    MOST_ROWS,
    MOST_WINDOWS,
    DriftOptions,
)
from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.server.files.config_error import ConfigError
from penstock.server.files.duration import Duration

_DEFAULT: Final = DriftOptions()
#: Keys of the table that are written as durations -> fields of `DriftOptions`.
_DURATIONS: Final = {
    "window": "window_seconds",
    "max_window": "max_window_seconds",
    "learning_time": "learning_seconds",
    "baseline_time": "baseline_seconds",
}
#: What tells clients apart; no header with a secret, and none that differs in each request.
_REFUSED: Final = "authorization|cookie|proxy-authorization|x-api-key|x-request-id"
_CLIENT: Final = rf"^(address|nobody|header:(?!(?i:{_REFUSED})$)[A-Za-z0-9_-]{{1,64}})$"
_Rows = Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
_Name = Annotated[str, msgspec.Meta(min_length=1, description="the name of a feature")]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `DriftOptions`, whose defaults these are."""

    drift: bool = _DEFAULT.drift
    features: Annotated[tuple[_Name, ...], msgspec.Meta(description="a list of names")] = ()
    window: Duration = Duration(_DEFAULT.window_seconds)
    window_rows: _Rows = _DEFAULT.window_rows
    max_window: Duration = Duration(_DEFAULT.max_window_seconds)
    min_rows: _Rows = _DEFAULT.min_rows
    learning_rows: _Rows = _DEFAULT.learning_rows
    learning_time: Duration = Duration(_DEFAULT.learning_seconds)
    baseline_time: Duration = Duration(_DEFAULT.baseline_seconds)
    calibration_windows: Annotated[int, msgspec.Meta(ge=0, le=MOST_WINDOWS)] = (
        _DEFAULT.calibration_windows
    )
    false_alarm_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)] = _DEFAULT.false_alarm_rate
    psi_warn: Annotated[float, msgspec.Meta(gt=0)] = _DEFAULT.psi_warn
    psi_critical: Annotated[float, msgspec.Meta(gt=0)] = _DEFAULT.psi_critical
    share_warn: Annotated[float, msgspec.Meta(gt=0, le=1)] = _DEFAULT.share_warn
    client: Annotated[
        str,
        msgspec.Meta(
            pattern=_CLIENT,
            description='"address", "nobody" or "header:NAME" of a header without a secret',
        ),
    ] = ADDRESS


def parse_monitoring(table: Any, source: str) -> DriftOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(_Table, table, source, "monitoring", noun="a table", error=ConfigError)
    if len(set(found.features)) < len(found.features):
        raise ConfigError(
            f"{source}: monitoring.features is {shown(table['features'])}, expected each name once"
        )
    values = msgspec.structs.asdict(found)
    for key, field in _DURATIONS.items():
        values[field] = float(values.pop(key))
    try:
        return DriftOptions(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: monitoring: {error}") from error
