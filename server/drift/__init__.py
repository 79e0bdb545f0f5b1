"""Drift for people: options, baselines of files, what the windows say, the report."""
