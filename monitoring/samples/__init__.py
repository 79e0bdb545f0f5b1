"""Inputs and outputs on their way from a worker to the monitor."""
