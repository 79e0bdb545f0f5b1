"""Traces of predictions, for OpenTelemetry."""
