"""``[feedback]`` of ``model.toml``: how a model's predictions are compared with labels.

[feedback]
kind = "classification"          # or "regression"; by default what the outputs look like
prediction = "label"             # the output with the class or number
score = "probabilities"          # the output with the probabilities
positive = 1                     # the class that AUC is about, of two
classes = ["no", "yes"]          # the class of each column of `score`
expected_accuracy = 0.9          # compare with this and not with the first labels
reference_labels = 1000          # how many of the first labels make the reference
false_alarms_per_month = 0.05    # probability of a false alarm in 30 days
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from penstock.monitoring.feedback.options import KINDS, FeedbackOptions
from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.server.files.option_decoder import ConfigError

#: Keys of the table.
KEYS: Final = tuple(one.name for one in fields(FeedbackOptions))
_MAX_CLASSES: Final = 1000
_FEWEST: Final = 50
#: Their losses are kept until there are enough of them.
_MOST: Final = 100_000


def parse_feedback(table: Any, source: str) -> FeedbackOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: feedback is {shown(table)}, expected a table")
    for name in table:
        if name not in KEYS:
            hint = did_you_mean(name, list(KEYS))
            raise ConfigError(f"{source}: unknown key feedback.{name}{hint}")
    values: dict[str, Any] = {
        name: _CHECKS[name](name, value, source) for name, value in table.items()
    }
    return FeedbackOptions(**values)


def _bad(source: str, name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{source}: feedback.{name} is {shown(value)}, expected {expected}")


def _kind(name: str, value: Any, source: str) -> str:
    if value not in KINDS[1:]:
        raise _bad(source, name, value, " or ".join(map(repr, KINDS[1:])))
    return str(value)


def _output(name: str, value: Any, source: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(source, name, value, "the name of an output")
    return value


def _class(name: str, value: Any, source: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _bad(source, name, value, "a class: a whole number or a text")
    return value


def _classes(name: str, value: Any, source: str) -> tuple[int | str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= _MAX_CLASSES:  # noqa: PLR2004  one class is none
        raise _bad(source, name, value, f"a list of 2 to {_MAX_CLASSES} classes")
    found = tuple(_class(name, one, source) for one in value)
    if len(set(map(str, found))) < len(found):
        raise _bad(source, name, value, "each class once")
    return found


def _share(name: str, value: Any, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise _bad(source, name, value, "a number between 0 and 1")
    return float(value)


def _count(name: str, value: Any, source: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not _FEWEST <= value <= _MOST:
        raise _bad(source, name, value, f"a whole number from {_FEWEST} to {_MOST}")
    return value


_CHECKS: Final = {
    "kind": _kind,
    "prediction": _output,
    "score": _output,
    "positive": _class,
    "classes": _classes,
    "expected_accuracy": _share,
    "reference_labels": _count,
    "false_alarms_per_month": _share,
}
