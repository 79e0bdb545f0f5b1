"""The error of a pipeline one of whose steps failed."""

from __future__ import annotations

from penstock.batching.contained import text_of
from penstock.runtimes.contract import ModelExecutionError


class StepFailed(ModelExecutionError):
    """A step of a pipeline failed. The client gets the error of the step, with the step's name.

    Attributes:
        step: The step and its version, for people.
        cause: The error of the step.
    """

    def __init__(self, step: str, cause: Exception) -> None:
        super().__init__(f"{step}: {text_of(cause)}")
        self.step = step
        self.cause = cause
        self.__cause__ = cause


def cause_of(error: Exception) -> Exception:
    """The error of the step that failed, or the error itself if it is of no step."""
    return error.cause if isinstance(error, StepFailed) else error
