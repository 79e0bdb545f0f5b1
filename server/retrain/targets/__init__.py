"""The tools that run a training: one file for each."""
