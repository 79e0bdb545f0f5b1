"""Loading one version: tried in a process of its own, checked, warmed up, measured."""
