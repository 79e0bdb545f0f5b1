"""Counters in mapped files, their layout, their sums, and the Prometheus families."""
