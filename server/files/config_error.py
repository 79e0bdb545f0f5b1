"""The error of what an operator or the owner of a model has written."""

from __future__ import annotations


class ConfigError(Exception):
    """A configuration is wrong; the message names source, key and what was expected."""
