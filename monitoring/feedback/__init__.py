"""Feedback: labels by request id, joined with predictions, and the quality of the predictions."""
