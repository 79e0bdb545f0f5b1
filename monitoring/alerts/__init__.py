"""Alerts: each episode is told once to each sink that the configuration names."""
