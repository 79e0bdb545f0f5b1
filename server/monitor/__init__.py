"""The monitor process: prediction log, drift, feedback, alerts."""
