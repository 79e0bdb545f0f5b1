"""Batch jobs: predictions for all rows of a file, by the models of a running server."""
