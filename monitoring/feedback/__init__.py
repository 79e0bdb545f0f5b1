"""Feedback: labels by request id, joined with predictions, and the quality of the predictions."""

from .label_stream import Change, LabelEvents, change

__all__ = ["Change", "LabelEvents", "change"]
