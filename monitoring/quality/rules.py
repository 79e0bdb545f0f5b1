"""The rules for a model's inputs, as ``[quality]`` of its ``model.toml`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What may be wrong with a value.
NULL, TYPE, RANGE, DOMAIN, STALE = "null", "type", "range", "domain", "stale"
KINDS: Final = (NULL, TYPE, RANGE, DOMAIN, STALE)

#: What is done about it, and how that is counted.
REJECT, IMPUTE, PASS = "reject", "impute", "pass"
ACTIONS: Final = {REJECT: "rejected", IMPUTE: "imputed", PASS: "passed"}

#: Fields that one model may declare; each has counters of its own.
MAX_FIELDS: Final = 64


@dataclass(frozen=True, slots=True)
class FieldRule:
    """The rule for one field.

    Attributes:
        field: An input, ``input[3]`` for one of its elements, or a name of `features`.
        integer: Values must be whole numbers.
        minimum: The smallest value allowed.
        maximum: The largest value allowed.
        values: The only values allowed; texts for an input of texts.
        policy: Consequence of a value that is not allowed.
        nulls: Consequence of a missing one: NaN, or an empty text.
        constant: Value to put in its place.
        max_age_seconds: The value is a Unix time and at most so old; 0 for any.
    """

    field: str
    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[float | str, ...] = ()
    policy: str = PASS
    nulls: str = PASS
    constant: float | str = 0.0
    max_age_seconds: float = 0.0

    @property
    def expected(self) -> str:
        """The allowed values, in words."""
        if self.values:
            shown = ", ".join(map(str, self.values[:10]))
            return f"one of {shown}" + (", …" if len(self.values) > 10 else "")  # noqa: PLR2004  enough
        kind = "a whole number" if self.integer else "a number"
        if self.max_age_seconds:
            return f"a Unix time of the last {self.max_age_seconds:g} seconds"
        if self.minimum is not None and self.maximum is not None:
            return f"{kind} from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"{kind} of at least {self.minimum:g}"
        return kind if self.maximum is None else f"{kind} of at most {self.maximum:g}"


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """All that is declared of one model.

    Attributes:
        fields: At most `MAX_FIELDS`.
        event_time: Request parameter with the Unix time at which the inputs were true.
        max_age_seconds: Seconds that inputs may be old.
        stale: Consequence of older ones, and of requests that do not say.
    """

    fields: tuple[FieldRule, ...] = ()
    event_time: str = ""
    max_age_seconds: float = 0.0
    stale: str = PASS

    @property
    def empty(self) -> bool:
        """True if nothing is declared."""
        return not self.fields and not self.event_time
