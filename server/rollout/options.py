"""``[rollout]`` of ``model.toml``: the defaults for rollouts of this model.

[rollout]
steps = [1, 5, 25, 50, 100]      # shares of a canary in percent
hold = "5m"                      # shortest time in each step; a number is seconds
min_requests = 300               # of the candidate in each step
alpha = 0.05                     # how often a candidate that is no worse may be aborted
require_approval = true          # by another token than the requester's

[rollout.tolerance]              # see `penstock.server.rollout.tolerance`
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.errors import InvalidRequest
from penstock.server.files.option_decoder import ConfigError, finite

from .rollout_spec import Kind, RolloutSpec, check_spec
from .tolerance import Tolerance, parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_LONGEST_SECONDS: Final = 3650 * 86_400.0
#: A name that a header may have.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
#: Default shares of a canary, percent.
_SHADOW_PERCENT: Final = 100.0
_AB_PERCENT: Final = 50.0


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """The defaults for rollouts of one model.

    Attributes:
        terms: The rollout spec of a canary; other kinds use all of it but the steps.
        tolerance: Largest tolerated difference between answers of a shadow and of stable.
    """

    terms: RolloutSpec = field(default_factory=RolloutSpec)
    tolerance: Tolerance = field(default_factory=Tolerance)

    def terms_of(self, kind: Kind, asked: Mapping[str, Any]) -> RolloutSpec:
        """The rollout spec of a rollout.

        Args:
            kind: Kind of the rollout.
            asked: The requester's values; names as in the table, ``percent`` for a kind with one
                share.

        Raises:
            InvalidRequest: A name or value is not understood, or the terms make no sense.
        """
        terms = self.terms
        if kind is not Kind.CANARY:
            share = _SHADOW_PERCENT if kind is Kind.SHADOW else _AB_PERCENT
            terms = replace(terms, steps=(share,))
        if kind is Kind.CANARY and "percent" in asked:
            raise InvalidRequest("a canary has steps, not one percent")
        if kind is not Kind.CANARY and "steps" in asked:
            raise InvalidRequest(f"a rollout of kind {kind} has one percent, not steps")
        values = {
            name: read(key, asked[key]) for key, (name, read) in _ASKED.items() if key in asked
        }
        terms = replace(terms, **values)
        check_spec(kind, terms)
        return terms


def parse_rollout(table: Any, source: str) -> RolloutOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: rollout is {shown(table)}, expected a table")
    known = (*KEYS, "tolerance")
    for name in table:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise ConfigError(f"{source}: unknown key rollout.{name}{hint}")
    tolerance = parse_tolerance(table.get("tolerance", {}), source)
    asked = {name: value for name, value in table.items() if name in KEYS}
    try:
        return RolloutOptions(RolloutOptions().terms_of(Kind.CANARY, asked), tolerance)
    except InvalidRequest as error:
        raise ConfigError(f"{source}: rollout: {error.message}") from None


def parse_duration(value: Any) -> float:
    """Seconds of a number, or of text such as ``90s``, ``5m``, ``24h``.

    Raises:
        InvalidRequest: It is neither.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = finite(float(match[1]) * _UNITS[match[2] or ""])
    else:
        seconds = finite(value)
    if seconds is None or not 0 <= seconds <= _LONGEST_SECONDS:
        raise InvalidRequest(
            f"{shown(value)} is not a duration; expected 300, '90s', '5m' or '24h', at most 3650d"
        )
    return seconds


def _number(key: str, value: Any) -> float:
    number = finite(value)
    if number is None:
        raise InvalidRequest(f"{key} is {shown(value)}, expected a number")
    return number


def _whole(key: str, value: Any) -> int:
    if not isinstance(value, int) or finite(value) is None:
        raise InvalidRequest(f"{key} is {shown(value)}, expected a whole number")
    return value


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key} is {shown(value)}, expected true or false")
    return value


def _seconds(key: str, value: Any) -> float:
    try:
        return parse_duration(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{key}: {error.message}") from None


def _steps(key: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{key} is {shown(value)}, expected a list of percentages")
    return tuple(_number(key, one) for one in value)


def _share(key: str, value: Any) -> tuple[float, ...]:
    return (_number(key, value),)


def _header(key: str, value: Any) -> str:
    if not isinstance(value, str) or (value and not _HEADER.fullmatch(value)):
        raise InvalidRequest(f"{key} is {shown(value)}, expected the name of a request header")
    return value.lower()


#: Key -> the field of the spec that it sets, and the function that reads its value.
_ASKED: Final[dict[str, tuple[str, Callable[[str, Any], Any]]]] = {
    "steps": ("steps", _steps),
    "percent": ("steps", _share),
    "hold": ("hold_seconds", _seconds),
    "min_requests": ("min_requests", _whole),
    "max_bad_percent": ("max_bad_percent", _number),
    "alpha": ("alpha", _number),
    "require_approval": ("require_approval", _flag),
    "deadline": ("deadline_seconds", _seconds),
    "sticky_header": ("sticky", _header),
    "fallback": ("fallback", _flag),
    "watch": ("watch_seconds", _seconds),
    "holdback_percent": ("holdback_percent", _number),
    "slow_factor": ("slow_factor", _number),
    "warm_up_requests": ("warm_up_requests", _whole),
    "warm_up": ("warm_up_seconds", _seconds),
    "max_disagreement_percent": ("max_disagreement_percent", _number),
}
#: Keys that a requester may set.
ASKED: Final = tuple(_ASKED)
#: Keys of the table in ``model.toml``.
KEYS: Final = tuple(key for key in _ASKED if key != "percent")
