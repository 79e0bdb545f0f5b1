"""The errors of the batcher."""

from __future__ import annotations


class Overloaded(Exception):
    """The request was refused or dropped because of overload; it was not executed.

    Attributes:
        retry_after_seconds: Predicted seconds until the queue has room again.
        reason: ``queue_full`` and ``queue_time`` (refused on arrival), ``early_drop`` (dropped so
            that those behind it run in full batches), ``replaced`` (shadow traffic, oldest first)
            or ``draining``.
    """

    def __init__(self, retry_after_seconds: float, reason: str) -> None:
        super().__init__(f"overloaded ({reason}), retry after {retry_after_seconds:.3f} s")
        self.retry_after_seconds = retry_after_seconds
        self.reason = reason


class DeadlineExceeded(Exception):
    """No answer could have been ready before the request's deadline; it was not executed."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the request could be executed")


class InputsAtFault(Exception):
    """A request failed alone, twice, and inputs that the model accepts ran in between.

    Attributes:
        cause: The model's error.
    """

    def __init__(self, cause: Exception, inputs: str) -> None:
        super().__init__(
            f"the model cannot run these inputs, {inputs}: {cause}; it ran others right after, so "
            "the inputs are at fault"
        )
        self.cause = cause


class InvalidOutput(Exception):
    """The model broke its contract: its outputs are not what its signature promises."""


class LostRows(InvalidOutput):
    """An output does not have one row for each row of the inputs."""
