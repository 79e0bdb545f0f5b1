"""Batch jobs that the server runs: queued on disk, one process for each that runs."""
