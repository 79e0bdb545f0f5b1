"""Alerts in the server: the monitor's part, the admin port's part, metrics."""
