"""``[feedback]`` of ``model.toml``: how a model's predictions are compared with labels.

[feedback]
kind = "classification"          # or "regression"; by default what the outputs look like
prediction = "label"             # the output with the class or number
score = "probabilities"          # the output with the probabilities
positive = 1                     # the class that AUC is about, of two
classes = ["no", "yes"]          # the class of each column of `score`
expected_accuracy = 0.9          # compare with this and not with the first labels
reference_labels = 1000          # how many of the first labels make the reference
reference_days = 7               # how many days the first predictions span before that
false_alarms_per_month = 0.05    # probability of a false alarm in 30 days
largest_error = 5000             # the largest error of a number that is possible
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from penstock.monitoring.feedback.options import KINDS, FeedbackOptions
from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.wording import shown
from penstock.server.files.config_error import ConfigError

_MAX_CLASSES: Final = 1000
_FEWEST: Final = 50
#: Their losses are kept until there are enough of them.
_MOST: Final = 100_000
_MOST_DAYS: Final = 90

_Kind = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^({'|'.join(KINDS[1:])})\Z", description=" or ".join(map(repr, KINDS[1:]))
    ),
]
_Output = Annotated[str, msgspec.Meta(min_length=1, description="the name of an output")]
_Class = Annotated[int | str, msgspec.Meta(description="a class: a whole number or a text")]
_Share = Annotated[float, msgspec.Meta(gt=0, lt=1, description="a number between 0 and 1")]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `FeedbackOptions`, whose defaults these are."""

    kind: _Kind = ""
    prediction: _Output = ""
    score: _Output = ""
    positive: _Class | None = None
    classes: Annotated[  # one class is none
        tuple[_Class, ...],
        msgspec.Meta(
            min_length=2,
            max_length=_MAX_CLASSES,
            description=f"a list of 2 to {_MAX_CLASSES} classes",
        ),
    ] = ()
    expected_accuracy: _Share | None = None
    reference_labels: Annotated[int, msgspec.Meta(ge=_FEWEST, le=_MOST)] = 1000
    reference_days: Annotated[float, msgspec.Meta(ge=0, le=_MOST_DAYS)] = 7.0
    false_alarms_per_month: _Share = 0.05
    largest_error: Annotated[float, msgspec.Meta(gt=0)] | None = None


def parse_feedback(table: Any, source: str) -> FeedbackOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    found = convert(_Table, table, source, "feedback", noun="a table", error=ConfigError)
    if len(set(map(str, found.classes))) < len(found.classes):
        raise ConfigError(
            f"{source}: feedback.classes is {shown(table['classes'])}, expected each class once"
        )
    return FeedbackOptions(**msgspec.structs.asdict(found))
