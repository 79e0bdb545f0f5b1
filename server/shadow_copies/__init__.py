"""Copies of answered batches, as bytes, on their way to the shadow process."""
