"""Samples: inputs and outputs that workers send to the monitor."""
