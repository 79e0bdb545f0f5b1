"""Alerts: what is wrong, once per episode, told to whoever the configuration names."""
