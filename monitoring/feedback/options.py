"""The feedback options of a model: ``[feedback]`` in its ``model.toml``."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("", "classification", "regression")

#: What a label may be.
Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class FeedbackOptions:
    """The options of reading and evaluating predictions; the defaults follow the model's outputs.

    Attributes:
        kind: ``classification`` or ``regression``; by default what the outputs look like.
        prediction: Output with the predicted class or number.
        score: Output with the probabilities, one column per class or only that of `positive`.
        positive: The class that precision, recall and AUC are about, for two classes.
        classes: The class of each column of `score`, in order.
        expected_accuracy: Accuracy of the reference, in place of the first labels.
        reference_labels: Number of first labels that make the reference.
        reference_days: Days that the first predictions span before anything is compared.
        false_alarms_per_month: Bound on the probability of a false alarm in 30 days.
        largest_error: Of a number: the largest absolute error that is possible. Intervals need it
            to hold for errors that no label has shown yet.
    """

    kind: str = ""
    prediction: str = ""
    score: str = ""
    positive: int | str | None = None
    classes: tuple[int | str, ...] = ()
    expected_accuracy: float | None = None
    reference_labels: int = 1000
    reference_days: float = 7.0
    false_alarms_per_month: float = 0.05
    largest_error: float | None = None
