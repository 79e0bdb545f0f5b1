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

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.server.errors import InvalidRequest
from penstock.server.files.config_error import ConfigError
from penstock.server.files.duration import Duration

from .rollout_spec import Kind, RolloutSpec, check_spec
from .tolerance import Tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A name that a header may have.
_HEADER: Final = r"^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})?\Z"
#: Default shares of a canary, percent.
_SHADOW_PERCENT: Final = 100.0
_AB_PERCENT: Final = 50.0


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of the table that a requester may set, too; see `RolloutSpec`.

    ``None`` stands for a key that is not given. The ranges are those of `check_spec`.
    """

    steps: (
        Annotated[
            tuple[float, ...], msgspec.Meta(min_length=1, description="a list of percentages")
        ]
        | None
    ) = None
    hold: Duration | None = None
    min_requests: int | None = None
    max_bad_percent: float | None = None
    alpha: float | None = None
    require_approval: bool | None = None
    deadline: Duration | None = None
    sticky_header: (
        Annotated[str, msgspec.Meta(pattern=_HEADER, description="the name of a request header")]
        | None
    ) = None
    fallback: bool | None = None
    watch: Duration | None = None
    holdback_percent: float | None = None
    slow_factor: float | None = None
    warm_up_requests: int | None = None
    warm_up: Duration | None = None
    max_disagreement_percent: float | None = None


class _Requested(_Asked, forbid_unknown_fields=True):
    """The keys that a requester may set; ``percent`` is the share of a kind that has one."""

    percent: float | None = None


class _Table(_Asked, forbid_unknown_fields=True):
    """The table in ``model.toml``."""

    tolerance: Tolerance = msgspec.field(default_factory=Tolerance)


#: Keys of the table -> fields of `RolloutSpec`, where the names differ.
_FIELDS: Final = {
    "hold": "hold_seconds",
    "deadline": "deadline_seconds",
    "sticky_header": "sticky",
    "watch": "watch_seconds",
    "warm_up": "warm_up_seconds",
}
#: Keys that a requester may set.
ASKED: Final = _Requested.__struct_fields__
#: The table of the keys, for error messages.
_OBJECT: Final = "an object with the terms"


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
        said = convert(_Requested, dict(asked), "", noun=_OBJECT, error=InvalidRequest)
        if kind is Kind.CANARY and said.percent is not None:
            raise InvalidRequest("a canary has steps, not one percent")
        if kind is not Kind.CANARY and said.steps is not None:
            raise InvalidRequest(f"a rollout of kind {kind} has one percent, not steps")
        terms = replace(terms, **_terms(said))
        if said.percent is not None:
            terms = replace(terms, steps=(said.percent,))
        check_spec(kind, terms)
        return terms


def parse_rollout(table: Any, source: str) -> RolloutOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(
        _Table, table, source, "rollout", closed=True, noun="a table", error=ConfigError
    )
    terms = replace(RolloutSpec(), **_terms(found))
    try:
        check_spec(Kind.CANARY, terms)
    except InvalidRequest as error:
        raise ConfigError(f"{source}: rollout: {error.message}") from None
    return RolloutOptions(terms, found.tolerance)


def parse_duration(value: Any, name: str) -> float:
    """Seconds of a number, or of text such as ``90s``, ``5m``, ``24h``.

    Args:
        value: The value.
        name: Of what it is the value, for the error.

    Raises:
        InvalidRequest: The value is neither a number nor such a text.
    """
    try:
        return float(Duration.parse(value))
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from None


def _terms(said: _Asked) -> dict[str, Any]:
    """The fields of a `RolloutSpec` that are given."""
    values: dict[str, Any] = {}
    for key in _Asked.__struct_fields__:
        value = getattr(said, key)
        if value is None:
            continue
        if isinstance(value, Duration):
            value = float(value)
        elif key == "sticky_header":
            value = str(value).lower()
        values[_FIELDS.get(key, key)] = value
    return values
